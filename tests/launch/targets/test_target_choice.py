"""Targets of a launch: found by name, and done only if that is meant."""

import argparse

import pytest

from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import target_choice


@pytest.mark.parametrize("target", target_choice.TARGETS)
def test_every_target_can_be_planned_checked_and_done(target):
  module = target_choice.module_of(target)
  assert module.__name__ == f"xlrm.launch.targets.launch_{target}"
  for name in ("add_arguments", "check", "plan", "go"):
    assert callable(getattr(module, name))
  parser = argparse.ArgumentParser()
  target_choice.add_target_arguments(parser, target)
  given = parser.parse_args(["--env=A=1", "--env=B=2", "--name=x"])
  assert (given.env, given.name, given.go) == (["A=1", "B=2"], "x", False)


@pytest.mark.parametrize(
  ("word", "hint"),
  [("slrum", "; did you mean 'slurm'?"), ("zzz", ""), ("kube", "kubernetes")],
)
def test_the_nearest_target_is_named(word, hint):
  assert hint in target_choice.nearest(word)
  assert bool(target_choice.nearest(word)) == bool(hint)


def test_nothing_is_done_unless_it_is_meant(tmp_path, capsys):
  plan = launch_plan.LaunchPlan(tmp_path / "launch", {"a.sh": "true"}, ())
  done = []
  go = lambda plan: done.append(plan) or 3
  assert target_choice.carry_out(plan, go, False) == 0
  assert not done and not (tmp_path / "launch").exists()
  assert "Nothing was written or run: --go does it." in capsys.readouterr().out
  assert target_choice.carry_out(plan, go, True) == 3
  assert done == [plan] and (tmp_path / "launch/a.sh").read_text() == "true"
