"""Scores of texts are those of each response alone."""

import dataclasses

import jax
import letters
import pytest

from xlrm.models import response_scorer
from xlrm.rewards import text_scoring


@pytest.fixture(scope="module")
def reward_model():
  scorer = response_scorer.ResponseScorer(
    model=letters.model(),
    tokenizer=letters.LETTERS,
    max_input_length=9,
    max_response_length=6,
  )
  return scorer, jax.jit(scorer.init)(jax.random.key(1))


def test_scores_are_those_of_each_response_alone(reward_model):
  scorer, params = reward_model
  prompts = ["a b", "c", "d e f"]
  responses = [["b c", "", "b c"], [], ["x", "y z", "c", "c d e f g h i"]]
  found = text_scoring.score_texts(
    scorer, params, prompts, responses, batch_size=2
  )
  assert [len(group) for group in found] == [3, 0, 4]
  assert found[0][0] == found[0][2]
  assert len({*found[0], *found[2]}) == 6
  score = jax.jit(scorer.scores)
  for prompt, group, scores in zip(prompts, responses, found):
    for text, expected in zip(group, scores):
      batch = scorer.prepare([prompt], [[text]])
      alone = float(score(params, batch)[0, 0])
      assert alone == pytest.approx(expected, abs=1e-5)


def test_reward_models_of_one_shape_share_a_compilation(reward_model):
  scorer, params = reward_model
  score = lambda scorer: text_scoring.score_texts(
    scorer, params, ["a"], [["b", "c"]], batch_size=2
  )
  first = score(scorer)
  compiled = text_scoring._score._cache_size()
  assert (
    score(dataclasses.replace(scorer, tokenizer=letters.Letters("others")))
    == first
  )
  assert text_scoring._score._cache_size() == compiled


def test_nothing_to_score(reward_model):
  scorer, params = reward_model
  score = text_scoring.score_texts
  assert score(scorer, params, [], [], batch_size=2) == []
  assert score(scorer, params, ["a"], [[]], batch_size=2) == [[]]
  with pytest.raises(ValueError, match="2 prompts but 1 groups"):
    score(scorer, params, ["a", "b"], [["c"]], batch_size=2)
  with pytest.raises(ValueError, match="batch_size 0"):
    score(scorer, params, ["a"], [["c"]], batch_size=0)
