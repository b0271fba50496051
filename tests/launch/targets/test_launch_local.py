"""Processes on this machine: what they are told, how they end together."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import launching
import pytest

from xlrm.launch.targets import launch_local
from xlrm.launch.targets import launch_plan


def commands(program: str, number: int = 2) -> list[launch_plan.Command]:
  return [
    launch_plan.Command(
      (sys.executable, "-c", program), {"XLRM_PROCESS_ID": str(i)}
    )
    for i in range(number)
  ]


def test_each_process_is_told_who_it_is(tmp_path):
  plan = launching.plan(
    launch_local, tmp_path / "rm", "--processes=3", "--cpu_devices=4"
  )
  told = [command.environment for command in plan.commands]
  assert [x["XLRM_PROCESS_ID"] for x in told] == ["0", "1", "2"]
  assert {x["XLRM_PROCESS_COUNT"] for x in told} == {"3"}
  assert {x["JAX_NUM_CPU_DEVICES"] for x in told} == {"4"}
  (address,) = {x["XLRM_COORDINATOR_ADDRESS"] for x in told}
  host, port = address.split(":")
  assert host == "127.0.0.1" and 1024 < int(port) < 65536
  assert plan.commands[0].arguments[-2:] == (
    "run",
    f"--gin_file={tmp_path}/rm/launch/config.gin",
  )


TELL = """
import os, sys
print("[Gloo] Rank 0 is connected to 1 peer ranks.")
print("I am", os.environ["XLRM_PROCESS_ID"])
print("an error", file=sys.stderr)
"""


def test_lines_carry_their_process(capfd):
  assert launch_local.run_together(commands(TELL)) == 0
  said = sorted(capfd.readouterr().out.splitlines())
  assert said == ["[0] I am 0", "[0] an error", "[1] I am 1", "[1] an error"]


ENDS = """
import os, pathlib, signal, sys, time
ready = pathlib.Path({ready!r})
if os.environ["XLRM_PROCESS_ID"] == "1":
  while not ready.exists():
    time.sleep(0.01)
  {end}
signal.signal(signal.SIGTERM, {handler})
ready.touch()
time.sleep(60)
"""
SAVES = "lambda *_: (print('saved'), sys.exit(75))"


@pytest.mark.parametrize(
  ("end", "code", "said"),
  [
    ("sys.exit(3)", 3, "process 1 ended with exit status 3"),
    ("os.kill(os.getpid(), 9)", 137, "process 1 was killed by SIGKILL"),
  ],
)
def test_g21_one_that_fails_ends_the_others(end, code, said, capfd, tmp_path):
  ready = str(tmp_path / "ready")
  program = ENDS.format(end=end, handler=SAVES, ready=ready)
  started = time.monotonic()
  assert launch_local.run_together(commands(program)) == code
  assert time.monotonic() - started < 30
  out = capfd.readouterr().out
  assert said in out and "[0] saved" in out


def test_one_that_does_not_listen_is_killed(tmp_path):
  ready = str(tmp_path / "ready")
  program = ENDS.format(
    end="sys.exit(4)", handler="signal.SIG_IGN", ready=ready
  )
  started = time.monotonic()
  assert launch_local.run_together(commands(program), grace_seconds=1) == 4
  assert time.monotonic() - started < 30


SAVE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved"), sys.exit(75)))
print("ready")
time.sleep(60)
"""
TOGETHER = """
import sys
from tests_commands import commands
from xlrm.launch.targets import launch_local
sys.exit(launch_local.run_together(commands({save!r})))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_all_save(number, tmp_path):
  (tmp_path / "tests_commands.py").write_text(
    "import sys\nfrom xlrm.launch.targets import launch_plan\n"
    "def commands(program):\n"
    "  one = launch_plan.Command((sys.executable, '-c', program))\n"
    "  return [one, one]\n"
  )
  launcher = subprocess.Popen(
    [sys.executable, "-c", TOGETHER.format(save=SAVE)],
    env={**os.environ, "PYTHONPATH": str(tmp_path)},
    stdout=subprocess.PIPE,
    text=True,
  )
  ready = [launcher.stdout.readline() for _ in range(2)]
  assert sorted(ready) == ["[0] ready\n", "[1] ready\n"]
  launcher.send_signal(number)
  said, _ = launcher.communicate(timeout=30)
  assert launcher.returncode == 75
  assert "[0] saved" in said and "[1] saved" in said


@pytest.mark.slow
def test_local_processes_run_the_job_from_its_gin_file(tmp_path):
  """One process; two are the business of the tests of many processes."""
  folder = tmp_path / "sft"
  done = subprocess.run(
    [
      *(sys.executable, "-m", "xlrm.launch.main", "launch", "local"),
      *("--processes=1", "--gin_file=demo_sft.gin", "--go"),
      *(f"--gin.MODEL_DIR={str(folder)!r}", "--gin.TRAIN_STEPS=2"),
      "--gin.EVAL_PERIOD=2",
      "--gin.GenerationEvaluation.num_examples=4",
      "--gin.MIXTURE_OR_TASK_NAME='miniworld_summary.es'",
    ],
    env={**os.environ, "XLA_FLAGS": "", "XDG_CACHE_HOME": str(tmp_path)},
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  assert "[0] sft 2/2" in done.stdout
  assert pathlib.Path(folder / "checkpoint_2/manifest.json").is_file()
