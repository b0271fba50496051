"""Several processes: what they agree on, what they end with, how they die."""

from concurrent import futures
import pathlib
import random
import re
import signal

import jax
import numpy as np
import process_jobs
import pytest
import two_processes

from xlrm.checkpoints import native
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.training import fit
from xlrm.training import metric_writer

pytestmark = pytest.mark.xdist_group("processes")
END_SECONDS = 60  # the stated time in which a death ends the others


def assert_same_end(folder: pathlib.Path, whole: pathlib.Path) -> None:
  """Bit-equal parameters, state and metrics."""
  for name in (metric_writer.METRICS, native.BEST):
    assert (folder / name).read_bytes() == (whole / name).read_bytes()
  assert native.steps(folder) == native.steps(whole)
  step = native.steps(whole)[-1]
  ours, theirs = (
    {**native.read(x / f"checkpoint_{step}"), **native.read_rest(x)[1]}
    for x in (folder, whole)
  )
  assert ours.keys() == theirs.keys()
  for name, array in ours.items():
    np.testing.assert_array_equal(array.whole(), theirs[name].whole())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp("compilations")


@pytest.fixture(scope="module")
def pair(tmp_path_factory, cache):
  """Batches, a run that nothing disturbs, and one that ends badly."""
  place = tmp_path_factory.mktemp("whole")
  made = two_processes.Pair.start(
    place, cache, "rows:rows", "tiny:run", "full:full"
  )
  made.started[1].wait(two_processes.LIMIT)
  made.wait(END_SECONDS)
  return made, place


@pytest.fixture(scope="module")
def whole(pair):
  made, place = pair
  assert "tiny: done" in made.logs[0].read_text(), made.said()
  return place / "run"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """The same run by one process with eight devices."""
  folder = tmp_path_factory.mktemp("alone")
  return folder, process_jobs.run_tiny(folder, folder)


def kill_one(
  pair: two_processes.Pair, folder: pathlib.Path, victim: int
) -> None:
  """SIGKILL at a random moment; the other ends in time and says who died."""
  pair.signal_at(folder, random.choice([2, 4, 6]), victim, signal.SIGKILL)
  codes = pair.wait(END_SECONDS)
  assert codes[victim] == -signal.SIGKILL
  assert codes[1 - victim] != 0, pair.said()
  other = pair.logs[1 - victim].read_text(errors="replace")
  named = r"(unhealthy|timed out task names).*\n1\n" if victim else "the leader"
  assert re.search(named, other), pair.said()


def check_kills(victims, whole, tmp_path, cache, job="tiny"):
  """After each kill the restart is bit-equal to the undisturbed run."""
  folders = [tmp_path / str(i) for i in range(len(victims))]
  for folder in folders:
    folder.mkdir()
  pairs = [two_processes.Pair.start(x, cache, f"{job}:run") for x in folders]
  runs = [folder / "run" for folder in folders]
  with futures.ThreadPoolExecutor() as pool:
    list(pool.map(kill_one, pairs, runs, victims))
  for run in runs:
    assert len(two_processes.lines(run)) < len(two_processes.lines(whole))
  for pair in [
    two_processes.Pair.start(x, cache, f"{job}:run") for x in folders
  ]:
    pair.finish()
  for run in runs:
    assert_same_end(run, whole)


def test_g21_a_death_ends_the_other_and_the_restart_is_bit_equal(
  whole, tmp_path, cache
):
  check_kills([1, 0], whole, tmp_path, cache)


def test_each_process_makes_its_rows_of_the_batches(pair):
  made, _ = pair
  for log in made.logs:
    assert "rows: done" in log.read_text(), made.said()


def test_g21_a_process_that_cannot_write_ends_the_others(pair, whole):
  """Which wait for its arrays; they are told who it was."""
  made, place = pair
  first, second = (log.read_text(errors="replace") for log in made.logs)
  assert made.started[1].returncode == 1 and "File too large" in second
  assert made.started[0].returncode != 0, made.said()
  assert "Task 1 heartbeat timeout" in first, made.said()
  assert native.steps(place / "full") == [5]  # the best one, and the latest
  ours, theirs = two_processes.lines(place / "full"), two_processes.lines(whole)
  assert ours == theirs[: len(ours)] and len(ours) < len(theirs)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_g21_at_many_random_moments(number, whole, tmp_path, cache):
  del number
  check_kills([1, 0], whole, tmp_path, cache)


@pytest.mark.slow
def test_g21_a_real_job_is_killed_and_ends_with_the_same_bits(tmp_path, cache):
  """SFT of the shipped model; the victim has the rows' file, or maps it."""
  undisturbed = tmp_path / "undisturbed"
  undisturbed.mkdir()
  two_processes.Pair.start(undisturbed, cache, "nano:run").finish(
    2 * two_processes.LIMIT
  )
  check_kills([1, 0], undisturbed / "run", tmp_path, cache, "nano")
  for place in tmp_path.iterdir():
    assert not list(place.rglob("rows*"))


def test_two_processes_train_as_one_does(whole, alone):
  folder, result = alone
  ours = native.load_params(
    whole / "checkpoint_12", jax.eval_shape(process_jobs.tiny_run.new_params)
  )
  two_processes.assert_close(ours, result.params)
  assert [x["step"] for x in two_processes.lines(whole)] == [
    x["step"] for x in two_processes.lines(folder)
  ]


def test_one_process_goes_on_where_two_were_stopped(alone, tmp_path, cache):
  """SIGTERM to one of them: both save the same step and leave."""
  pair = two_processes.Pair.start(tmp_path, cache, "tiny:run")
  pair.signal_at(tmp_path / "run", 4, 1, signal.SIGTERM)
  code = fit.PREEMPTED_EXIT_CODE
  assert pair.wait() == [code, code], pair.said()
  saved = native.steps(tmp_path / "run")[-1]
  assert 4 < saved < 12
  mesh = meshes.MeshConfig(data=8).build()
  result = process_jobs.run_tiny(tmp_path, tmp_path / "run", mesh)
  assert result.step == 12
  two_processes.assert_close(result.params, alone[1].params)


def test_shares_are_blocks_of_all_rows(monkeypatch):
  monkeypatch.setattr(processes, "count", lambda: 4)
  blocks = [processes.row_shard(10, i) for i in range(4)]
  assert [(x.start, x.stop) for x in blocks] == [
    (0, 3),
    (3, 6),
    (6, 8),
    (8, 10),
  ]
  few = [processes.row_shard(2, i) for i in range(4)]
  assert [x.stop - x.start for x in few] == [1, 1, 0, 0]


def test_one_process_needs_no_others():
  assert processes.gather("x") == ["x"] and processes.broadcast(3) == 3
  assert processes.on_first(max, 2, 5) == 5
  assert processes.Vote().any(True) and not processes.Vote().any(False)
  processes.barrier()
  processes.leave(2)
  with pytest.raises(OSError, match="full"):
    processes.raise_together(OSError("the disk is full"))


@pytest.mark.parametrize("all_leave", [True, False])
def test_who_leaves_alone_says_no_farewell(all_leave, monkeypatch):
  ended = []

  def meet(name, seconds):
    if not all_leave:
      raise RuntimeError(f"{name}: nobody in {seconds} seconds")

  monkeypatch.setattr(processes, "count", lambda: 2)
  monkeypatch.setattr(processes, "_meet", meet)
  monkeypatch.setattr(processes.os, "_exit", ended.append)
  processes.leave(2)
  assert ended == ([] if all_leave else [2])
