"""Options of a run: when it logs, evaluates and saves, and what is best."""

import pytest

from xlrm.training import train_config


@pytest.mark.parametrize(
  "change",
  [{"train_steps": 0}, {"best_mode": "median"}, {"patience": 0}],
)
def test_bad_settings_are_named(change):
  with pytest.raises(ValueError, match=str(list(change.values())[0])):
    train_config.TrainConfig(**{"train_steps": 1, **change})


CONFIG = train_config.TrainConfig(
  10, eval_period=4, checkpoint_period=3, log_period=5
)


def test_the_last_step_is_logged_evaluated_and_saved():
  steps = range(1, 11)
  assert [x for x in steps if CONFIG.logs(x)] == [5, 10]
  assert [x for x in steps if CONFIG.evaluates(x)] == [4, 8, 10]
  assert [x for x in steps if CONFIG.saves(x)] == [3, 4, 6, 8, 9, 10]


@pytest.mark.parametrize(
  ("mode", "value", "best", "expected"),
  [
    ("min", 1.0, None, True),
    ("min", 1.0, 2.0, True),
    ("min", 2.0, 2.0, False),
    ("max", 3.0, 2.0, True),
    ("max", 1.0, 2.0, False),
    ("max", float("nan"), None, False),
    ("min", float("-inf"), 2.0, False),
  ],
)
def test_a_number_that_is_finite_may_be_the_best(mode, value, best, expected):
  config = train_config.TrainConfig(1, best_mode=mode)
  assert config.is_better(value, best) == expected
