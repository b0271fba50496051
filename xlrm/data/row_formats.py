"""Rows of human judgments in the formats in which they are published.

A row is recognised by its columns; no code is needed for any of

  prompt, chosen, rejected           TRL, UltraFeedback, (M-)RewardBench
  chosen, rejected                   TRL with an implicit prompt, HH-RLHF
  prompt, chosen [..], rejected [..] RewardBench 2: several of each
  prompt, completions [{completion, rank}]             ranked completions
  prompt, responses [..], ranks [..]                   the same in two columns
  context [..], response1, response2, overall_preference         HelpSteer3
  prompt, completion, label          TRL's unpaired preferences, rated
  prompt, response, rating           rated

Texts are strings or lists of messages ({"role": .., "content": ..}); `margin`
(TRL) says by how much the chosen response is better.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import re
from typing import Any

from xlrm.data import dialogue
from xlrm.data import row_counts
from xlrm.storage import row_files

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Ranked:
  """Responses to a prompt; rank 0 is best, equal ranks are ties."""

  prompt: str
  responses: tuple[str, ...]
  ranks: tuple[int, ...]
  margin: float = 0.0


@dataclasses.dataclass(frozen=True)
class Rated:
  """A response to a prompt, and how good it is, in the scale of the file."""

  prompt: str
  response: str
  rating: float


def _is_chat(value: Any) -> bool:
  return isinstance(value, list) and all(isinstance(x, Mapping) for x in value)


def _prompt(place: str, value: Any) -> str:
  if _is_chat(value):
    return dialogue.text_of(dialogue.turns_of(place, value))
  if isinstance(value, str):
    return value
  raise ValueError(
    f"{place}: a text or a list of messages was expected as the prompt, not "
    f"{value!r}"
  )


def _response(place: str, value: Any) -> str:
  """A text; of messages the assistant's, without the name of the role."""
  if isinstance(value, Mapping):
    value = [value]
  if _is_chat(value):
    turns = dialogue.turns_of(place, value)
    if len(turns) == 1:
      return turns[0].text
    return dialogue.text_of(turns).removeprefix("Assistant: ")
  if isinstance(value, str):
    return value
  raise ValueError(
    f"{place}: a text or a list of messages was expected as a response, not "
    f"{value!r}"
  )


def split_prompt(chosen: str, rejected: str) -> tuple[str, str, str]:
  """The prompt that two texts begin with, and what is left of each.

  The prompt ends behind the last 'Assistant:' in their common beginning, else
  behind its last space. 'Hi. Yes', 'Hi. Yesterday' -> 'Hi.', 'Yes', 'Yesterday'
  """
  common = os.path.commonprefix([chosen, rejected])
  marks = list(re.finditer(r"\bAssistant:\s*", common))
  # A common beginning that ends inside a word belongs to the responses.
  whole = re.match(r"(?s).*\s", common)
  end = marks[-1].end() if marks else (whole.end() if whole else 0)
  return common[:end].rstrip(), chosen[end:], rejected[end:]


def _implicit(place: str, row: Row) -> Ranked:
  chosen, rejected = row["chosen"], row["rejected"]
  if isinstance(chosen, str) and isinstance(rejected, str):
    prompt, *responses = split_prompt(chosen, rejected)
    return Ranked(prompt, tuple(responses), (0, 1), _margin(place, row))
  if not _is_chat(chosen) or not _is_chat(rejected):
    raise ValueError(
      f"{place}: without a prompt, 'chosen' and 'rejected' must be two texts "
      "or two lists of messages that begin alike"
    )
  same = 0
  while (
    same < min(len(chosen), len(rejected)) - 1
    and chosen[same] == rejected[same]
  ):
    same += 1
  return _ranked(place, chosen[:same], [chosen[same:]], [rejected[same:]], row)


def _several(value: Any) -> list[Any]:
  """RewardBench 2 has lists of texts where others have one."""
  texts = isinstance(value, list) and all(isinstance(x, str) for x in value)
  return value if texts else [value]


def _ranked(place: str, prompt, chosen, rejected, row: Row) -> Ranked:
  better = [_response(place, x) for x in chosen]
  worse = [_response(place, x) for x in rejected]
  ranks = (0,) * len(better) + (1,) * len(worse)
  texts = (*better, *worse)
  return Ranked(_prompt(place, prompt), texts, ranks, _margin(place, row))


def _explicit(place: str, row: Row) -> Ranked:
  prompt, chosen, rejected = row["prompt"], row["chosen"], row["rejected"]
  if _is_chat(prompt):  # some files repeat it in front of both
    chosen, rejected = (
      x[len(prompt) :] if _is_chat(x) and x[: len(prompt)] == prompt else x
      for x in (chosen, rejected)
    )
  elif _is_chat(chosen) and _is_chat(rejected):
    # UltraFeedback: the first message of each repeats the prompt.
    chosen, rejected = (
      x[1:] if len(x) > 1 and x[0].get("content") == prompt else x
      for x in (chosen, rejected)
    )
  return _ranked(place, prompt, _several(chosen), _several(rejected), row)


