"""gin text as statements: read by gin's own parser, and nothing is registered.

gin's parser yields bindings, blocks, imports and includes with their lines, and
asks a delegate what `@name` and `%NAME` are: here plain values, so that a text
can be checked, changed and written before anything is imported.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import io
import shlex
import tokenize
from typing import Any

from gin import config_parser

REQUIRED = "gin.REQUIRED"
_WORDS = ("True", "False", "None")  # names that gin takes for a value
# What other languages call these; a text of that kind must be quoted.
_MEANT = {"true": "True", "yes": "True", "on": "True"}
_MEANT |= {"false": "False", "no": "False", "off": "False"}
_MEANT |= {"none": "None", "null": "None", "nil": "None"}
_MARKS = "[{('\"@%"  # what begins so is meant as a value of gin


class ConfigError(ValueError):
  """A gin file or binding that cannot be used; one message for the user."""


@dataclasses.dataclass(frozen=True, repr=False)
class Reference:
  """`@scope/name`, the function, or `@scope/name()`, what it returns."""

  scope: tuple[str, ...]
  name: str
  called: bool
  line: int = dataclasses.field(default=0, compare=False)

  def __repr__(self) -> str:
    return f"@{'/'.join((*self.scope, self.name))}{'()' * self.called}"


@dataclasses.dataclass(frozen=True, repr=False)
class Macro:
  """`%NAME`."""

  name: str
  line: int = dataclasses.field(default=0, compare=False)

  def __repr__(self) -> str:
    return f"%{self.name}"


def inside(value: Any) -> Iterator[Reference | Macro]:
  """The references and macros in a value, in their order."""
  if isinstance(value, Reference | Macro):
    yield value
  elif isinstance(value, Mapping):
    for item in value.items():
      yield from inside(item)
  elif isinstance(value, list | tuple):
    for item in value:
      yield from inside(item)


def replaced(value: Any, change: Callable[[Reference | Macro], Any]) -> Any:
  """The value with each reference and macro in it changed."""
  if isinstance(value, Reference | Macro):
    return change(value)
  if isinstance(value, Mapping):
    return dict(replaced(x, change) for x in value.items())
  if isinstance(value, list | tuple):
    return type(value)(replaced(x, change) for x in value)
  return value


class _Delegate(config_parser.ParserDelegate):
  def configurable_reference(self, scoped_name: str, evaluate: bool):
    *scope, name = scoped_name.split("/")
    return Reference(tuple(scope), name, evaluate)

  def macro(self, name: str):
    return Macro(name)


class _Parser(config_parser.ConfigParser):
  """gin's parser, which also says where in a value something stands."""

  began = 1  # line of the last value, or of one in it

  def parse_value(self) -> Any:
    self.began = self.current_token.start[0]
    began = self.began
    value = super().parse_value()
    if isinstance(value, Reference | Macro) and not value.line:
      value = dataclasses.replace(value, line=began)
    return value


def _message(error: SyntaxError, parser: _Parser) -> str:
  """What is wrong; gin shows the innards of `ast` where a literal is none."""
  if error.__context__ is None:
    return error.msg.rstrip(" .=")
  token = parser.current_token
  hint = "; text is quoted" if token.type == tokenize.NAME else ""
  return f"{token.string} is no value{hint}"


def _parse(text: str) -> tuple[Any, ...]:
  """gin's statements.

  Raises:
    SyntaxError: with `msg` and `lineno`.
  """
  found, parser = [], None
  try:
    parser = _Parser(text, _Delegate())
    while (statement := parser.parse_statement()) is not None:
      found.append(statement)
  except tokenize.TokenError as error:
    said, (line, _) = error.args
    if "EOF" in said:  # it names the last line
      line = line if parser is None else parser.began
      said = "what is opened here is never closed"
    raise SyntaxError(said, (None, line, 0, "")) from error
  except SyntaxError as error:
    place = (None, error.lineno, error.offset, error.text)
    raise SyntaxError(_message(error, parser), place) from error
  return tuple(found)


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
  return tokenize.generate_tokens(io.StringIO(text).readline)


@dataclasses.dataclass(frozen=True)
class Binding:
  """`scope/name.parameter = value`; a macro has no parameter."""

  scope: tuple[str, ...]
  name: str
  parameter: str
  value: Any
  line: int

  @property
  def left(self) -> str:
    """What stands before its `=`, on a line of its own."""
    whole = "/".join((*self.scope, self.name))
    return f"{whole}.{self.parameter}" if self.parameter else whole


