"""How many prompts and responses are under way together."""

import dataclasses
import math

import jax

from xlrm.distributed import meshes
from xlrm.models import language_model

FIRST_WINDOW = 64  # tokens; the window of keys and values grows fourfold


@dataclasses.dataclass(frozen=True)
class BatchShape:
  """P slots for prompts, each with rows for N of its responses."""

  slots: int
  rows_per_slot: int

  @property
  def rows(self) -> int:
    """Responses under way together."""
    return self.slots * self.rows_per_slot

  @property
  def prefill_size(self) -> int:
    """The number of prompts read together: few, so that no slot waits long."""
    return max(1, self.slots // 16)


def choose_batch_shape(
  model: language_model.EncoderDecoder,
  *,
  batch_size: int,
  num_prompts: int,
  num_samples: int,
  prompt_length: int,
  data_shards: int = 1,
) -> BatchShape:
  """The spread of `batch_size` responses under way over prompts.

  Few rows per prompt keep all of them busy to the end, many read the prompt's
  keys and values for more responses at once. So: about sqrt(n / 2) rows, and
  more while the slots' keys and values would outweigh half of the weights,
  which a step reads, too; never fewer rows than the prompts can fill.

  Args:
    model: its sizes say what a prompt weighs.
    batch_size: P * N at most, apart from rounding to data_shards.
    num_prompts: to draw for.
    num_samples: n, responses per prompt.
    prompt_length: S.
    data_shards: P is a multiple of it.
  """
  config = model.config
  prompt = prompt_length * config.num_heads * config.head_dim
  prompt *= 2 * config.num_decoder_layers
  weights = sum(math.prod(x.shape) for x in jax.tree.leaves(model.abstract()))
  rows = 1 << max(0, int(math.log2(max(1.0, (num_samples / 2) ** 0.5))))
  while rows < num_samples and batch_size // rows * prompt > weights / 2:
    rows *= 2
  rows = min(rows, num_samples, batch_size)
  slots = batch_size // rows
  if slots > num_prompts:
    slots = num_prompts
    rows = min(num_samples, max(rows, batch_size // slots))
  return BatchShape(meshes.round_up(slots, data_shards), rows)


def window_lengths(max_tokens: int) -> list[int]:
  """The windows of a KV cache that grows: 512 -> [64, 256, 512]."""
  lengths = []
  window = FIRST_WINDOW
  while window < max_tokens:
    lengths.append(window)
    window *= 4
  return [*lengths, max_tokens]
