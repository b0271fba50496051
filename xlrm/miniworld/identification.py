"""In which of the world's languages a text is: the one whose words it has.

The world is closed, so its own words tell more than an identifier made for
real text: a summary that changes language in the middle is seen for what it is.
"""

from collections.abc import Sequence
import dataclasses
import functools

from xlrm.miniworld import parsing
from xlrm.miniworld import world


@functools.cache
def _identify(text: str) -> str | None:
  shares = {code: parsing.known_share(text, code) for code in world.LANGUAGES}
  most = max(shares.values())
  found = [code for code, share in shares.items() if share == most]
  return found[0] if most and len(found) == 1 else None


@dataclasses.dataclass(frozen=True)
class WordIdentifier:
  """Names the language that knows the largest share of a text's words.

  Attributes:
    name: as reports say it.
    languages: that it chooses among.
  """

  name: str = "the words of the miniworld"
  languages: Sequence[str] = world.LANGUAGES

  def identify(self, text: str) -> str | None:
    """None where two languages know equally many of them, or none any."""
    return _identify(text)
