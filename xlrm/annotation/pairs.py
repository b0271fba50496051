"""What people compare: the outputs of a method and of a baseline, by prompt."""

from collections import Counter
from collections.abc import Iterable, Sequence
import dataclasses
import hashlib

from xlrm.analysis import transfer_matrices
from xlrm.evaluation import records as records_lib

Record = records_lib.EvalRecord


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two outputs for one prompt."""

  first: Record  # of the method
  second: Record  # of the baseline

  @property
  def identical(self) -> bool:
    """Nobody can tell them apart, so nobody is asked."""
    return self.first.output.split() == self.second.output.split()


def of_records(
  records: Sequence[Record],
  *,
  method: str,
  source: str,
  baseline: str,
  language: str,
) -> list[Pair]:
  """The prompts that both sides answered, as in `cells.transfer_matrix`.

  Args:
    records: of one study.
    method: whose outputs are the first of each pair.
    source: language of the reward model; empty for a method without one.
    baseline: a method without a source.
    language: target of both.

  Returns:
    Sorted by prompt, whatever the order of the records.

  Raises:
    ValueError: two studies, two outputs for one prompt, two inputs of one
      prompt, or no pair at all.
  """
  transfer_matrices.check_one_study(records)
  ours = transfer_matrices.by_prompt(records, method, source, language)
  theirs = transfer_matrices.by_prompt(records, baseline, "", language)
  found = [Pair(ours[x], theirs[x]) for x in sorted(ours) if x in theirs]
  for pair in found:
    if pair.first.input != pair.second.input:
      raise ValueError(
        f"{pair.first.id} and {pair.second.id} answer different inputs"
      )
  if not found:
    raise ValueError(
      f"no prompt has outputs of both {_name(method, source, language)} "
      f"({len(ours)}) and {_name(baseline, '', language)} ({len(theirs)}); "
      f"the records hold {_contents(records)}"
    )
  return found


def _name(method: str, source: str, target: str) -> str:
  return f"{method} {source}->{target}" if source else f"{method} {target}"


def _contents(records: Iterable[Record]) -> str:
  counts = Counter(_name(x.method, x.source, x.target) for x in records)
  return ", ".join(f"{name} ({n})" for name, n in sorted(counts.items()))


def digest(pairs: Sequence[Pair]) -> str:
  """Changes when an id or a text of any pair does; not with the scores."""
  state = hashlib.sha256()
  for pair in pairs:
    for record in (pair.first, pair.second):
      fields = (record.id, record.input, record.reference, record.output)
      state.update(repr(fields).encode())
  return state.hexdigest()
