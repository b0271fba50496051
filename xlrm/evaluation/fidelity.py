"""What outputs look like, whatever a judge says of them.

A reward model can be pleased by outputs that are empty, copied from the input,
repeat themselves, or are all the same; these shares show it.
"""

from collections.abc import Sequence
import dataclasses

from xlrm.evaluation import language_id
from xlrm.evaluation import records as records_lib
from xlrm.evaluation import text_metrics

ORDER = 3  # words of the pieces that copying and repetition are counted in


@dataclasses.dataclass(frozen=True)
class Fidelity:
  """What a set of outputs looks like.

  Attributes:
    n: outputs.
    empty: share without a word.
    words: mean number of words.
    copied: mean share of an output's word triples that its input has.
    repeated: mean share of an output's word triples that it said before.
    duplicates: share of outputs equal to one for another prompt.
    in_language: share of outputs in the language asked, by an identifier; None
      where none was given or it does not know the language.
  """

  n: int
  empty: float
  words: float
  copied: float
  repeated: float
  duplicates: float
  in_language: float | None = None


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


def in_language(
  records: Sequence[records_lib.EvalRecord],
  identifier: language_id.Identifier | None,
) -> float | None:
  """Share of outputs in the language asked; an empty one is in none."""
  if identifier is None:
    return None
  asked = [language_id.primary(record.language) for record in records]
  if not set(asked) <= set(identifier.languages):
    return None
  found = [identifier.identify(record.output) for record in records]
  return sum(a == b for a, b in zip(asked, found)) / len(records)


def fidelity(
  records: Sequence[records_lib.EvalRecord],
  identifier: language_id.Identifier | None = None,
) -> Fidelity:
  """What the outputs of records look like, e.g. those of one cell."""
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
    in_language=in_language(records, identifier),
  )


def by_cell(
  records: Sequence[records_lib.EvalRecord],
  identifier: language_id.Identifier | None = None,
) -> dict[tuple[str, str, str], Fidelity]:
  """What outputs look like by (method, source, target)."""
  groups: dict[tuple[str, str, str], list[records_lib.EvalRecord]] = {}
  for record in records:
    key = (record.method, record.source, record.target)
    groups.setdefault(key, []).append(record)
  return {key: fidelity(group, identifier) for key, group in groups.items()}
