"""Who sees what, in which order, on which side.

Every draw ranks by SHA-256 of (seed, purpose, annotator, prompt): a pure
function, the same on every machine and with every version of Python. Only the
ids of tasks are random: nothing that an annotator sees leads back to a prompt.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import hashlib
import math
import re
import secrets

from xlrm.annotation import pairs as pairs_lib
from xlrm.evaluation import pairing
from xlrm.storage import files
from xlrm.types import checks

KINDS = ("summary", "dialogue")
SIDES = ("left", "right")
MIN_WORDS = 4  # below, the letters of an obviously bad text are mixed


@dataclasses.dataclass(frozen=True)
class Settings:
  """A study of one cell of the transfer matrix.

  Attributes:
    method: whose outputs win.
    source: language of its reward model; empty where none was used.
    baseline: against whose outputs.
    language: target of both; also that of the page, where it has words for it.
    kind: what is judged: `summary` or `dialogue`.
    items: prompts drawn for the study.
    overlap: how many of them every annotator judges; the others are divided.
    attention: attention checks per judged pair.
    ties: whether "equally good" is an answer.
    seed: of the draws.
    instructions: in place of ours; paragraphs are separated by blank lines.
  """

  method: str
  source: str
  baseline: str
  language: str
  kind: str = "summary"
  items: int = 100
  overlap: int | None = None
  attention: float = 0.1
  ties: bool = True
  seed: int = 0
  instructions: str = ""

  def __post_init__(self):
    checks.one_of("kind", self.kind, KINDS)
    checks.at_least("items", self.items, 1)
    if self.overlap is not None and not 0 <= self.overlap <= self.items:
      raise ValueError(
        f"overlap {self.overlap} is not between 0 and items {self.items}"
      )
    checks.fraction("attention", self.attention)

  @property
  def shared(self) -> int:
    """Items that every annotator judges."""
    return self.items if self.overlap is None else self.overlap


def read_instructions(path: str) -> str:
  """For `Settings.instructions`.

  Raises:
    ValueError: the file is empty.
  """
  text = files.read_text(path)
  if not text.strip():
    raise ValueError(f"{path} is empty")
  return text


@dataclasses.dataclass(frozen=True)
class Task:
  """A task of one annotator: all that the page is told of it."""

  item: str
  annotator: str
  language: str
  input: str
  left: str
  right: str


@dataclasses.dataclass(frozen=True)
class Key:
  """The key that unblinds a task: never in the database or the browser.

  Attributes:
    item: of the task.
    annotator: of the task.
    attention: an attention check; its first text is the good one.
    left: which is on the left, `first` or `second`.
    first: id of the method's record; of a check, of the prompt's.
    second: id of the baseline's record; of a check, empty.
    dataset: task and dataset; win rates are averaged over them.
  """

  item: str
  annotator: str
  attention: bool
  left: str
  first: str
  second: str
  dataset: str


@dataclasses.dataclass(frozen=True)
class TextPair:
  """Two texts before anybody's order and sides are drawn."""

  first: str
  second: str
  pair: pairing.Pair
  attention: bool = False

  @property
  def name(self) -> str:
    """What orders and sides are drawn by, beside the seed."""
    return f"{self.attention}{self.pair.ours.prompt}"


def _rank(*parts: object) -> bytes:
  return hashlib.sha256(repr(parts).encode()).digest()


def check_names(annotators: Sequence[str]) -> None:
  """Raises ValueError for a name that is not one word, or comes twice."""
  for name in annotators:
    if not re.fullmatch(r"[\w.-]{1,40}", name):
      raise ValueError(
        f"annotator {name!r}: a name is 1 to 40 letters, digits, '_', '.', '-'"
      )
    if annotators.count(name) > 1:
      raise ValueError(f"annotator {name!r} is named twice")
  if not annotators:
    raise ValueError("no annotator is named")


def drawn(pairs: Sequence[pairing.Pair], settings: Settings) -> list[TextPair]:
  """The pairs of the study: at most `items`, none that look alike."""
  different = [x for x in pairs if not pairs_lib.look_alike(x)]
  if not different:
    raise ValueError(
      f"the outputs of {settings.method} and {settings.baseline} are identical "
      f"for all {len(pairs)} prompts: there is nothing to judge"
    )
  order = sorted(
    different, key=lambda x: _rank(settings.seed, "items", x.ours.prompt)
  )
  return [
    TextPair(x.ours.output, x.theirs.output, x) for x in order[: settings.items]
  ]


