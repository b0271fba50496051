"""What people compare: the outputs of a method and of a baseline, by prompt."""

from collections import Counter
from collections.abc import Iterable, Sequence
import hashlib

from xlrm.evaluation import pairing
from xlrm.evaluation import records as records_lib

Record = records_lib.EvalRecord


def look_alike(pair: pairing.Pair) -> bool:
  """Whether nobody can tell the two outputs apart, so that nobody is asked."""
  return pair.ours.output.split() == pair.theirs.output.split()


def of_records(
  records: Sequence[Record],
  *,
  method: str,
  source: str,
  baseline: str,
  language: str,
) -> list[pairing.Pair]:
  """The outputs of two methods for the prompts that both answered.

  Args:
    records: of one study.
    method: whose win is counted.
    source: language of the reward model; empty for a method without one.
    baseline: a method without a source.
    language: target of both.

  Returns:
    Sorted by prompt, whatever the order of the records.

  Raises:
    ValueError: two studies, two outputs for one prompt, two inputs of one
      prompt, or no pair at all.
  """
  pairing.check_one_study(records)
  ours = pairing.by_prompt(records, method, source, language)
  theirs = pairing.by_prompt(records, baseline, "", language)
  both = [x for x in sorted(ours) if x in theirs]
  found = [pairing.Pair(ours[x], theirs[x]) for x in both]
  for pair in found:
    if pair.ours.input != pair.theirs.input:
      raise ValueError(
        f"{pair.ours.id} and {pair.theirs.id} answer different inputs"
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


def digest(pairs: Sequence[pairing.Pair]) -> str:
  """A text that changes with an id or a text of any pair, not with scores."""
  state = hashlib.sha256()
  for pair in pairs:
    for record in (pair.ours, pair.theirs):
      fields = (record.id, record.input, record.reference, record.output)
      state.update(repr(fields).encode())
  return state.hexdigest()
