"""What outputs look like, whatever a judge says of them.

A reward model can be pleased by outputs that are empty, copied from the input,
repeat themselves, or are all the same; these shares show it.
"""

from collections.abc import Sequence
import dataclasses

from xlrm import records as records_lib
from xlrm.evaluation import text_metrics

ORDER = 3  # words of the pieces that copying and repetition are counted in


@dataclasses.dataclass(frozen=True)
class Fidelity:
  """Of a set of outputs.

  Attributes:
    n: outputs.
    empty: share without a word.
    words: mean number of words.
    copied: mean share of an output's word triples that its input has.
    repeated: mean share of an output's word triples that it said before.
    duplicates: share of outputs equal to one for another prompt.
  """

  n: int
  empty: float
  words: float
  copied: float
  repeated: float
  duplicates: float


def _triples(words: Sequence[str]) -> list[tuple[str, ...]]:
  return [tuple(words[i : i + ORDER]) for i in range(len(words) - ORDER + 1)]


def copied(output: Sequence[str], source: Sequence[str]) -> float:
  """Share of the triples of `output` in `source`; 0 without triples."""
  ours, theirs = _triples(output), set(_triples(source))
  return sum(x in theirs for x in ours) / len(ours) if ours else 0.0


def repeated(output: Sequence[str]) -> float:
  """Share of triples said before: [a b c a b c] -> 1/4."""
  ours = _triples(output)
  return 1 - len(set(ours)) / len(ours) if ours else 0.0


def fidelity(records: Sequence[records_lib.EvalRecord]) -> Fidelity:
  """Describes the outputs of records, e.g. of one cell."""
  if not records:
    raise ValueError("no outputs to describe")
  outputs = [text_metrics.words(r.output, r.language) for r in records]
  inputs = [text_metrics.words(r.input, r.language) for r in records]
  counts: dict[str, int] = {}
  for record in records:
    counts[record.output] = counts.get(record.output, 0) + 1
  n = len(records)
  return Fidelity(
    n=n,
    empty=sum(not x for x in outputs) / n,
    words=sum(len(x) for x in outputs) / n,
    copied=sum(copied(x, y) for x, y in zip(outputs, inputs)) / n,
    repeated=sum(repeated(x) for x in outputs) / n,
    duplicates=sum(counts[r.output] > 1 for r in records) / n,
  )
