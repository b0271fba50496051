"""Prompts of a judge that compares two outputs.

A template is a text file with {input}, {first} and {second}, and {language} if
it likes; those that ship are named like `summarization/overall`. Each text is
put between tags whose name holds a mark that occurs in none of the texts,

  <output-1-3fa9c1d2>
  35 houses burned in Hanoi.
  </output-1-3fa9c1d2>

so an output can neither end its own part nor begin another. It can still say
"answer 1", and a weak judge may obey: that no delimiter prevents.
"""

from collections.abc import Sequence
import dataclasses
import difflib
import hashlib
import pathlib
import re

from xlrm.storage import files
from xlrm.storage import package_data

REQUIRED = ("input", "first", "second")
OPTIONAL = ("language",)
TAGS = {"input": "input", "first": "output-1", "second": "output-2"}
_FIELD = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
_MARK_LENGTH = 8  # hexadecimal digits


def directory() -> pathlib.Path:
  """The folder of the templates that ship with xlrm."""
  return package_data.asset("templates")


def shipped() -> list[str]:
  """The names of what ships: ['dialogue/overall', ...]."""
  return sorted(
    path.relative_to(directory()).with_suffix("").as_posix()
    for path in directory().glob("*/*.txt")
  )


def _printable(text: str) -> str:
  """Halves of surrogate pairs, which no UTF-8 can hold, become U+FFFD."""
  return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mark(texts: Sequence[str]) -> str:
  """Is in none of the texts, and does not depend on their order."""
  digest = hashlib.sha256(repr(sorted(texts)).encode())
  while True:
    mark = digest.hexdigest()[:_MARK_LENGTH]
    if not any(mark in text for text in texts):
      return mark
    digest.update(b"again")


@dataclasses.dataclass(frozen=True)
class Template:
  """A prompt with places for the texts.

  Attributes:
    name: in the judge's name.
    text: with placeholders; `{{word}}` stands for a literal `{word}`, other
      braces for themselves.
    place: what errors call it.
  """

  name: str
  text: str
  place: str = "template"

  def __post_init__(self):
    known = (*REQUIRED, *OPTIONAL)
    for number, line in enumerate(self.text.splitlines(), 1):
      for _, field in _FIELD.findall(line):
        if field and field not in known:
          near = difflib.get_close_matches(field, known, 1, 0)[0]
          raise ValueError(
            f"{self.place}:{number}: unknown placeholder {{{field}}}; the "
            f"nearest is {{{near}}}, and braces that mean themselves are "
            f"written {{{{{field}}}}}"
          )
    used = {field for _, field in _FIELD.findall(self.text)}
    missing = [f"{{{name}}}" for name in REQUIRED if name not in used]
    if missing:
      raise ValueError(
        f"{self.place} lacks {' and '.join(missing)}; a template holds "
        "{input}, {first} and {second}, and may hold {language}"
      )
    words = _FIELD.sub(" ", self.text)
    if not ("1" in words and "2" in words):
      raise ValueError(
        f"{self.place} never says that the answer is 1 or 2, which is what is "
        "read of it"
      )

  @classmethod
  def load(cls, name: str) -> "Template":
    """A shipped template by its name, or a file of one's own.

    Raises:
      FileNotFoundError: neither; names the nearest.
      ValueError: a placeholder is missing or unknown; a file that is not UTF-8.
    """
    if name in shipped():
      path = directory() / f"{name}.txt"
      return cls(name, files.read_text(path), name)
    own = files.path(name)
    if own.is_file():
      return cls(own.stem, files.read_text(name), name)
    near = difflib.get_close_matches(name, shipped(), 1, 0.4)
    raise FileNotFoundError(
      f"no template {name!r}: it is neither a file nor one of "
      f"{', '.join(shipped())}" + (f"; did you mean {near[0]}?" if near else "")
    )

  def prompt(
    self, *, language: str, input: str, first: str, second: str
  ) -> str:
    """The prompt that shows `first` as number 1 and `second` as number 2."""
    texts = {"input": input, "first": first, "second": second}
    texts = {name: _printable(text) for name, text in texts.items()}
    mark = _mark(list(texts.values()))
    values = {"language": language}
    for name, text in texts.items():
      tag = f"{TAGS[name]}-{mark}"
      values[name] = f"<{tag}>\n{text}\n</{tag}>"

    def value(match: re.Match) -> str:
      literal, field = match.groups()
      return f"{{{literal}}}" if literal else values[field]

    return _FIELD.sub(value, self.text)
