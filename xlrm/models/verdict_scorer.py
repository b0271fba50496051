"""A reward model that answers in text: the released SEAHORSE metrics.

An encoder-decoder that reads premise and hypothesis together and says "1"
(good) or "0" (https://arxiv.org/abs/2305.13194). Its score is the log odds of
the two first tokens, so 0 is the border and sigmoid(score) the probability of
"1" among the two. The encoder runs once per response: the response is in it.
"""

from collections.abc import Sequence
import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from xlrm import types
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.text import tokenizer as tokenizer_lib

INPUT_FORMAT = "premise: {document} hypothesis: {summary}"
GOOD, BAD = "1", "0"
# Texts are padded to a multiple: few shapes, few compilations.
LENGTH_UNIT = 128


@dataclasses.dataclass(frozen=True)
class VerdictScorer(response_scorer.Scorer):
  """A language model's verdict as a score.

  Attributes:
    model: the language model.
    tokenizer: its own.
    max_input_length: tokens of document and summary together, EOS included;
      longer documents lose their end, never the summary.
    input_format: with {document} and {summary}.
    good: what it says of a good summary.
    bad: what it says of a bad one.
    verdict: (tokens that both answers begin with, the next token of `good`,
      that of `bad`); None looks them up in the tokenizer.
  """

  model: language_model.EncoderDecoder
  tokenizer: tokenizer_lib.Tokenizer | None
  max_input_length: int = 2048
  input_format: str = INPUT_FORMAT
  good: str = GOOD
  bad: str = BAD
  verdict: tuple[tuple[int, ...], int, int] | None = None

  def __post_init__(self):
    for field in ("{document}", "{summary}"):
      if field not in self.input_format:
        raise ValueError(f"input_format {self.input_format!r} lacks {field}")
    if self.verdict is None:
      object.__setattr__(self, "verdict", self._look_up())

  def _look_up(self) -> tuple[tuple[int, ...], int, int]:
    """Token ids of the answers, from the tokenizer.

    Raises:
      ValueError: they are one and the same, or unknown to it.
    """
    good, bad = (self.tokenizer.encode(x) for x in (self.good, self.bad))
    prefix = 0
    while prefix < min(len(good), len(bad)) and good[prefix] == bad[prefix]:
      prefix += 1
    known = self.tokenizer.unk_id not in (*good, *bad)
    if not known or prefix >= min(len(good), len(bad)):
      raise ValueError(
        f"the vocabulary {self.tokenizer.path} cannot tell {self.good!r} "
        f"{good} from {self.bad!r} {bad}: it is not that of a verdict model"
      )
    return tuple(good[:prefix]), good[prefix], bad[prefix]

  def abstract(self) -> types.Params:
    """The language model's parameters; there are no others."""
    return self.model.abstract()

  def rows_read(self, num_responses: int) -> list[tuple[int, int]]:
    """The rows and tokens of a prompt, see `ResponseScorer.rows_read`."""
    return [(num_responses, self.max_input_length)]

  def prepare(
    self, reward_inputs: Sequence[str], responses: Sequence[Sequence[str]]
  ) -> types.Batch:
    """Texts to a batch: `targets` [B N L] hold document and summary, joined.

    `inputs` [B 1] are empty: nothing is shared between the responses.
    """
    response_scorer.check_texts(self.tokenizer, reward_inputs, responses)
    rows = [
      [self._ids(document, summary) for summary in group]
      for document, group in zip(reward_inputs, responses)
    ]
    longest = max((len(ids) for row in rows for ids in row), default=1)
    length = min(
      -(-longest // LENGTH_UNIT) * LENGTH_UNIT, self.max_input_length
    )
    group = max(map(len, rows), default=0)
    targets = np.zeros((len(rows), group, length), np.int32)
    for i, row in enumerate(rows):
      for j, ids in enumerate(row):
        targets[i, j, : len(ids)] = ids
    weights = (targets != types.PAD_ID).astype(np.float32)
    inputs = np.zeros((len(rows), 1), np.int32)
    return types.check_shapes(types.Batch(inputs, targets, weights))

  def _ids(self, document: str, summary: str) -> list[int]:
    @functools.cache
    def encoded(kept: str) -> list[int]:
      text = self.input_format.format(document=kept, summary=summary)
      return [*self.tokenizer.encode(text), types.EOS_ID]

    if len(encoded(document)) <= self.max_input_length:
      return encoded(document)
    # The longest beginning of the document that leaves room for the summary.
    words = document.split(" ")
    low, high = 0, len(words)
    while low < high:
      middle = (low + high + 1) // 2
      fits = len(encoded(" ".join(words[:middle]))) <= self.max_input_length
      low, high = (middle, high) if fits else (low, middle - 1)
    ids = encoded(" ".join(words[:low]))
    return [*ids[: self.max_input_length - 1], types.EOS_ID]

  def scores(
    self,
    params: types.Params,
    batch: types.Batch,
    *,
    dropout_key: jax.Array | None = None,
  ) -> Float[types.Array, "B N"]:
    """The scores log p(good) - log p(bad) at the first token that differs."""
    rows, group, length = batch.targets.shape
    prefix, good, bad = self.verdict
    memory = self.model.encode(
      params, batch.targets.reshape(-1, length), dropout_key=dropout_key
    )
    answer = jnp.array([*prefix, types.PAD_ID], jnp.int32)
    answer = jnp.broadcast_to(answer, (rows * group, 1, answer.size))
    state = self.model.hidden(params, memory, answer)[:, 0, -1]
    columns = self.model.output_matrix(params)[:, jnp.array([good, bad])]
    logits = state.astype(jnp.float32) @ columns.astype(jnp.float32)
    return (logits[:, 0] - logits[:, 1]).reshape(rows, group)
