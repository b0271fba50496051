"""Signs that a policy pleases its reward model and nobody else.

Each sign is a metric of the run with a threshold, absolute or relative to the
first row of the run; a row that crosses it is an event. Events are a pure
function of the rows, so a resumed run finds the same.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

from xlrm.evaluation import fidelity
from xlrm.evaluation import language_id
from xlrm.evaluation import text_metrics
from xlrm.types import checks

Row = Mapping[str, Any]
PROXY, HELDOUT = "objective/scores", "validation/heldout"


@dataclasses.dataclass(frozen=True)
class PanelConfig:
  """The thresholds of the panel; a first row is the first that has a value.

  Attributes:
    max_kl: nats per response from the reference.
    min_entropy: share of the first row's entropy per token.
    max_length_change: factor by which the mean length may grow or shrink.
    max_repeated: mean share of word triples that a response said before, more
      than in the first row.
    max_missing_eos: share of responses without an end.
    min_language: share of responses in the prompt's language.
    min_unique: share of different responses, of the first row's.
    max_heldout_drop: by how much the held-out score may fall below its best,
      in units of the score.
  """

  max_kl: float = 15.0
  min_entropy: float = 0.3
  max_length_change: float = 1.5
  max_repeated: float = 0.1
  max_missing_eos: float = 0.2
  min_language: float = 0.9
  min_unique: float = 0.5
  max_heldout_drop: float = 0.5

  def __post_init__(self):
    for field in dataclasses.fields(self):
      checks.at_least(field.name, getattr(self, field.name), 0)
    if self.max_length_change < 1:
      raise ValueError(
        f"max_length_change {self.max_length_change} is below 1: a length that "
        "does not change would cross it"
      )


@dataclasses.dataclass(frozen=True)
class PanelEvent:
  """One threshold crossed.

  Attributes:
    step: of the row.
    sign: name of the metric.
    value: of the metric.
    threshold: that it crossed.
    meaning: what it may mean, in a sentence.
  """

  step: int
  sign: str
  value: float
  threshold: float
  meaning: str


def text_facts(
  text: str,
  prompt: str,
  language: str,
  identifier: language_id.Identifier | None = None,
) -> dict[str, float]:
  """The metrics of one response, for the panel.

  Args:
    language: asked of the response.
    identifier: names the language of a text; without one that is not measured.
  """
  words = text_metrics.words(text, language)
  source = text_metrics.words(prompt, language)
  return {
    "response/repeated": fidelity.repeated(words),
    "response/copied": fidelity.copied(words, source),
    **_in_language(text, language, identifier),
  }


def _in_language(text, language, identifier) -> dict[str, float]:
  """1 or 0; nothing where neither the text nor its prompt has a language."""
  asked = language_id.primary(language or language_id.UNKNOWN)
  if identifier is None or asked not in identifier.languages:
    return {}
  found = identifier.identify(text)
  return {} if found is None else {"response/language": float(found == asked)}


def _first(steps: Sequence[Row], name: str) -> float:
  """Of the first row that has it: a frozen policy reports no entropy, and a
  skipped update reports NaN. NaN if there is none."""
  values = (row.get(name, math.nan) for row in steps)
  return next((x for x in values if math.isfinite(x)), math.nan)


def _signs(config: PanelConfig, steps: Sequence[Row]):
  """(metric, threshold, whether crossing is above it, meaning)."""
  entropy = _first(steps, "policy/entropy_avg")
  length = _first(steps, "response/tokens")
  longer = length * config.max_length_change
  shorter = length / config.max_length_change
  repeated = _first(steps, "response/repeated") + config.max_repeated
  unique = _first(steps, "response/unique") * config.min_unique
  return (
    ("objective/kl", config.max_kl, True, "the policy has left its reference"),
    (
      "policy/entropy_avg",
      entropy * config.min_entropy,
      False,
      "the policy has all but one answer left",
    ),
    ("response/tokens", longer, True, "responses grow: length is rewarded"),
    ("response/tokens", shorter, False, "responses shrink"),
    ("response/repeated", repeated, True, "responses repeat themselves"),
    (
      "response/missing_eos",
      config.max_missing_eos,
      True,
      "responses do not end",
    ),
    (
      "response/language",
      config.min_language,
      False,
      "responses leave the prompt's language",
    ),
    ("response/unique", unique, False, "different prompts, the same response"),
  )


def events(history: Sequence[Row], config: PanelConfig) -> list[PanelEvent]:
  """Every threshold that a row of metrics crossed, in their order."""
  steps = [row for row in history if PROXY in row]
  found = []
  if steps:
    signs = _signs(config, steps)
    for row in steps:
      for name, threshold, above, meaning in signs:
        value = row.get(name, math.nan)
        crossed = value > threshold if above else value < threshold
        if crossed:
          found.append(PanelEvent(row["step"], name, value, threshold, meaning))
  found += _heldout_events(history, config)
  return sorted(found, key=lambda event: event.step)


def _heldout_events(history: Sequence[Row], config: PanelConfig):
  best = -math.inf
  for row in history:
    value = row.get(HELDOUT, math.nan)
    if math.isnan(value):
      continue
    best = max(best, value)
    threshold = best - config.max_heldout_drop
    if value < threshold:
      yield PanelEvent(
        row["step"],
        HELDOUT,
        value,
        threshold,
        "a reward model that is not trained on falls",
      )
