"""Judgments as other projects publish them."""

import json

import pytest

from xlrm.data import file_tasks
from xlrm.data import row_counts
from xlrm.data import row_formats
from xlrm.data import seqio_source


def chat(*turns):
  roles = ("user", "assistant")
  return [{"role": roles[i % 2], "content": x} for i, x in enumerate(turns)]


FORMS = {
  "trl": {"prompt": "Sky?", "chosen": "Blue.", "rejected": "Green."},
  "trl, conversational": {
    "prompt": chat("Sky?"),
    "chosen": [{"role": "assistant", "content": "Blue."}],
    "rejected": [{"role": "assistant", "content": "Green."}],
  },
  "trl, implicit and conversational": {
    "chosen": chat("Sky?", "Blue."),
    "rejected": chat("Sky?", "Green."),
  },
  "the prompt repeated in both": {
    "prompt": "Sky?",
    "chosen": chat("Sky?", "Blue."),
    "rejected": chat("Sky?", "Green."),
  },
  "hh-rlhf": {
    "chosen": "\n\nHuman: Sky?\n\nAssistant: Blue.",
    "rejected": "\n\nHuman: Sky?\n\nAssistant: Green.",
  },
  "completions": {
    "prompt": "Sky?",
    "completions": [
      {"completion": "Green.", "rank": 4},
      {"completion": "Blue.", "rank": 1},
    ],
  },
  "two columns": {
    "prompt": "Sky?",
    "responses": ["Green.", "Blue."],
    "ranks": [1, 0],
  },
  "helpsteer3": {
    "context": chat("Sky?"),
    "response1": "Green.",
    "response2": "Blue.",
    "overall_preference": 2,
  },
  "rewardbench": {
    "id": 7,
    "prompt": "Sky?",
    "chosen": "Blue.",
    "chosen_model": "a",
    "rejected": "Green.",
    "rejected_model": "b",
    "subset": "facts",
  },
}


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_say_the_same(name):
  found = row_formats.ranked("x:1", FORMS[name])
  order = sorted(zip(found.ranks, found.responses))
  assert [text for _, text in order] == ["Blue.", "Green."]
  assert "Sky?" in found.prompt
  assert found.margin == (2.0 if name == "helpsteer3" else 0.0)


def test_several_chosen_and_rejected_are_ties():
  row = {
    "prompt": "2 + 2?",
    "chosen": ["4", "four"],
    "rejected": ["5", "3", "22"],
  }
  found = row_formats.ranked("x:1", row)
  assert found.responses == ("4", "four", "5", "3", "22")
  assert found.ranks == (0, 0, 1, 1, 1)


def test_conversations_become_text_and_longer_answers_keep_their_turns():
  row = {
    "prompt": [{"role": "system", "content": "Be kind."}, *chat("Hi.")],
    "chosen": chat("Hello!", "Thanks.")[::-1],
    "rejected": "No.",
    "margin": 0.5,
  }
  found = row_formats.ranked("x:1", row)
  assert found.prompt == "System: Be kind.\nUser: Hi."
  assert found.responses[0] == "Thanks.\nUser: Hello!"
  assert found.margin == 0.5


@pytest.mark.parametrize(
  "chosen, rejected, expected",
  [
    ("Hi. Yes", "Hi. Yesterday", ("Hi.", "Yes", "Yesterday")),
    ("abc", "abd", ("", "abc", "abd")),
    (
      "Human: a Assistant: the one",
      "Human: a Assistant: the two",
      ("Human: a Assistant:", "the one", "the two"),
    ),
  ],
)
def test_an_implicit_prompt_ends_at_a_word_or_at_the_answer(
  chosen, rejected, expected
):
  assert row_formats.split_prompt(chosen, rejected) == expected


@pytest.mark.parametrize(
  "change, reason",
  [
    ({"rejected": "Blue. "}, "identical responses"),
    ({"rejected": " "}, "empty response"),
    ({"chosen": ["Blue."], "rejected": []}, "one response"),
  ],
)
def test_rows_that_compare_nothing_are_dropped(change, reason):
  with pytest.raises(row_counts.Dropped, match=reason):
    row_formats.ranked("x:1", {**FORMS["trl"], **change})


def test_a_repeated_text_keeps_its_best_rank():
  row = {"prompt": "", "responses": ["b", "a", "b"], "ranks": [2, 1, 0]}
  found = row_formats.ranked("x:1", row)
  assert (found.responses, found.ranks) == (("a", "b"), (1, 0))


def test_helpsteer_ties_are_dropped():
  row = {**FORMS["helpsteer3"], "overall_preference": 0}
  with pytest.raises(row_counts.Dropped, match="all responses tied"):
    row_formats.ranked("x:1", row)


