"""Records of responses and verdicts, one JSON object per line.

Everything that is measured is computed from these lines. Files end in .jsonl
or .jsonl.gz, are UTF-8, keep the letters of every script as they are, and have
the same bytes for the same records.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import difflib
import json
import math
from typing import Any, TypeVar

from xlrm.storage import files
from xlrm.storage import row_files

OUTCOMES = ("first", "second", "tie", "invalid")


@dataclasses.dataclass(frozen=True)
class EvalRecord:
  """One response to one prompt, and what judges gave it.

  Attributes:
    study: the experiment; one analysis never mixes two.
    method: `sample`, `greedy`, `best_of_n`, `ppo`, ...
    source: language of the reward model; empty where none was used.
    target: language of the policy.
    seed: of the run.
    task: of the prompts, e.g. `miniworld_summary.es`.
    dataset: part of the task; win rates are averaged over datasets.
    language: asked of the response.
    example_id: of the prompt.
    sample: which of the samples drawn for the prompt this is.
    input: the prompt without instruction.
    reference: a person's response; empty where there is none.
    output: the response.
    policy: the model that wrote it.
    logprob: sum over its tokens; None where unknown.
    rank: in its pool, 0 the best; None where it comes from no pool.
    pool: statistics of its best-of-n pool.
    scores: judge -> score, e.g. {"reward/en": 1.3, "gold": 0.6}.
  """

  study: str
  method: str
  source: str
  target: str
  seed: int
  task: str
  dataset: str
  language: str
  example_id: str
  sample: int
  input: str
  reference: str
  output: str
  policy: str
  logprob: float | None = None
  rank: int | None = None
  pool: dict[str, Any] = dataclasses.field(default_factory=dict)
  scores: dict[str, float] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for name in ("method", "target", "example_id"):
      if not getattr(self, name):
        raise ValueError(f"{name} of a record is empty: {self.id}")
    if self.sample < 0:
      raise ValueError(f"sample {self.sample} is below 0: {self.id}")

  @property
  def prompt(self) -> tuple[int, str, str, str]:
    """Equal for the responses that are compared with each other."""
    return (self.seed, self.task, self.dataset, self.example_id)

  @property
  def id(self) -> str:
    """Names the record within a file: study|method|source|target|..."""
    parts = (self.study, self.method, self.source, self.target, *self.prompt)
    return "|".join(str(part) for part in (*parts, self.sample))


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What a judge said of two responses to one prompt.

  Attributes:
    first: id of a record.
    second: id of the record that it was compared with.
    judge: who decided.
    order: which of them was shown first, `first` or `second`.
    outcome: who won: `first`, `second`, `tie` or `invalid`.
    probabilities: of the outcomes, where the judge gives them.
    cost: e.g. {"input_tokens": 310, "dollars": 0.001}.
  """

  first: str
  second: str
  judge: str
  order: str
  outcome: str
  probabilities: dict[str, float] = dataclasses.field(default_factory=dict)
  cost: dict[str, float] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for name, valid in (("order", OUTCOMES[:2]), ("outcome", OUTCOMES)):
      if getattr(self, name) not in valid:
        raise ValueError(f"{name} {getattr(self, name)!r}: one of {valid}")


Row = TypeVar("Row", EvalRecord, Verdict)

# Field type, as it is written in the class -> JSON types, what to say of it.
_JSON = {
  "str": ((str,), "a string"),
  "int": ((int,), "a whole number"),
  "int | None": ((int, type(None)), "a whole number or null"),
  "float | None": ((float, int, type(None)), "a number or null"),
  "dict[str, Any]": ((dict,), "an object"),
  "dict[str, float]": ((dict,), "an object of numbers"),
}


def _type_name(field: dataclasses.Field) -> str:
  kind = field.type
  text = kind.__name__ if kind in (str, int) else str(kind)
  return text.replace("typing.", "")


def _is_finite_number(value: Any) -> bool:
  number = isinstance(value, int | float) and not isinstance(value, bool)
  return number and math.isfinite(value)


def _value(field: dataclasses.Field, value: Any) -> Any:
  """The value of a field, checked; whole numbers pass for fractions."""
  types, expected = _JSON[_type_name(field)]
  good = isinstance(value, types) and not isinstance(value, bool)
  if good and isinstance(value, float):
    good = math.isfinite(value)
  if good and expected == "an object of numbers":
    good = all(_is_finite_number(x) for x in value.values())
  if not good:
    shown = json.dumps(value, ensure_ascii=False)
    raise ValueError(f"{field.name} is {shown:.60}, not {expected}")
  if field.name == "logprob" and value is not None:
    return float(value)
  if expected == "an object of numbers":
    return {key: float(x) for key, x in value.items()}
  return value


def _from_json(kind: type[Row], row: Mapping[str, Any]) -> Row:
  fields = {field.name: field for field in dataclasses.fields(kind)}
  for name in row:
    if name not in fields:
      near = difflib.get_close_matches(name, fields, n=1, cutoff=0)
      raise ValueError(f"unknown field {name!r}; the nearest is {near[0]!r}")
  for name, field in fields.items():
    optional = (
      field.default is not dataclasses.MISSING
      or field.default_factory is not dataclasses.MISSING
    )
    if name not in row and not optional:
      raise ValueError(f"the field {name!r} is missing")
  return kind(**{name: _value(fields[name], row[name]) for name in row})


def _sorted(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _sorted(value[key]) for key in sorted(value)}
  return value


def to_json(row: EvalRecord | Verdict) -> str:
  """One line: fields in the order of the class, inner keys sorted."""
  fields = {
    field.name: _sorted(getattr(row, field.name))
    for field in dataclasses.fields(row)
  }
  try:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)
  except ValueError as error:
    raise ValueError(f"a score or statistic is not finite: {fields}") from error


def write(path: files.Name, rows: Iterable[Row]) -> None:
  """Writes all rows, or, if anything fails, leaves what was there before."""
  row_files.write(path, map(to_json, rows))


def read(path: files.Name, kind: type[Row] = EvalRecord) -> Sequence[Row]:
  """Reads a file of records or of verdicts.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: with file and line: broken JSON, a field that is missing,
      unknown or of another type, a truncated gzip, no row at all.
  """
  rows = []
  for place, row in row_files.read(path):
    try:
      rows.append(_from_json(kind, row))
    except ValueError as error:
      raise ValueError(f"{place}: {error}") from error
  return rows
