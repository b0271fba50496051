"""Texts in, texts out: sampling and scoring lists of prompts.

Prompts are sorted by length and padded to a few lengths, batches completed
with filler rows, so that a handful of shapes is compiled. Results come back in
the order of the prompts, and do not depend on the batches.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any
import zlib

import jax
import numpy as np

from xlrm import sampling
from xlrm import types
from xlrm.models import language_model
from xlrm.models import scorer as scorer_lib

BUCKET = 32  # prompts are padded to multiples of this


@dataclasses.dataclass(frozen=True)
class Generation:
  """The responses to one prompt, in the order drawn.

  Attributes:
    texts: decoded responses.
    logprobs: sum over the tokens of each, in nats, at the temperature.
    num_tokens: tokens of each, EOS included.
    finished: ended with EOS.
    truncated: the prompt was longer than the limit.
  """

  texts: list[str]
  logprobs: list[float]
  num_tokens: list[int]
  finished: list[bool]
  truncated: bool


def example_seed(example_id: str) -> int:
  """A stable 32-bit number of an example, for its key."""
  return zlib.crc32(example_id.encode("utf-8"))


def _bucket(length: int, limit: int) -> int:
  return min(-(-length // BUCKET) * BUCKET, limit)


@dataclasses.dataclass(frozen=True)
class Generator:
  """Samples texts from a language model.

  Attributes:
    model: the policy.
    tokenizer: its `xlrm.tokenizer.Tokenizer`.
    config: how tokens are drawn.
    max_input_length: tokens of a prompt, EOS included.
    batch_size: prompts decoded together.
    num_samples: responses per prompt.
    seed: of the samples, together with each example's id.
  """

  model: language_model.EncoderDecoder
  tokenizer: Any
  config: sampling.SamplingConfig
  max_input_length: int
  batch_size: int = 32
  num_samples: int = 1
  seed: int = 0

  def __post_init__(self):
    for name in ("max_input_length", "batch_size", "num_samples"):
      if getattr(self, name) < 1:
        raise ValueError(f"{name} {getattr(self, name)} is below 1")

  @functools.cached_property
  def _sample(self):
    support = sampling.support_mask(
      self.model.config.vocab_size, self.tokenizer
    )

    @jax.jit
    def run(params, inputs, seeds):
      key = jax.random.key(self.seed)
      keys = jax.vmap(jax.random.fold_in, (None, 0))(key, seeds)
      return sampling.sample(
        self.model, params, inputs, keys, self.config, self.num_samples, support
      )

    return run

  def _ids(self, prompt: str, name: str) -> list[int]:
    if not prompt.strip():
      raise ValueError(f"the prompt of {name} is empty")
    return [*self.tokenizer.encode(prompt), types.EOS_ID]

  def generate(
    self,
    params: types.Params,
    prompts: Sequence[str],
    example_ids: Sequence[str],
  ) -> list[Generation]:
    """Responses to every prompt, in the order of the prompts.

    Prompts over the limit lose their end, EOS kept; their number is printed.

    Raises:
      ValueError: an empty prompt, or another number of ids than prompts.
    """
    if len(prompts) != len(example_ids):
      raise ValueError(f"{len(prompts)} prompts, {len(example_ids)} ids")
    rows = [self._ids(*pair) for pair in zip(prompts, example_ids)]
    limit = self.max_input_length
    truncated = [len(row) > limit for row in rows]
    if any(truncated):
      print(
        f"{sum(truncated)} of {len(rows)} prompts are longer than {limit} "
        "tokens and were cut",
        flush=True,
      )
    rows = [
      [*row[: limit - 1], types.EOS_ID] if cut else row
      for row, cut in zip(rows, truncated)
    ]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    pending = []
    for start in range(0, len(order), self.batch_size):
      chosen = order[start : start + self.batch_size]
      inputs, seeds = self._batch(rows, example_ids, chosen)
      pending.append((chosen, self._sample(params, inputs, seeds)))
    results: list[Generation | None] = [None] * len(rows)
    for chosen, samples in pending:
      host = jax.device_get(samples)
      for place, index in enumerate(chosen):
        results[index] = self._decode(host, place, truncated[index])
    return results

  def _batch(self, rows, example_ids, chosen) -> tuple[Any, Any]:
    length = _bucket(max(len(rows[i]) for i in chosen), self.max_input_length)
    inputs = np.zeros((self.batch_size, length), np.int32)
    inputs[:, 0] = types.EOS_ID  # filler rows are a prompt of EOS alone
    seeds = np.zeros(self.batch_size, np.uint32)
    for place, index in enumerate(chosen):
      inputs[place, : len(rows[index])] = rows[index]
      seeds[place] = example_seed(example_ids[index])
    return inputs, seeds

  def _decode(self, samples, place: int, truncated: bool) -> Generation:
    tokens = samples.tokens[place]
    return Generation(
      texts=[self.tokenizer.decode(row) for row in tokens],
      logprobs=[float(x) for x in samples.logprobs[place].sum(-1)],
      num_tokens=[int(x) for x in (tokens != types.PAD_ID).sum(-1)],
      finished=[bool(x) for x in samples.finished[place]],
      truncated=truncated,
    )


@functools.lru_cache(maxsize=16)
def _score_function(model, layer):
  """Compiled once per backbone and layer, whoever's parameters they are."""
  scorer = scorer_lib.ResponseScorer(
    model=model,
    tokenizer=None,
    max_input_length=1,
    max_response_length=1,
    layer=layer,
  )
  return jax.jit(scorer.scores)


def score_texts(
  scorer: scorer_lib.ResponseScorer,
  params: types.Params,
  prompts: Sequence[str],
  responses: Sequence[Sequence[str]],
  batch_size: int = 32,
) -> list[list[float]]:
  """Scores of every response to every prompt, in their order.

  The encoder runs once per prompt. Every group has the size of the largest.

  Args:
    scorer: a reward model with its own tokenizer.
    prompts: what a reward model reads, without instruction.
    responses: a group for each prompt.
    batch_size: prompts scored together.
  """
  if len(prompts) != len(responses):
    raise ValueError(f"{len(prompts)} prompts, {len(responses)} groups")
  group = max(map(len, responses), default=0)
  run = _score_function(scorer.model, scorer.layer)
  pending = []
  for start in range(0, len(prompts), batch_size):
    texts = [list(x) for x in responses[start : start + batch_size]]
    texts = [x + [""] * (group - len(x)) for x in texts]
    missing = batch_size - len(texts)
    batch = scorer.prepare(
      [*prompts[start : start + batch_size], *[""] * missing],
      [*texts, *[[""] * group] * missing],
    )
    pending.append(run(params, batch))
  scores = np.concatenate([np.asarray(x) for x in pending]) if pending else []
  return [
    [float(x) for x in row[: len(group)]]
    for row, group in zip(scores, responses)
  ]
