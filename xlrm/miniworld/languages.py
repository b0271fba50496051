"""The six languages of the miniworld, one module each."""

from xlrm.miniworld import english
from xlrm.miniworld import german
from xlrm.miniworld import grammar
from xlrm.miniworld import russian
from xlrm.miniworld import spanish
from xlrm.miniworld import turkish
from xlrm.miniworld import vietnamese

ALL = {
  module.LANGUAGE.code: module.LANGUAGE
  for module in (german, english, spanish, russian, turkish, vietnamese)
}


def get(code: str) -> grammar.Language:
  """The language of a two-letter code."""
  if code not in ALL:
    raise ValueError(f"unknown language {code!r}; miniworld has {list(ALL)}")
  return ALL[code]
