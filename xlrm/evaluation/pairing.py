"""Two methods' outputs for the same prompts, and what has no partner."""

from collections.abc import Sequence
import dataclasses

from xlrm.evaluation import records as records_lib

Records = Sequence[records_lib.EvalRecord]
Prompt = tuple[int, str, str, str]  # see `EvalRecord.prompt`


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two outputs for one prompt.

  Attributes:
    ours: of the method, whose win is counted.
    theirs: of the baseline.
  """

  ours: records_lib.EvalRecord
  theirs: records_lib.EvalRecord

  @property
  def cell(self) -> tuple[str, str]:
    """The languages (source, target)."""
    return self.ours.source, self.ours.target

  @property
  def id(self) -> tuple[str, str]:
    """The two ids, as verdicts name them."""
    return self.ours.id, self.theirs.id

  @property
  def identical(self) -> bool:
    """Whether it is a tie that no judge need be asked about."""
    return self.ours.output == self.theirs.output


@dataclasses.dataclass(frozen=True)
class Paired:
  """All pairs of a method and a baseline.

  Attributes:
    pairs: cell by cell, prompts in the order of the method's records.
    unpaired: cell -> prompts that only one side answers.
  """

  pairs: Sequence[Pair]
  unpaired: dict[tuple[str, str], int]


def check_one_study(records: Records) -> None:
  """Raises ValueError if the records are of several studies."""
  studies = sorted({record.study for record in records})
  if len(studies) > 1:
    raise ValueError(f"records of {len(studies)} studies: {studies}; use one")


def by_prompt(
  records: Records, method: str, source: str, target: str
) -> dict[Prompt, records_lib.EvalRecord]:
  """The record with which a method answers each prompt.

  Raises:
    ValueError: two records answer one prompt.
  """
  chosen = {}
  for record in records:
    if (record.method, record.source, record.target) == (
      method,
      source,
      target,
    ):
      if record.prompt in chosen:
        raise ValueError(
          f"two records answer one prompt: {chosen[record.prompt].id} and "
          f"{record.id}"
        )
      chosen[record.prompt] = record
  return chosen


def _of(records: Records, method: str) -> Records:
  found = [record for record in records if record.method == method]
  if not found:
    methods = sorted({record.method for record in records})
    raise ValueError(
      f"no records of the method {method!r}; there are {', '.join(methods)}"
    )
  return found


def pair(records: Records, method: str, baseline: str) -> Paired:
  """The pairs of every (source, target), on the prompts that both answered.

  The baseline is that of the target without a reward model's source, or, where
  it has sources itself, that of the same source.

  Raises:
    ValueError: records of two studies, none of a method, two for one prompt,
      no prompt in common.
  """
  if method == baseline:
    raise ValueError(f"{method!r} cannot be compared with itself")
  check_one_study(records)
  ours, theirs = _of(records, method), _of(records, baseline)
  with_source = any(record.source for record in theirs)
  pairs, unpaired = [], {}
  for cell in dict.fromkeys((x.source, x.target) for x in ours):
    source = cell[0] if with_source else ""
    mine = by_prompt(ours, method, *cell)
    other = by_prompt(theirs, baseline, source, cell[1])
    pairs += [Pair(mine[x], other[x]) for x in mine if x in other]
    unpaired[cell] = len(mine.keys() ^ other.keys())
  if not pairs:
    raise ValueError(f"no prompt is answered by both {method} and {baseline}")
  return Paired(pairs, unpaired)
