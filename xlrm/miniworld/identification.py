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
  """An identifier by words: the language that knows most of a text's.

  Attributes:
    name: as reports say it.
    languages: that it chooses among.
  """

  name: str = "the words of the miniworld"
  languages: Sequence[str] = world.LANGUAGES

  def identify(self, text: str) -> str | None:
    """The language of a text; None where two know as much of it, or none."""
    return _identify(text)
