"""Scores written into a file: what is there is not scored again."""

import json
import types

import pytest

from xlrm.rewards import score_files

ROWS = [{"reward_inputs": text} for text in ("b c", "c", "d e f")]
TEXTS = [["a", "b"], ["c"], ["a", "b", "d"]]


class Lengths:
  """Stands for a reward model that likes long texts; counts what it reads."""

  mesh = types.SimpleNamespace(shape={"data": 1})

  def __init__(self):
    self.prompts: list[str] = []

  def read(self):
    pass

  def score(self, prompts, responses, *, batch_size):
    assert batch_size == 4
    self.prompts += prompts
    return [
      [float(len(prompt + text)) for text in group]
      for prompt, group in zip(prompts, responses, strict=True)
    ]


def write(folder, reward, identity="job", name="en"):
  return score_files.write_scores(
    folder,
    name,
    reward,
    ROWS,
    TEXTS,
    identity=identity,
    chunk_size=2,
    batch_size=4,
  )


def test_scores_are_groups_in_the_order_of_the_rows(tmp_path):
  reward = Lengths()
  expected = [[4.0, 4.0], [2.0], [6.0, 6.0, 6.0]]
  assert write(tmp_path, reward) == expected
  lines = (tmp_path / "scores.en.jsonl").read_text().splitlines()
  assert [json.loads(x)["scores"] for x in lines] == expected
  assert write(tmp_path, reward) == expected
  assert len(reward.prompts) == 3  # the second time nothing was scored


def test_scores_of_another_model_are_not_taken(tmp_path):
  write(tmp_path, Lengths())
  with pytest.raises(ValueError, match="another model"):
    write(tmp_path, Lengths(), identity="other")


def test_an_interrupted_file_goes_on_with_the_next_chunk(tmp_path):
  class Dies(Lengths):
    def score(self, prompts, responses, *, batch_size):
      if "d e f" in prompts:
        raise OSError("the disk is full")
      return super().score(prompts, responses, batch_size=batch_size)

  with pytest.raises(OSError):
    write(tmp_path, Dies())
  reward = Lengths()
  assert write(tmp_path, reward)[2] == [6.0, 6.0, 6.0]
  assert reward.prompts == ["d e f"]
