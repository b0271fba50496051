"""Self-supervised examples at token level: what the base model is trained on.

Span corruption (https://arxiv.org/abs/1910.10683, 3.1.4) hides spans of the
input behind sentinel ids and asks for them. Replaced-token detection
(https://arxiv.org/abs/2003.10555) asks of every token of a corrupted response
whether it stands where the text had another, and of EOS whether anything was
replaced; its labels are made from words. Host code, NumPy only.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from xlrm import types
from xlrm.text import tokenizer as tokenizer_lib
from xlrm.types import checks

NOT_ASKED = -1
WORD_START = "\u2581"  # how sentencepiece writes the blank before a word


@dataclasses.dataclass(frozen=True)
class SpanCorruption:
  """How much of a text is hidden.

  Attributes:
    density: share of tokens hidden, in (0, 1).
    mean_span: mean number of tokens of a hidden span, >= 1.
  """

  density: float = 0.15
  mean_span: float = 3.0

  def __post_init__(self):
    if not 0 < self.density < 1:
      raise ValueError(f"density {self.density} is not in (0, 1)")
    checks.at_least("mean_span", self.mean_span, 1)


def generator(seed: int, index: int) -> np.random.Generator:
  """The random numbers of one example: a pure function of (seed, index)."""
  return np.random.Generator(np.random.Philox(key=[seed, index]))


def _split(total: int, parts: int, rng: np.random.Generator) -> np.ndarray:
  """`total` as a sum of `parts` positive integers, all equally likely."""
  cuts = rng.choice(np.arange(1, total), size=parts - 1, replace=False)
  return np.diff(np.concatenate([[0], np.sort(cuts), [total]]))


def corrupt_spans(
  ids: Sequence[int],
  sentinels: Sequence[int],
  config: SpanCorruption,
  rng: np.random.Generator,
) -> tuple[list[int], list[int]]:
  """Hides spans of `ids`; returns (inputs, targets), both ending in EOS.

  a b c d e, hiding b c -> inputs a <X> d e EOS, targets <X> b c EOS

  Args:
    ids: one text, without EOS; two tokens or more.
    sentinels: sentinel ids, first used first; they bound the spans.
  """
  if len(ids) < 2:
    raise ValueError(f"a text of {len(ids)} tokens is too short to hide a span")
  hidden = int(np.clip(round(len(ids) * config.density), 1, len(ids) - 1))
  spans = int(
    np.clip(
      round(hidden / config.mean_span),
      1,
      min(hidden, len(ids) - hidden, len(sentinels)),
    )
  )
  hidden_lengths = _split(hidden, spans, rng)
  kept_lengths = _split(len(ids) - hidden, spans, rng)
  inputs, targets, start = [], [], 0
  for sentinel, kept, gone in zip(sentinels, kept_lengths, hidden_lengths):
    inputs += [*ids[start : start + kept], sentinel]
    targets += [sentinel, *ids[start + kept : start + kept + gone]]
    start += kept + gone
  return [*inputs, types.EOS_ID], [*targets, types.EOS_ID]


def word_labels(pieces: Sequence[str], labels: Sequence[int]) -> list[int]:
  """Labels of words -> labels of their pieces; the last label is EOS's.

  pieces _the _ca t, labels [0, 1, 1] -> [0, 1, 1, 1]

  Raises:
    ValueError: the pieces have another number of words than there are labels.
  """
  word, result = -1, []
  for piece in pieces:
    word += piece.startswith(WORD_START)
    result.append(labels[max(word, 0)])
  if word + 2 != len(labels):
    raise ValueError(
      f"{len(labels)} labels (words and EOS) for a text of {word + 1} words: "
      f"{''.join(pieces)}"
    )
  return [*result, labels[-1]]


def example(
  row: Any,
  tokenizer: tokenizer_lib.Tokenizer,
  config: SpanCorruption,
  rng: np.random.Generator,
) -> dict[str, np.ndarray]:
  """A row of text as token arrays `inputs`, `targets`, `replaced`.

  `replaced` is 0 or 1 where the question is whether a token was replaced, and
  -1 where it is not asked.

  Args:
    row: has `kind` ('denoise', 'detect', or any pair of texts), `inputs`,
      `targets`, and `replaced`: for 'detect' one label per word and for EOS.
    tokenizer: an `xlrm.text.tokenizer.Tokenizer` with sentinels.
  """
  inputs = tokenizer.encode(row.inputs)
  if row.kind == "denoise":
    inputs, targets = corrupt_spans(inputs, tokenizer.sentinel_ids, config, rng)
  else:
    inputs = [*inputs, types.EOS_ID]
    targets = [*tokenizer.encode(row.targets), types.EOS_ID]
  replaced = [NOT_ASKED] * len(targets)
  if row.kind == "detect":
    pieces = tokenizer.pieces(row.targets)
    replaced = word_labels(pieces, row.replaced)
  return {
    "inputs": np.asarray(inputs, np.int32),
    "targets": np.asarray(targets, np.int32),
    "replaced": np.asarray(replaced, np.int32),
  }
