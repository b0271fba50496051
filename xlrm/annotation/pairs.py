"""What people compare: the outputs of a method and of a baseline, by prompt."""

from collections import Counter
from collections.abc import Iterable, Sequence
import hashlib

from xlrm.annotation import design
from xlrm.evaluation import pairing
from xlrm.evaluation import records as records_lib

Record = records_lib.EvalRecord


def of_records(
  records: Sequence[Record],
  *,
  method: str,
  source: str,
  baseline: str,
  language: str,
) -> list[pairing.Pair]:
  """The prompts that both sides answered.

  Args:
    records: of one study.
    method: whose outputs are `ours`.
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
  found = [
    pairing.Pair(ours[x], theirs[x]) for x in sorted(ours) if x in theirs
  ]
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


def read(path: str, settings: design.Settings) -> list[pairing.Pair]:
  """`of_records` of a file, as a study's settings ask for them."""
  return of_records(
    records_lib.read(path, records_lib.EvalRecord),
    method=settings.method,
    source=settings.source,
    baseline=settings.baseline,
    language=settings.language,
  )


def _name(method: str, source: str, target: str) -> str:
  return f"{method} {source}->{target}" if source else f"{method} {target}"


def _contents(records: Iterable[Record]) -> str:
  counts = Counter(_name(x.method, x.source, x.target) for x in records)
  return ", ".join(f"{name} ({n})" for name, n in sorted(counts.items()))


def digest(pairs: Sequence[pairing.Pair]) -> str:
  """Changes when an id or a text of any pair does; not with the scores."""
  state = hashlib.sha256()
  for pair in pairs:
    for record in (pair.ours, pair.theirs):
      fields = (record.id, record.input, record.reference, record.output)
      state.update(repr(fields).encode())
  return state.hexdigest()