def _completions(place: str, row: Row) -> Ranked:
  if not _is_chat(row["completions"]):
    raise ValueError(
      f"{place}: objects with 'completion' and 'rank' were expected in "
      f"'completions', not {row['completions']!r}"
    )
  texts = [
    _response(place, row_files.column(place, x, "completion"))
    for x in row["completions"]
  ]
  ranks = [row_files.column(place, x, "rank") for x in row["completions"]]
  return _with_ranks(place, row, texts, ranks)


def _columns(place: str, row: Row) -> Ranked:
  responses = row["responses"]
  if not isinstance(responses, list):
    raise ValueError(
      f"{place}: a list of texts was expected in 'responses', not {responses!r}"
    )
  texts = [_response(place, x) for x in responses]
  return _with_ranks(place, row, texts, row["ranks"])


def _with_ranks(place: str, row: Row, texts: list[str], ranks: Any) -> Ranked:
  whole = isinstance(ranks, list) and all(
    type(rank) is int and rank >= 0 for rank in ranks
  )
  if not whole or len(ranks) != len(texts) or not texts:
    raise ValueError(
      f"{place}: {len(texts)} responses need as many whole ranks (0 is best), "
      f"not {ranks!r}"
    )
  prompt = _prompt(place, row["prompt"])
  return Ranked(prompt, tuple(texts), tuple(ranks), _margin(place, row))


def _strength(place: str, row: Row) -> Ranked:
  """HelpSteer3: -3 (the first is much better) .. 3 (the second)."""
  value = row["overall_preference"]
  if not isinstance(value, int) or not -3 <= value <= 3:
    raise ValueError(
      f"{place}: overall_preference {value!r} is no whole number in -3..3"
    )
  ranks = (int(value > 0), int(value < 0))
  texts = tuple(_response(place, row[f"response{i}"]) for i in (1, 2))
  return Ranked(_prompt(place, row["context"]), texts, ranks, abs(value))


def _margin(place: str, row: Row) -> float:
  value = row.get("margin") or 0.0
  if not isinstance(value, int | float) or not 0 <= value < float("inf"):
    raise ValueError(
      f"{place}: a number from 0 was expected in 'margin', not {value!r}"
    )
  return float(value)


RANKED_FORMS = (
  (("prompt", "chosen", "rejected"), _explicit),
  (("chosen", "rejected"), _implicit),
  (("prompt", "completions"), _completions),
  (("prompt", "responses", "ranks"), _columns),
  (("context", "response1", "response2", "overall_preference"), _strength),
)
RATED_FORMS = (
  ("prompt", "completion", "label"),
  ("prompt", "response", "rating"),
  ("document", "summary", "rating"),
)


def _unknown(place: str, row: Row, formats: Sequence) -> ValueError:
  known = "; ".join(", ".join(names) for names in formats)
  return ValueError(
    f"{place}: the columns {', '.join(row)} are none of the known formats: "
    f"{known}"
  )


def ranked(place: str, row: Row) -> Ranked:
  """A row in any of the formats as ranked responses.

  Raises:
    ValueError: it is in none of them, or broken.
    Dropped: it compares nothing: a response is empty, or fewer than two
      different texts or ranks are left.
  """
  for names, parse in RANKED_FORMS:
    if all(name in row for name in names):
      return comparable(parse(place, row))
  raise _unknown(place, row, [names for names, _ in RANKED_FORMS])


def comparable(found: Ranked) -> Ranked:
  """Without repeated texts (the best of them stays).

  Raises:
    Dropped: nothing is left to compare.
  """
  if not all(text.strip() for text in found.responses):
    raise row_counts.Dropped("empty response")
  best: dict[str, tuple[int, int]] = {}
  for place, (text, rank) in enumerate(zip(found.responses, found.ranks)):
    key = text.strip()
    if key not in best or rank < best[key][0]:
      best[key] = (rank, place)
  places = sorted(place for _, place in best.values())
  if len(places) < 2:
    raise row_counts.Dropped(
      "identical responses" if len(found.responses) > 1 else "one response"
    )
  ranks = tuple(found.ranks[i] for i in places)
  if len(set(ranks)) < 2:
    raise row_counts.Dropped("all responses tied")
  texts = tuple(found.responses[i] for i in places)
  return dataclasses.replace(found, responses=texts, ranks=ranks)


def rated(place: str, row: Row, names: Sequence[str] | None = None) -> Rated:
  """A row in any of the formats as a rated response.

  Args:
    names: columns of prompt (None: there is none), response, rating.

  Raises:
    ValueError: it is in none of them, or the rating is no number.
    Dropped: the response is empty.
  """
  if names is None:
    names = next((x for x in RATED_FORMS if all(n in row for n in x)), None)
    if names is None:
      raise _unknown(place, row, RATED_FORMS)
  prompt, response, rating = names
  value = row_files.column(place, row, rating)
  if not isinstance(value, int | float) or value != value:
    raise ValueError(
      f"{place}: a number was expected in {rating!r}, not {value!r}"
    )
  text = _response(place, row_files.column(place, row, response))
  if not text.strip():
    raise row_counts.Dropped("empty response")
  before = (
    ""
    if prompt is None
    else _prompt(place, row_files.column(place, row, prompt))
  )
  return Rated(before, text, float(value))
