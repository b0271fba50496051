"""The central types: batches with a group axis, judgments, samples.

A prompt has a GROUP of responses. Shape letters, everywhere in xlrm:
  B prompts, N responses per prompt, S prompt length, T response length,
  V vocabulary rows, D model width.
Token id 0 is padding, 1 the end of a sequence (EOS); a decoder starts from
id 0. `weights` says what counts: 1 at real response tokens (EOS included), 0
at padding. Shapes stand in comments: checked annotations on pytree fields
would break under vmap, scan and eval_shape.
"""

from typing import Any

from flax import struct
import numpy as np

PAD_ID = 0
EOS_ID = 1

Params = Any  # a nested dict of arrays, one per named parameter
Array = Any  # a jax.Array on devices, a numpy array on the host


@struct.dataclass
class Batch:
  """N responses to each of B prompts.

  SFT has N=1, a rated response N=1, a preference pair N=2, a ranking N=k,
  best-of-n and PPO N=n. Packed SFT rows (N=1) carry segment ids, 0 at padding.
  """

  inputs: Array  # [B S] int32, ends in EOS, right-padded with 0
  targets: Array  # [B N T] int32, ends in EOS, right-padded with 0
  weights: Array  # [B N T] float32
  input_segments: Array | None = None  # [B S] int32
  target_segments: Array | None = None  # [B N T] int32


@struct.dataclass
class Ratings:
  """One judgment in [0, 1] per response; a response of zero weight is none."""

  batch: Batch
  ratings: Array  # [B N] float32


@struct.dataclass
class Preferences:
  """A ranking of each prompt's responses."""

  batch: Batch
  ranks: Array  # [B N] int32: 0 is best, equal is a tie, -1 is no response
  margins: Array | None = None  # [B] float32, by how much scores should differ


@struct.dataclass
class Corrupted:
  """Self-supervised rows: denoising, translation, replaced-token detection."""

  batch: Batch
  replaced: Array  # [B N T] int32: 1 replaced, 0 original, -1 not asked


@struct.dataclass
class Samples:
  """Responses in the order drawn, never sorted."""

  tokens: Array  # [B N T] int32, 0 after EOS
  logprobs: Array  # [B N T] float32, 0 after EOS
  finished: Array  # [B N] bool, ended with EOS


@struct.dataclass
class Rollout:
  """Everything PPO needs, frozen at sampling time."""

  batch: Batch
  logprobs: Array  # [B N T] float32
  reference_logprobs: Array  # [B N T] float32
  values: Array  # [B N T] float32
  scores: Array  # [B N] float32


def check_shapes(batch: Batch) -> Batch:
  """Checks a batch once at the door and returns it.

  Raises:
    ValueError: a field has another rank or size than the letters say.
  """
  shapes = {
    name: np.shape(getattr(batch, name))
    for name in ("inputs", "targets", "weights")
  }
  for name, rank in (("inputs", 2), ("targets", 3), ("weights", 3)):
    if len(shapes[name]) != rank:
      letters = "[B S]" if rank == 2 else "[B N T]"
      raise ValueError(f"Batch.{name} has shape {shapes[name]}, not {letters}")
  if shapes["targets"] != shapes["weights"]:
    raise ValueError(
      f"Batch.targets {shapes['targets']} and Batch.weights "
      f"{shapes['weights']} differ in shape"
    )
  if shapes["inputs"][0] != shapes["targets"][0]:
    raise ValueError(
      f"Batch.inputs has {shapes['inputs'][0]} prompts, Batch.targets "
      f"{shapes['targets'][0]}"
    )
  for name, like in (
    ("input_segments", "inputs"),
    ("target_segments", "targets"),
  ):
    value = getattr(batch, name)
    if value is not None and np.shape(value) != shapes[like]:
      raise ValueError(
        f"Batch.{name} has shape {np.shape(value)}, Batch.{like} {shapes[like]}"
      )
  return batch