@pytest.mark.parametrize(
  "row, message",
  [
    ({"question": "a", "answer": "b"}, "x:1: the columns question, answer are"),
    ({"prompt": 3, "chosen": "a", "rejected": "b"}, "not 3"),
    ({"prompt": "", "chosen": 1, "rejected": "b"}, "as a response, not 1"),
    (
      {
        "prompt": "",
        "chosen": [{"role": "bot", "content": ""}],
        "rejected": "",
      },
      "'role' .one of system, user",
    ),
    ({"chosen": "a", "rejected": chat("a")}, "two texts or two lists"),
    ({"prompt": "", "completions": ["a"]}, "'completion' and 'rank'"),
    (
      {"prompt": "", "completions": [{"completion": "a"}]},
      "no column 'rank'",
    ),
    ({**FORMS["helpsteer3"], "overall_preference": 4}, "in -3..3"),
    ({**FORMS["trl"], "margin": -1}, "'margin', not -1"),
  ],
)
def test_g28_broken_rows_say_what_was_expected(row, message):
  with pytest.raises(ValueError, match=message):
    row_formats.ranked("x:1", row)


def write(path, *rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return {"train": str(path)}


def test_a_file_of_any_form_needs_no_code(tmp_path, registry, capsys):
  rows = [*FORMS.values(), {**FORMS["trl"], "rejected": "Blue."}]
  file_tasks.register_preferences(
    "mixed_preference.en", write(tmp_path / "x.jsonl", *rows), "en"
  )
  made = seqio_source.SeqioSource(
    "mixed_preference.en", {"inputs": 16, "targets": 8}, 3
  )
  found = made.examples("train")
  assert len(found) == len(FORMS) and found[-1]["dataset"] == "facts"
  assert found[-1]["id"] == "7" and found[0]["targets_pretokenized"] == "Blue."
  told = capsys.readouterr().out
  assert "identical responses" in told and "x.jsonl:10" in told
  batch = next(made.train_batches(0))
  assert batch.batch.targets.shape == (3, 2, 8)


def test_rated_rows_of_any_scale(tmp_path, registry):
  rows = [
    {"prompt": "a", "response": "b", "rating": 4},
    {"prompt": chat("a"), "completion": chat("", "c")[1:], "label": True},
    {"document": "a", "summary": "d", "rating": 1},
  ]
  file_tasks.register_ratings(
    "x_rating.en", write(tmp_path / "x.jsonl", *rows), "en", scale=(0, 5)
  )
  made = seqio_source.SeqioSource("x_rating.en", {"inputs": 4, "targets": 4}, 3)
  found = made.examples("train")
  assert [round(x["rating"], 3) for x in found] == [0.8, 0.2, 0.2]
  assert [x["targets_pretokenized"] for x in found] == ["b", "c", "d"]
  with pytest.raises(ValueError, match="the worst rating comes first"):
    file_tasks.register_ratings("y.en", {"train": "x"}, "en", scale=(5, 1))


def test_g28_a_file_of_which_nothing_is_left_is_an_error(tmp_path, registry):
  paths = write(tmp_path / "x.jsonl", {**FORMS["trl"], "rejected": "Blue."})
  file_tasks.register_preferences("x_preference.en", paths, "en")
  made = seqio_source.SeqioSource(
    "x_preference.en", {"inputs": 4, "targets": 4}, 1
  )
  with pytest.raises(ValueError, match="nothing is left of x_preference.en"):
    made.examples("train")


def test_weights_over_several_tasks_are_kept(tmp_path, registry):
  for language, text in (("en", "b"), ("de", "c"), ("es", "d")):
    rows = [{"prompt": "a", "response": text, "rating": 1}] * 4
    file_tasks.register_ratings(
      f"x_rating.{language}",
      write(tmp_path / f"{language}.jsonl", *rows),
      language,
    )
  lengths = {"inputs": 4, "targets": 4}
  weights = {"x_rating.en": 2, "x_rating.de": 1, "x_rating.es": 1}
  made = seqio_source.SeqioSource(weights, lengths, 1024)
  parts = [round(rate / 4, 6) for _, rate in made.arrays.parts]
  assert parts == [0.5, 0.25, 0.25]
  tokens = next(made.train_batches(0)).batch.targets[:, 0].tolist()
  english = made.arrays.train[0]["targets"].tolist()
  assert sum(row[: len(english)] == english for row in tokens) == 512
  even = seqio_source.SeqioSource(["x_rating.en", "x_rating.de"], lengths, 4)
  assert [rate for _, rate in even.arrays.parts] == [1.0, 1.0]
  registry.register_mixture("x_rating", ["x_rating.en", "x_rating.de"])
  with pytest.raises(ValueError, match="'x_rating.en' is in it twice"):
    seqio_source.SeqioSource(["x_rating", "x_rating.en"], lengths, 4)
  with pytest.raises(ValueError, match="is 0, not above 0"):
    seqio_source.SeqioSource({"x_rating.en": 0}, lengths, 4)
