"""What reward models are asked, and what is made of their scores."""

import pytest

from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.evaluation import judgments
from xlrm.jobs import asked_judgments
from xlrm.jobs import random_heads
from xlrm.miniworld import world_rows
from xlrm.rewards import reward_models

LENGTHS = {"inputs": 64, "targets": 32}


class Rated:
  """A source of ratings; text 0 is good, text 1 bad, .."""

  def __init__(self, held_out, training=None):
    self.splits = {"test": held_out, "train": training}

  def examples(self, split):
    if self.splits[split] is None:
      raise ValueError(f"no split {split!r}")
    return [
      {
        "id": f"{split}/{i}",
        "reward_inputs": "prompt",
        "targets_pretokenized": f"text {i}" + " word" * (i % 3),
        "rating": float(i % 2 == 0),
      }
      for i in range(self.splits[split])
    ]


class Even:
  """Knows the truth."""

  mesh = None

  def __init__(self):
    self.asked = []

  def read(self):
    pass

  def score(self, prompts, texts, batch_size):
    self.asked.append(len(prompts))
    return [[float(int(x.split()[1]) % 2 == 0) for x in g] for g in texts]


def ask(sources, monkeypatch, judge, **options):
  monkeypatch.setattr(asked_judgments, "load_judge", lambda *_: judge)
  options = {"split": "test", "max_training_rows": 4, **options}
  return asked_judgments.ask(
    {"model": "x"}, sources, lengths=LENGTHS, batch_size=2, **options
  )


def test_every_language_is_asked_held_out_and_some_training_rows(monkeypatch):
  judge = Even()
  found = ask({"es": Rated(6, 20), "ru": Rated(3, 2)}, monkeypatch, judge)
  assert judge.asked == [6, 4, 3, 2]
  assert [x.language for x in found.accuracies] == ["es", "ru"]
  assert [x.n for x in found.accuracies] == [6, 3]
  assert all(x.accuracy == 1 for x in found.accuracies)
  assert [x["id"] for x in found.scores[:6]] == [f"test/{i}" for i in range(6)]
  assert [x["scores"] for x in found.scores[:2]] == [[1.0], [0.0]]
  assert found.notes == []


def test_a_language_without_training_rows_says_so(monkeypatch):
  judge = Even()
  found = ask({"tr": Rated(4)}, monkeypatch, judge)
  assert judge.asked == [4]
  assert "tr has no training split" in found.notes[0]
  with pytest.raises(ValueError, match="vi: the split 'test' has no judgments"):
    ask({"vi": Rated(0)}, monkeypatch, judge)


def test_a_path_says_whether_heads_must_be_made(place, speck, speck_reward):
  heads = asked_judgments.load_judge(speck, LENGTHS)
  assert isinstance(heads, random_heads.RandomHeads)
  for spec in (speck_reward, [speck_reward, speck_reward]):
    judge = asked_judgments.load_judge(spec, LENGTHS)
    assert isinstance(judge, reward_models.RewardModel)
  assert (
    model_files.read_description(speck).kind == model_description.LANGUAGE_MODEL
  )


def test_random_heads_on_ratings_and_rankings_give_one_mean_row():
  heads = random_heads.load("nano", LENGTHS)
  found = world_rows.rating_rows("es", "test", 0, 6)
  rated = judgments.Judgments.of_rows(
    [
      {
        "id": row.id,
        "reward_inputs": row.document,
        "targets_pretokenized": row.summary,
        "rating": row.rating,
      }
      for row in found
    ]
  )
  ranked = judgments.Judgments.of_rows(
    [
      {
        "id": row.id,
        "reward_inputs": row.document,
        "targets_pretokenized": row.summary,
        "responses": [row.summary, "Paris."],
        "ranks": [0, 1],
      }
      for row in found
    ]
  )
  for asked in (rated, ranked):
    baselines = judgments.Baselines.fit(asked)
    row = asked_judgments.accuracy_of_heads(
      "base", "es", heads, asked, baselines, 4
    )
    assert row.n == 6 and row.heads == random_heads.RANDOM_HEADS
    assert 0.3 < row.accuracy < 0.7
