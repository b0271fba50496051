"""The numbers of the paper's tables 1 to 25 (https://arxiv.org/abs/2404.12318),
shipped in assets/paper, and the WALS features of its languages.

`pair_table(8)` is table 8: win rates of RL, judged by PaLM-2-L, as fractions.
"""

import csv
import dataclasses
import functools
import pathlib

from xlrm.analysis import pair_tables
from xlrm.analysis import typology
from xlrm.storage import package_data

FOLDER = package_data.asset("paper")
LANGUAGES = ("de", "en", "es", "ru", "tr", "vi")
BASELINES = ("majority", "length")
# Number -> task, method, judge, for tables of a number per pair of languages.
# Human instances per win rate, as the paper's text has it: 100 and 250.
_KINDS = {
  6: ("summarisation", "best_of_n", "palm2l"),
  7: ("dialogue", "best_of_n", "palm2l"),
  8: ("summarisation", "rl", "palm2l"),
  9: ("dialogue", "rl", "palm2l"),
  10: ("summarisation", "best_of_n", "gpt4"),
  11: ("dialogue", "best_of_n", "gpt4"),
  12: ("summarisation", "rl", "gpt4"),
  13: ("dialogue", "rl", "gpt4"),
  14: ("summarisation", "best_of_n", "human"),
  15: ("summarisation", "rl", "human"),
  16: ("dialogue", "best_of_n", "human"),
  17: ("summarisation", "translate_train", "palm2l"),
  18: ("summarisation", "accuracy", ""),
  19: ("dialogue", "accuracy", ""),
  20: ("summarisation", "kl", ""),
  21: ("summarisation", "rouge_l", ""),
  22: ("summarisation", "translated_sft", "palm2l"),
  23: ("summarisation", "translated_sft_wikilingua", "palm2l"),
  24: ("summarisation", "translated_sft_rl", "palm2l"),
  25: ("summarisation", "bilingual", "palm2l"),
}
_NOT_PERCENT = {20, 21}
HUMAN_INSTANCES = {"best_of_n": 100, "rl": 250}


@dataclasses.dataclass(frozen=True)
class Statement:
  """What the paper, or an independent recomputation, says of a quantity.

  Attributes:
    key: names it in `paper_claims`.
    what: the quantity in words.
    stated: the number or words, as they are written there.
    origin: "paper" or "recomputation".
  """

  key: str
  what: str
  stated: str
  origin: str


def path(number: int) -> pathlib.Path:
  """File of a table.

  Raises:
    ValueError: the paper has no such table.
  """
  found = sorted(FOLDER.glob(f"table{number:02d}_*.csv"))
  if not found:
    raise ValueError(f"the paper has no table {number}: 1 to 25")
  return found[0]


def _read(file: pathlib.Path) -> list[list[str]]:
  with open(file, encoding="utf-8", newline="") as opened:
    return list(csv.reader(opened))


@functools.cache
def rows(number: int) -> tuple[dict[str, str], ...]:
  """A table as it stands, head -> cell."""
  head, *body = _read(path(number))
  return tuple(dict(zip(head, line, strict=True)) for line in body)


def task(number: int) -> str:
  """ "summarisation" or "dialogue"."""
  return _KINDS[number][0]


@functools.cache
def whole_table(number: int) -> pair_tables.PairTable:
  """Every row of a table, baselines and strategies included.

  Raises:
    ValueError: it has no number per pair (tables 1 to 5), or is not there.
  """
  if number not in _KINDS:
    raise ValueError(f"table {number} has no number per source and target")
  _, method, judge = _KINDS[number]
  scale = 1.0 if number in _NOT_PERCENT else 100.0
  (_, *targets), *body = _read(path(number))
  values = {
    (line[0], target): float(cell) / scale
    for line in body
    for target, cell in zip(targets, line[1:], strict=True)
    if cell
  }
  sources = tuple(line[0] for line in body)
  return pair_tables.PairTable(method, judge, sources, tuple(targets), values)


def pair_table(number: int) -> pair_tables.PairTable:
  """The rows of a table that are languages."""
  table = whole_table(number)
  kept = tuple(x for x in table.sources if x in LANGUAGES)
  values = {pair: x for pair, x in table.values.items() if pair[0] in kept}
  return dataclasses.replace(table, sources=kept, values=values)


def baseline(number: int, name: str) -> dict[str, float]:
  """Target -> accuracy of "majority" or "length"; empty if it has no such
  row."""
  table = whole_table(number)
  return {
    target: value
    for (source, target), value in table.values.items()
    if source == name
  }


def totals(number: int) -> dict[str, int]:
  """Language -> training examples of tables 1 to 4."""
  found: dict[str, int] = {}
  for row in rows(number):
    found[row["lang"]] = found.get(row["lang"], 0) + int(row["train"])
  return found


def human_instances(number: int) -> int:
  """Judgments behind each win rate of a table judged by people."""
  return HUMAN_INSTANCES[_KINDS[number][1]]


@functools.cache
def wals() -> tuple[typology.Feature, ...]:
  """The WALS features that have a value for all six languages."""
  head, *body = _read(FOLDER / "wals_features_6lang.csv")
  return tuple(
    typology.Feature(line[0], line[1], dict(zip(head[2:], line[2:])))
    for line in body
  )


@functools.cache
def statements() -> dict[str, Statement]:
  """Key -> what is said of a quantity."""
  _, *body = _read(FOLDER / "claims.csv")
  return {line[0]: Statement(*line) for line in body}
