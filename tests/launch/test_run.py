"""`xlrm run`: how --gin.NAME=VALUE are understood, and that a plan says it."""

import argparse

import pytest

from xlrm.launch import launch
from xlrm.launch import main
from xlrm.launch import run
from xlrm.launch import study
from xlrm.launch.studies import study_plan

SFT = "--gin_file=sft.gin"
TASK = "--gin.MIXTURE_OR_TASK_NAME=miniworld_summary.es"


def test_bindings_are_taken_out_in_any_order():
  given = ["--a", "--gin.X=runs/x", "b", "--gin.f.y=1e5", "--gin.Z={'a': 1}"]
  bindings, rest = run.take_bindings(argparse.ArgumentParser(), given)
  assert bindings == ["X = 'runs/x'", "f.y = 1e5", "Z = {'a': 1}"]
  assert rest == ["--a", "b"]


@pytest.mark.parametrize(
  ("argument", "said"),
  [
    ("--gin.X", "a binding is --gin.NAME=VALUE"),
    ("--gin.=3", "a binding is --gin.NAME=VALUE"),
    ("--gin.X=[1, ", "--gin.X=[1, : begins like a value"),
    ("--gin.X='half", "as text: --gin.X="),
    ("--gin.X=yes", "--gin.X=True"),
    ("--gin.X=", "has no value"),
  ],
)
@pytest.mark.parametrize("command", ["run", "study", "launch"])
def test_what_is_no_binding_is_refused(command, argument, said, capsys):
  where = ["local"] if command == "launch" else []
  with pytest.raises(SystemExit) as stop:
    main.main([command, *where, SFT, argument])
  assert stop.value.code == 2
  assert said in capsys.readouterr().err


def test_a_dry_run_says_how_bindings_were_understood(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  line = ["run", SFT, TASK, "--gin.MODEL_DIR=runs/x y", "--gin.TRIAN_STEPS=3"]
  assert main.main([*line, "--dry_run"]) == 2  # before it says what is wrong
  assert capsys.readouterr().out.startswith(
    "gin:\n  MIXTURE_OR_TASK_NAME = 'miniworld_summary.es'\n"
    "  MODEL_DIR = 'runs/x y'\n  TRIAN_STEPS = 3\n"
  )
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ("module", "line"),
  [
    (launch, ["launch", "local", SFT, TASK, "--gin.MODEL_DIR=runs/x"]),
    (study, ["study", "--gin_file=demo_study.gin", "--gin.MODEL_DIR=runs/x"]),
  ],
)
def test_launch_and_study_say_so_too(
  module, line, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(study_plan, "check_tasks", lambda plan: None)
  line += ["--dry_run"] if module is study else []
  assert main.main(line) == 0
  said = capsys.readouterr().out
  assert said.startswith("gin:\n  M") and "  MODEL_DIR = 'runs/x'\n" in said
  assert not list(tmp_path.iterdir())


def test_a_command_without_bindings_says_nothing_of_them(capsys):
  run.print_bindings(argparse.Namespace(bindings=[]))
  assert not capsys.readouterr().out
