"""Texts in, texts out: what jobs use of the sampler and of reward models.

Prompts are padded to one of a few lengths, so that each length is compiled
once. Results come back in the order of the prompts.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import functools
import zlib

import jax
import numpy as np

from xlrm import types
from xlrm.distributed import meshes
from xlrm.distributed import row_shards
from xlrm.models import language_model
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_programs
from xlrm.sampling import sampling_config
from xlrm.sampling import scheduler
from xlrm.text import token_lengths
from xlrm.text import tokenizer as tokenizer_lib
from xlrm.types import checks


@dataclasses.dataclass(frozen=True)
class Generation:
  """The responses to one prompt, in the order drawn.

  Attributes:
    texts: what the tokens say.
    logprobs: of the whole response, EOS included, in nats, at the sampled
      temperature on the support (without top-k and top-p).
    num_tokens: EOS included.
    finished: ended with EOS, not cut at max_tokens.
    truncated: the prompt was longer than max_input_length.
  """

  texts: list[str]
  logprobs: list[float]
  num_tokens: list[int]
  finished: list[bool]
  truncated: bool


def _prompt_ids(tokenizer, prompts, example_ids, max_length, from_left):
  """Ids ending in EOS, at most max_length each, and which were cut."""
  rows, cut = [], []
  for i, (prompt, example_id) in enumerate(zip(prompts, example_ids)):
    ids = tokenizer.encode(prompt)
    if not ids:
      raise ValueError(
        f"prompt {i} (example id {example_id!r}) is empty: {prompt!r} has no "
        "tokens"
      )
    cut.append(len(ids) >= max_length)
    ids = np.asarray([*ids, types.EOS_ID], np.int32)
    rows.append(token_lengths.clip(ids, max_length, from_left=from_left))
  if any(cut):
    print(
      f"{sum(cut)} of {len(cut)} prompts are longer than {max_length} tokens "
      f"and were truncated; first example id {example_ids[cut.index(True)]!r}",
      flush=True,
    )
  return rows, cut


@dataclasses.dataclass(frozen=True)
class Generator:
  """Draws responses to texts.

  Attributes:
    model: of the parameters that `generate` gets.
    tokenizer: of the model's vocabulary.
    config: how a token is drawn, and the longest response.
    max_input_length: tokens of a prompt, EOS included; longer ones are cut.
    batch_size: responses under way together.
    num_samples: responses per prompt.
    seed: a response depends on it, on the example id and on the number of
      the response, not on what else is drawn.
    mesh: spreads the prompts under way over its 'data' axis.
    truncate_inputs_from_left: longer prompts lose their beginning.
    min_rows: the last responses are moved into smaller batches down to this;
      each size is compiled once, which few prompts do not repay.
  """

  model: language_model.LanguageModel
  tokenizer: tokenizer_lib.Tokenizer
  config: sampling_config.SamplingConfig
  max_input_length: int
  batch_size: int = 32
  num_samples: int = 1
  seed: int = 0
  mesh: jax.sharding.Mesh | None = None
  truncate_inputs_from_left: bool = False
  min_rows: int = scheduler.MIN_ROWS

  def __post_init__(self):
    for name in ("batch_size", "num_samples", "min_rows"):
      checks.at_least(name, getattr(self, name), 1)
    if self.max_input_length < 2:
      raise ValueError(
        f"max_input_length {self.max_input_length} has no room for a token "
        "and EOS"
      )

  @functools.cached_property
  def support(self) -> np.ndarray:
    """The mask [V] of the tokens that a response may hold."""
    return sampling_config.support_mask(
      self.model.config.vocab_size, self.tokenizer
    )

  def generate(
    self,
    params: types.Params,
    prompts: Sequence[str],
    example_ids: Sequence[str],
  ) -> list[Generation]:
    """The responses to each prompt, in the order of the prompts.

    Args:
      params: of the model.
      prompts: what the model reads, without EOS.
      example_ids: one per prompt, each used once: they seed the draws.

    Raises:
      ValueError: an empty prompt or a repeated example id, named.
    """
    chunks = self.chunks(params, prompts, example_ids, max(1, len(prompts)))
    return [generation for chunk in chunks for generation in chunk]

  def chunks(
    self,
    params: types.Params,
    prompts: Sequence[str],
    example_ids: Sequence[str],
    chunk_size: int,
    usage: scheduler.Usage | None = None,
  ) -> Iterator[list[Generation]]:
    """The responses of `generate`, some prompts after another.

    What a chunk gets, to the last bit, depends on its own prompts only.

    Args:
      params: of the model.
      prompts: what the model reads, without EOS.
      example_ids: one per prompt, each used once.
      chunk_size: prompts of a chunk.
      usage: is added to.
    """
    self._check_ids(prompts, example_ids)
    rows, cut = _prompt_ids(
      self.tokenizer,
      prompts,
      example_ids,
      self.max_input_length,
      self.truncate_inputs_from_left,
    )
    if not rows:
      return
    with meshes.active(self.mesh):
      weights = decode_programs.prepare(
        self.model, params, self.config, self.support
      )
    del params  # with it goes the output matrix as it was laid out before
    for first in range(0, len(rows), chunk_size):
      part = slice(first, first + chunk_size)
      yield self._chunk(
        weights, rows[part], example_ids[part], cut[part], usage
      )

  def batch_shape(
    self, num_prompts: int, batch_size: int | None = None
  ) -> batch_shapes.BatchShape:
    """How many prompts and responses are under way together.

    Args:
      num_prompts: drawn for together.
      batch_size: in place of the generator's; None is the generator's.
    """
    return batch_shapes.choose_batch_shape(
      self.model,
      batch_size=batch_size or self.batch_size,
      num_prompts=num_prompts,
      num_samples=self.num_samples,
      prompt_length=self.max_input_length,
      data_shards=1 if self.mesh is None else self.mesh.shape["data"],
    )

  def _chunk(self, weights, rows, example_ids, cut, usage) -> list[Generation]:
    results: list[Generation | None] = [None] * len(rows)

    def done(index: int, tokens: np.ndarray, logprobs: np.ndarray) -> None:
      results[index] = Generation(
        texts=[self.tokenizer.decode(x) for x in tokens.tolist()],
        logprobs=logprobs.astype(np.float64).sum(axis=-1).tolist(),
        num_tokens=(tokens != types.PAD_ID).sum(axis=-1).tolist(),
        finished=(tokens == types.EOS_ID).any(axis=-1).tolist(),
        truncated=cut[index],
      )

    found = scheduler.Scheduler(
      self.model,
      weights,
      self.config,
      rows,
      [zlib.crc32(example_id.encode()) for example_id in example_ids],
      num_samples=self.num_samples,
      shape=self.batch_shape(len(rows)),
      lengths=token_lengths.padded_lengths(self.max_input_length),
      seed=self.seed,
      mesh=self.mesh,
      min_rows=self.min_rows,
    ).run(done)
    if usage is not None:
      usage.row_steps += found.row_steps
      usage.useful += found.useful
    return results

  def _check_ids(self, prompts, example_ids):
    if len(prompts) != len(example_ids):
      raise ValueError(
        f"{len(prompts)} prompts but {len(example_ids)} example ids"
      )
    seen: dict[str, int] = {}
    for i, example_id in enumerate(example_ids):
      if example_id in seen and not self.config.greedy:
        raise ValueError(
          f"prompts {seen[example_id]} and {i} share the example id "
          f"{example_id!r}; their samples would share their random numbers"
        )
      seen[example_id] = i


def generate(
  generator: Generator,
  params: types.Params,
  mesh: jax.sharding.Mesh,
  prompts: Sequence[str],
  example_ids: Sequence[str],
) -> list[Generation]:
  """The responses of a generator with parameters in training.

  All processes call it, and each gets all responses.

  Args:
    generator: on `own_mesh(mesh)`.
    params: on `mesh`.
    mesh: of the training.
    prompts: see `Generator.generate`.
    example_ids: one per prompt, each used once.
  """
  params = row_shards.on_own_mesh(params, mesh)
  return row_shards.each(
    len(prompts),
    lambda rows: generator.generate(params, prompts[rows], example_ids[rows]),
  )
