"""Whether a win came with a change of language.

A policy that leaves its language may win: a judge may like fluent English more
than halting Vietnamese. Such wins are not alignment, so they are counted.
"""

from collections.abc import Sequence
import dataclasses

from xlrm.evaluation import language_id
from xlrm.evaluation import pairing


@dataclasses.dataclass(frozen=True)
class LanguageChanges:
  """The languages of pairs whose outcome is above one half.

  Attributes:
    wins: such pairs.
    left: the winner is not in the language asked, the baseline is.
    returned: the winner is in the language asked, the baseline is not.
    neither: neither is, and the two are in different languages.
  """

  wins: int
  left: int
  returned: int
  neither: int

  @property
  def changed(self) -> int:
    """The wins in another language than the baseline's."""
    return self.left + self.returned + self.neither


def of_wins(
  pairs: Sequence[pairing.Pair],
  outcomes: Sequence[float | None],
  identifier: language_id.Identifier,
) -> LanguageChanges | None:
  """The changes of language among wins.

  None if the identifier does not know a language that was asked.

  Args:
    outcomes: one per pair; None where it has none.
  """
  counts = {"wins": 0, "left": 0, "returned": 0, "neither": 0}
  for pair, outcome in zip(pairs, outcomes, strict=True):
    asked = language_id.primary(pair.ours.language)
    if asked not in identifier.languages:
      return None
    if outcome is None or not outcome > 0.5:
      continue
    counts["wins"] += 1
    ours = identifier.identify(pair.ours.output)
    theirs = identifier.identify(pair.theirs.output)
    if ours == theirs:
      continue
    kinds = {ours: "returned", theirs: "left"}
    counts[kinds.get(asked, "neither")] += 1
  return LanguageChanges(**counts)
