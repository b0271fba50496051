"""The six languages of the miniworld, one module each."""

from xlrm.miniworld import grammar
from xlrm.miniworld.languages import de
from xlrm.miniworld.languages import en
from xlrm.miniworld.languages import es
from xlrm.miniworld.languages import ru
from xlrm.miniworld.languages import tr
from xlrm.miniworld.languages import vi

ALL = {
  module.LANGUAGE.code: module.LANGUAGE for module in (de, en, es, ru, tr, vi)
}


def get(code: str) -> grammar.Language:
  """The language of a two-letter code."""
  if code not in ALL:
    raise ValueError(f"unknown language {code!r}; miniworld has {list(ALL)}")
  return ALL[code]
