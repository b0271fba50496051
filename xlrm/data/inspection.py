"""What a task looks like to a model: before anything is trained on it.

Rows are tokenized with the model's vocabulary and decoded again, so that the
page shows what the model will read, cut where it will be cut.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from xlrm import types
from xlrm.batches import converters
from xlrm.data import seqio_source
from xlrm.evaluation import agreement
from xlrm.evaluation import bag_of_words
from xlrm.text import token_lengths
from xlrm.text import tokenizer as tokenizer_lib


@dataclasses.dataclass(frozen=True)
class Lengths:
  """Tokens of a column, EOS included.

  Attributes:
    limit: longer ones are cut.
    cut: share of texts that are.
    kept: share of all tokens that is left.
  """

  mean: float
  median: float
  high: float  # 95th percentile
  longest: int
  limit: int
  cut: float
  kept: float


@dataclasses.dataclass(frozen=True)
class Sample:
  """One row as a model reads it.

  Attributes:
    responses: decoded, each with its judgment.
  """

  id: str
  prompt: str
  responses: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Part:
  """The rows of one task and split in one language.

  Attributes:
    rows: all of them.
    looked_at: rows that the numbers below are of, evenly spaced.
    inputs: prompts.
    targets: responses.
    tokens_per_word: of prompts and responses.
    unknown: share of tokens that the vocabulary does not know.
    balance: of the judgments, in words; '' if there are none.
    duplicates: rows whose prompt and response came before.
    agreement: of ratings of the same response.
  """

  task: str
  language: str
  rows: int
  looked_at: int
  inputs: Lengths
  targets: Lengths
  tokens_per_word: float
  unknown: float
  balance: str
  duplicates: int
  agreement: agreement.Agreement | None
  samples: tuple[Sample, ...]


def _lengths(sizes: Sequence[int], limit: int) -> Lengths:
  values = np.asarray(sizes)
  return Lengths(
    mean=float(values.mean()),
    median=float(np.median(values)),
    high=float(np.quantile(values, 0.95)),
    longest=int(values.max()),
    limit=limit,
    cut=float((values > limit).mean()),
    kept=float(np.minimum(values, limit).sum() / values.sum()),
  )


def _responses(row: Mapping[str, Any]) -> list[str]:
  return list(row.get("responses") or [row["targets_pretokenized"]])


def _judgments(row: Mapping[str, Any]) -> list[str]:
  if "ranks" in row:
    return [f"rank {rank}" for rank in row["ranks"]]
  return [f"rated {row['rating']:g}"] if "rating" in row else [""]


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
  where = row.get("gem_id") or row["reward_inputs"]
  return (where, *_responses(row))


class _Reader:
  """Tokenizes as the model's jobs do."""

  def __init__(
    self,
    tokenizer: tokenizer_lib.Tokenizer,
    lengths: Mapping[str, int],
    from_left: bool,
  ):
    self.tokenizer, self.lengths = tokenizer, lengths
    self.from_left = from_left
    self.words = self.unknown = self.tokens = 0

  def ids(self, text: str) -> np.ndarray:
    ids = self.tokenizer.encode(text)
    self.words += len(bag_of_words.words(text))
    self.tokens += len(ids)
    self.unknown += sum(x == self.tokenizer.unk_id for x in ids)
    return np.asarray([*ids, types.EOS_ID], np.int32)

  def decoded(self, ids: np.ndarray, feature: str) -> str:
    left = self.from_left and feature == "inputs"
    kept = token_lengths.clip(ids, self.lengths[feature], from_left=left)
    return self.tokenizer.decode(kept)


def _part(
  task: str,
  language: str,
  rows: Sequence[Mapping[str, Any]],
  reader: _Reader,
  num_samples: int,
  max_rows: int,
) -> Part:
  places = np.linspace(0, len(rows) - 1, min(max_rows, len(rows))).astype(int)
  chosen = [rows[i] for i in places]
  prompts = [reader.ids(row["inputs_pretokenized"]) for row in chosen]
  responses = [[reader.ids(x) for x in _responses(row)] for row in chosen]
  shown = np.linspace(0, len(chosen) - 1, min(num_samples, len(chosen)))
  samples = tuple(
    Sample(
      chosen[i]["id"],
      reader.decoded(prompts[i], "inputs"),
      tuple(
        (reader.decoded(ids, "targets"), judgment)
        for ids, judgment in zip(responses[i], _judgments(chosen[i]))
      ),
    )
    for i in shown.astype(int)
  )
  keys = [_key(row) for row in rows]
  people = None
  if "rating" in rows[0]:
    people = agreement.of_duplicates(keys, [row["rating"] for row in rows])
  return Part(
    task=task,
    language=language,
    rows=len(rows),
    looked_at=len(chosen),
    inputs=_lengths([len(x) for x in prompts], reader.lengths["inputs"]),
    targets=_lengths(
      [len(x) for group in responses for x in group], reader.lengths["targets"]
    ),
    tokens_per_word=reader.tokens / max(reader.words, 1),
    unknown=reader.unknown / max(reader.tokens, 1),
    balance=converters.balance(rows),
    duplicates=len(keys) - len(set(keys)),
    agreement=people,
    samples=samples,
  )


def inspect(
  source: seqio_source.SeqioSource,
  split: str,
  *,
  num_samples: int = 3,
  max_rows: int = 2000,
) -> list[Part]:
  """One part per task and language of a source, in their order.

  Args:
    source: with the model's tokenizer and lengths.
    num_samples: rows shown of each part, evenly spaced.
    max_rows: rows tokenized of each part; all are counted and compared.
  """
  if num_samples < 0 or max_rows < 1:
    raise ValueError(f"num_samples {num_samples}, max_rows {max_rows}")
  groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
  for row in source.examples(split):
    groups.setdefault((row["task"], row["language"]), []).append(row)
  if not groups:
    raise ValueError(f"{source.mixture_or_task!r} has no rows in {split!r}")
  from_left = bool(source.truncate_inputs_from_left)
  return [
    _part(
      task,
      language,
      rows,
      _Reader(source.tokenizer, source.lengths, from_left),
      num_samples,
      max_rows,
    )
    for (task, language), rows in groups.items()
  ]