@dataclasses.dataclass(frozen=True)
class Source:
  """One piece of configuration: a file's text or the command line's."""

  name: str
  text: str

  def place(self, line: int) -> str:
    """A line of the text as messages name it: FILE:LINE."""
    return f"{self.name}:{line}"

  @functools.cached_property
  def statements(self) -> tuple[Any, ...]:
    """gin's own statements, in their order.

    Raises:
      ConfigError: names the line, and what stands there.
    """
    try:
      return _parse(self.text)
    except SyntaxError as error:
      lines = self.text.split("\n")
      line = min(error.lineno or 1, len(lines))
      raise ConfigError(
        f"{self.place(line)}: {error.msg}. In: {lines[line - 1].strip()}"
      ) from error

  def of(self, kind: type) -> list[Any]:
    """The statements of one of gin's kinds."""
    return [x for x in self.statements if isinstance(x, kind)]

  @functools.cached_property
  def bindings(self) -> tuple[Binding, ...]:
    """The bindings of parameters and macros, in their order."""
    found = []
    for x in self.of(config_parser.BindingStatement):
      scope = tuple(x.scope.split("/")) if x.scope else ()
      if not x.arg_name:  # a macro's scope belongs to its name
        scope, name = (), "/".join((*scope, x.selector))
      else:
        name = x.selector
      line = x.location.line_num
      found.append(Binding(scope, name, x.arg_name, x.value, line))
    return tuple(found)

  @property
  def blocks(self) -> list[tuple[str, int]]:
    """(name, line) of every `name:`."""
    found = self.of(config_parser.BlockDeclaration)
    return [(x.selector, x.location.line_num) for x in found]

  @property
  def imports(self) -> list[tuple[str, str, int]]:
    """(module, the statement, line) of every import."""
    found = self.of(config_parser.ImportStatement)
    return [(x.module, x.format(), x.location.line_num) for x in found]

  @property
  def includes(self) -> list[tuple[str, int]]:
    """(file, line) of every include."""
    found = self.of(config_parser.IncludeStatement)
    return [(x.filename, x.location.line_num) for x in found]

  def without_includes(self) -> "Source":
    """The same with empty lines where includes stood."""
    lines = self.text.split("\n")
    ends = [x.end[0] for x in _tokens(self.text) if x.type == tokenize.NEWLINE]
    for _, first in self.includes:
      last = min(x for x in ends if x >= first)
      lines[first - 1 : last] = [""] * (last - first + 1)
    return Source(self.name, "\n".join(lines).rstrip("\n") + "\n")

  def code(self) -> list[str]:
    """Its lines without comments, and without those that are empty then."""
    lines = self.text.split("\n")
    for token in _tokens(self.text):
      if token.type == tokenize.COMMENT:
        row, column = token.start
        lines[row - 1] = lines[row - 1][:column].rstrip()
    return [x for x in lines if x.strip()]


def value(text: str) -> Any:
  """The value that a text is in gin.

  Raises:
    SyntaxError: it is none, or more than one value.
  """
  statements = _parse(f"X = {text}")
  if len(statements) != 1 or any(
    x.type == tokenize.COMMENT for x in _tokens(f"X = {text}")
  ):
    raise SyntaxError("it goes on after the value")
  return statements[0].value


def _quoted(name: str, text: str) -> str:
  """The option whose value is this text, for a shell."""
  plain = not set(text) & set("\"'\\$`!\n")
  said = f"\"'{text}'\"" if plain else shlex.quote(repr(text))
  return f"--gin.{name}={said}"


def line(name: str, text: str) -> str:
  """The binding that --gin.NAME=TEXT means; text that is no value is quoted.

  runs/x -> NAME = 'runs/x', gs://b/x and a.b likewise; 1e5, None, [1, 2],
  @f(), %X and 'quoted' stay what they are.

  Raises:
    ConfigError: text that is begun like a value and is none, is empty, or is
      what gin calls True, False or None.
  """
  given, quoted = f"--gin.{name}={text}", _quoted(name, text)
  if not text.strip():
    raise ConfigError(f"{given} has no value; as text: {quoted}")
  try:
    value(text)
    return f"{name} = {text.strip()}"
  except SyntaxError as error:
    if text.strip()[0] in _MARKS:
      raise ConfigError(
        f"{given}: begins like a value of gin and is none ({error.msg}); "
        f"as text: {quoted}"
      ) from error
    meant = _MEANT.get(text.strip().lower())
    if meant:
      raise ConfigError(
        f"{given}: gin says {meant}: --gin.{name}={meant}; as text: {quoted}"
      ) from error
    return f"{name} = {text!r}"
