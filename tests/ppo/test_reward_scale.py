"""Gain and bias of a reward model for the language that it is to judge."""

import json
import math

import numpy as np
import pytest

from xlrm.ppo import reward_scale

SCORES = [3.0, 5.0, 7.0, 9.0]  # mean 6, standard deviation sqrt(5)


def test_g16_scores_of_the_reference_are_taken_to_mean_0_and_deviation_1():
  scale = reward_scale.RewardScale.fit(SCORES)
  assert (scale.mean, scale.n) == (6.0, 4)
  assert scale.std == pytest.approx(math.sqrt(5))
  scaled = scale.gain * np.array(SCORES) + scale.bias
  assert scaled.mean() == pytest.approx(0, abs=1e-12)
  assert scaled.std() == pytest.approx(1)
  assert (np.diff(scaled) > 0).all()


def test_g16_offset_and_scale_of_a_reward_model_make_no_difference():
  """Another language's model: the same opinions in other units."""
  generator = np.random.default_rng(0)
  scores = generator.normal(size=200)
  other = 40.0 * scores - 1e4
  first, second = map(reward_scale.RewardScale.fit, (scores, other))
  np.testing.assert_allclose(
    second.gain * other + second.bias,
    first.gain * scores + first.bias,
    atol=1e-9,
  )


def test_g16_not_fitted_it_changes_nothing():
  scale = reward_scale.RewardScale()
  assert (scale.gain, scale.bias, scale.n) == (1.0, 0.0, 0)


@pytest.mark.parametrize(
  ("scores", "message"),
  [
    ([], "0 scores are too few"),
    ([1.0], "1 scores are too few"),
    ([1.0, math.nan, math.inf], "gives 2 of 3 samples .* not finite"),
    ([0.25] * 5, "all 5 samples .* same score, 0.25: it cannot tell"),
    ([1e9, 1e9 + 1e-3], "all 2 samples"),
  ],
)
def test_scores_without_an_opinion_are_refused(scores, message):
  with pytest.raises(ValueError, match=message):
    reward_scale.RewardScale.fit(scores)


def test_g16_it_is_stored_with_the_run(tmp_path):
  assert reward_scale.RewardScale.read(tmp_path) is None
  scale = reward_scale.RewardScale.fit(SCORES)
  scale.write(tmp_path)
  assert reward_scale.RewardScale.read(tmp_path) == scale


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("{", "is no reward scale"),
    ("[]", "is no reward scale"),
    ('{"gain": 1.0, "offset": 2.0}', "is no reward scale: .*offset"),
    ('{"gain": -2.0}', "is no reward scale: gain -2.0"),
    ('{"gain": "2"}', "is no reward scale"),
    ('{"bias": NaN}', "is no reward scale: bias nan"),
  ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
  path = tmp_path / reward_scale.FILE
  path.write_text(content)
  with pytest.raises(ValueError, match=message) as error:
    reward_scale.RewardScale.read(tmp_path)
  assert str(path) in str(error.value)


def test_the_file_is_readable(tmp_path):
  reward_scale.RewardScale.fit(SCORES).write(tmp_path)
  found = json.loads((tmp_path / reward_scale.FILE).read_text())
  assert set(found) == {"gain", "bias", "mean", "std", "n"}
