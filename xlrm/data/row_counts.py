"""What became of the rows of a file: kept, or left out and why.

Every reader counts into one of these; the table is printed when a task is
loaded, and it is the error when nothing is left.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

SHOWN = 3  # rows named beside a reason


class Dropped(Exception):
  """A row that its reader leaves out; the message is the reason."""


@dataclasses.dataclass
class RowCounts:
  """Counts of one reader over one split.

  Attributes:
    title: what was read.
    unit: what is kept.
    facts: further counts, shown above what was left out.
    dropped: reason -> rows, as they are named in the table.
  """

  title: str
  unit: str = "rows"
  kept: int = 0
  facts: dict[str, int] = dataclasses.field(default_factory=dict)
  dropped: dict[str, list[str]] = dataclasses.field(default_factory=dict)

  def drop(self, reason: str, name: str) -> None:
    """Counts a row that is left out."""
    self.dropped.setdefault(reason, []).append(name)

  def count(self, fact: str, number: int = 1) -> None:
    """Counts something that is not left out."""
    self.facts[fact] = self.facts.get(fact, 0) + number

  def by_reason(self) -> Mapping[str, int]:
    """Reason -> how many."""
    return {reason: len(names) for reason, names in self.dropped.items()}

  def text(self) -> str:
    """The table: what was kept, facts, reasons by size with some rows."""
    lines = [(self.unit + " kept", self.kept, ""), *self._facts()]
    for reason, names in sorted(
      self.dropped.items(), key=lambda item: (-len(item[1]), item[0])
    ):
      rest = ", .." if len(names) > SHOWN else ""
      lines.append((reason, len(names), ", ".join(names[:SHOWN]) + rest))
    width = max(len(name) for name, *_ in lines)
    table = "\n".join(
      f"  {name:<{width}} {number:>9,}  {names}".rstrip()
      for name, number, names in lines
    )
    return f"{self.title}\n{table}"

  def _facts(self) -> list[tuple[str, int, str]]:
    return [(name, number, "") for name, number in self.facts.items()]

  def close(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Prints the table and returns the rows.

    Raises:
      ValueError: there are none; shows the table.
    """
    self.kept = len(rows)
    if not rows:
      raise ValueError(f"nothing is left of {self.text()}")
    print(self.text(), flush=True)
    return rows
