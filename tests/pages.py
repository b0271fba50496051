"""The commands of README and docs, as a reader would type them.

A block of commands is a fence of `sh`. A block that cannot be run here says so
on the line before it, in a comment that readers do not see:

  <!-- not run: needs a TPU pod -->
"""

from collections.abc import Iterator
import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
# What makes the models that later pages speak of comes first.
FIRST = ("docs/tutorials/launch_a_job.md", "README.md")
# Run by .ci/run itself, or by pip, before any test is.
BY_CI = ("make ", "pip ")
FENCE = re.compile(
  r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
  r"^```(?P<kind>[a-z]*)\n(?P<body>.*?)^```$",
  re.MULTILINE | re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Command:
  """One command of a page.

  Attributes:
    page: path in the repository.
    line: where its block begins.
    text: as printed, without comments, on one line.
    not_run: why no test runs it; empty where one does.
  """

  page: str
  line: int
  text: str
  not_run: str

  @property
  def by_ci(self) -> bool:
    return self.text.startswith(BY_CI)

  @property
  def is_cheap(self) -> bool:
    """Looks at something, and needs no model that another command makes."""
    looks = re.search(r"--help|--dry_run|^xlrm inspect|^xlrm env", self.text)
    return self.page == "README.md" and bool(looks)

  def __str__(self) -> str:
    return f"{self.page}:{self.line}: {self.text}"


def names() -> list[str]:
  """Pages with commands, in the order in which they are run."""
  found = [
    "README.md",
    "CONTRIBUTING.md",
    *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md")),
    *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("launch/*.md")),
  ]
  return [*FIRST, *sorted(set(found) - set(FIRST))]


def text(page: str) -> str:
  return (ROOT / page).read_text(encoding="utf-8")


def programs(page: str) -> list[str]:
  """The Python programs of a page."""
  found = FENCE.finditer(text(page))
  return [match["body"] for match in found if match["kind"] == "python"]


def _uncommented(line: str) -> str:
  return re.sub(r"(^|\s+)#\s.*$", "", line).strip()


def blocks(page: str) -> Iterator[list[Command]]:
  """The blocks of commands of a page."""
  whole = text(page)
  for match in FENCE.finditer(whole):
    if match["kind"] not in ("sh", "console", "bash", "shell"):
      continue
    line = whole.count("\n", 0, match.start()) + 1
    body = re.sub(r"\\\n\s*", "", match["body"])
    lines = filter(None, map(_uncommented, body.splitlines()))
    yield [Command(page, line, x, match["reason"] or "") for x in lines]


def all_commands() -> list[Command]:
  return [x for page in names() for block in blocks(page) for x in block]
