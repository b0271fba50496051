"""One number per (source, target): what the analysis of transfer reads.

A table holds win rates of one method under one judge, or the accuracy of reward
models, or KL divergences: measured here (`of_matrix`) or printed in a paper.
Rates are fractions.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import statistics

from xlrm.analysis import transfer_matrices

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class PairTable:
  """Numbers of one method under one judge.

  Attributes:
    method: e.g. "best_of_n"; empty where none was used.
    judge: e.g. "palm2l"; empty where none was asked.
    sources: rows, languages of reward models.
    targets: columns, languages of policies.
    values: (source, target) -> number, for what was run.
  """

  method: str
  judge: str
  sources: tuple[str, ...]
  targets: tuple[str, ...]
  values: Mapping[Pair, float]

  def __post_init__(self):
    for source, target in self.values:
      if source not in self.sources or target not in self.targets:
        raise ValueError(
          f"({source}, {target}) is not in the table: rows {self.sources}, "
          f"columns {self.targets}"
        )

  @property
  def cross_lingual(self) -> dict[Pair, float]:
    """Off the diagonal, row by row."""
    return {
      (source, target): self.values[source, target]
      for source in self.sources
      for target in self.targets
      if source != target and (source, target) in self.values
    }

  @property
  def monolingual(self) -> dict[Pair, float]:
    """On the diagonal."""
    return {
      (target, target): self.values[target, target]
      for target in self.targets
      if (target, target) in self.values
    }

  def map(self, change: Callable[[Pair, float], float]) -> "PairTable":
    """The same table with other numbers."""
    values = {pair: change(pair, x) for pair, x in self.values.items()}
    return dataclasses.replace(self, values=values)


def of_matrix(matrix: transfer_matrices.Matrix) -> PairTable:
  """The win rates of a measured transfer matrix."""
  return PairTable(
    matrix.method,
    matrix.judge,
    matrix.sources,
    matrix.targets,
    {pair: cell.win.rate for pair, cell in matrix.cells.items()},
  )


def cross_lingual_mean(table: PairTable) -> float:
  """Mean off the diagonal, every pair counting equally."""
  found = table.cross_lingual
  if not found:
    raise ValueError(f"no cross-lingual pair in {table.method} {table.judge}")
  return statistics.fmean(found.values())


def num_above(values: Mapping[Pair, float], threshold: float = 0.5) -> int:
  """How many exceed the threshold; one that equals it does not."""
  return sum(value > threshold for value in values.values())


def num_better_than_own(table: PairTable) -> tuple[int, int]:
  """Cross-lingual pairs at least as good as the target's own reward model,
  and the pairs for which both are known."""
  own = {target: value for (_, target), value in table.monolingual.items()}
  known = [
    (value, own[target])
    for (_, target), value in table.cross_lingual.items()
    if target in own
  ]
  return sum(value >= mono for value, mono in known), len(known)


def shared(first: PairTable, second: PairTable) -> list[Pair]:
  """Pairs that both have, in the order of the first."""
  return [
    (source, target)
    for source in first.sources
    for target in first.targets
    if (source, target) in first.values and (source, target) in second.values
  ]


def columns(
  first: PairTable, second: PairTable
) -> dict[str, tuple[list[float], list[float]]]:
  """Target -> the two tables' numbers of the sources that both have."""
  found: dict[str, tuple[list[float], list[float]]] = {}
  for pair in shared(first, second):
    ours, theirs = found.setdefault(pair[1], ([], []))
    ours.append(first.values[pair])
    theirs.append(second.values[pair])
  return found


def of_rows(
  method: str, judge: str, rows: Mapping[str, Mapping[str, float]]
) -> PairTable:
  """{"en": {"de": 0.6}} -> a table with row en and column de."""
  targets: Sequence[str] = list(
    dict.fromkeys(target for row in rows.values() for target in row)
  )
  values = {
    (source, target): value
    for source, row in rows.items()
    for target, value in row.items()
  }
  return PairTable(method, judge, tuple(rows), tuple(targets), values)