def _good(pair: pairing.Pair) -> str:
  return pair.ours.reference.strip() or pair.ours.output.strip()


def scrambled(text: str, seed: int) -> str:
  """The words of a text in a drawn order, which nobody takes for better."""
  words = text.split()
  glue, units = (" ", words) if len(words) >= MIN_WORDS else ("", list(text))
  order = sorted(
    range(len(units)), key=lambda i: _rank(seed, "scramble", text, i)
  )
  if order == list(range(len(units))):
    order.reverse()
  return glue.join(units[i] for i in order)


def attention_checks(
  pairs: Sequence[pairing.Pair],
  judged: Sequence[TextPair],
  settings: Settings,
  count: int,
) -> list[TextPair]:
  """Checks of attention: a reference against the mixed words of another.

  Prompts that nobody judges come first.
  """
  taken = {x.pair.ours.prompt for x in judged}
  usable = [x for x in pairs if len(set(_good(x))) >= MIN_WORDS]
  usable.sort(
    key=lambda x: (
      x.ours.prompt in taken,
      _rank(settings.seed, "attention", x.ours.prompt),
    )
  )
  if count > len(usable):
    raise ValueError(
      f"attention {settings.attention} means {count} attention checks, and "
      f"{len(usable)} prompts have a text to make one of: lower --attention"
    )
  return [
    TextPair(
      _good(pair),
      scrambled(_good(usable[(i + 1) % len(usable)]), settings.seed),
      pair,
      attention=True,
    )
    for i, pair in enumerate(usable[:count])
  ]


def _share(
  judged: Sequence[TextPair], settings: Settings, place: int, among: int
) -> list[TextPair]:
  """The shared items and every `among`th of the others."""
  rest = judged[settings.shared :]
  return [*judged[: settings.shared], *rest[place::among]]


def _ordered(
  comparisons: Iterable[TextPair], settings: Settings, annotator: str
) -> list[tuple[TextPair, bool]]:
  """In the annotator's order; True where the first text is on the left.

  The first text is on the left in half of the pairs, and of the checks.
  """
  seed = settings.seed
  by_side = sorted(
    comparisons,
    key=lambda x: (x.attention, _rank(seed, "side", annotator, x.name)),
  )
  begin = _rank(seed, "begin", annotator)[0]
  sided = [(x, (begin + i) % 2 == 0) for i, x in enumerate(by_side)]
  return sorted(sided, key=lambda x: _rank(seed, "order", annotator, x[0].name))


def tasks(
  pairs: Sequence[pairing.Pair],
  settings: Settings,
  annotators: Sequence[str],
  *,
  joining: bool = False,
) -> list[tuple[Task, Key]]:
  """The tasks of all annotators, each in its order, with their key.

  Args:
    pairs: of `pairs.of_records`.
    settings: of the study.
    annotators: names.
    joining: the others have begun: these judge the shared items only.
  """
  check_names(annotators)
  judged = drawn(pairs, settings)
  if joining:
    judged = judged[: settings.shared]
  result = []
  for place, annotator in enumerate(annotators):
    share = _share(judged, settings, place, len(annotators))
    if not share:
      raise ValueError(
        f"nothing is left to judge for {annotator!r}: fewer annotators, more "
        "--items or more --overlap"
      )
    count = math.ceil(settings.attention * len(share))
    added = attention_checks(pairs, judged, settings, count)
    for comparison, first_left in _ordered(
      [*share, *added], settings, annotator
    ):
      result.append(_task(comparison, first_left, annotator))
  return result


def _task(
  comparison: TextPair, first_left: bool, annotator: str
) -> tuple[Task, Key]:
  item = secrets.token_hex(8)
  record = comparison.pair.ours
  texts = (comparison.first, comparison.second)
  left, right = texts if first_left else texts[::-1]
  attention = comparison.attention
  return (
    Task(item, annotator, record.language, record.input, left, right),
    Key(
      item=item,
      annotator=annotator,
      attention=attention,
      left="first" if first_left else "second",
      first=record.id,
      second="" if attention else comparison.pair.theirs.id,
      dataset=f"{record.task}|{record.dataset}",
    ),
  )
