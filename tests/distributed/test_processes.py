"""Several processes: what they agree on, what they end with, how they die."""

from concurrent import futures
import dataclasses
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time
import types

import jax
import numpy as np
import process_jobs
import pytest

from xlrm.checkpoints import native
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.distributed import process_start
from xlrm.distributed import processes
from xlrm.evaluation import accuracy_files
from xlrm.launch import main
from xlrm.launch import process_options
from xlrm.storage import chunked_files
from xlrm.training import fit
from xlrm.training import metric_writer

pytestmark = pytest.mark.xdist_group("processes")
END_SECONDS = 60  # the stated time in which a death ends the others
LIMIT = 600  # seconds that no test waits longer than


@dataclasses.dataclass
class Pair:
  """Two processes of four devices each, with their outputs in files."""

  started: list[subprocess.Popen]
  logs: list[pathlib.Path]

  @classmethod
  def start(cls, place: pathlib.Path, cache: pathlib.Path, *jobs: str):
    script = pathlib.Path(process_jobs.__file__)
    path = os.pathsep.join(
      [str(script.parent), os.environ.get("PYTHONPATH", "")]
    )
    environment = {
      **os.environ,
      "PYTHONPATH": path,
      "JAX_PLATFORMS": "cpu",
      "JAX_COMPILATION_CACHE_DIR": str(cache),
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    with socket.socket() as free:
      free.bind(("127.0.0.1", 0))
      address = f"127.0.0.1:{free.getsockname()[1]}"
    name = "_".join(jobs).replace(":", "_")
    logs = [place / f"{name}.{i}.log" for i in range(2)]
    started = []
    for i, log in enumerate(logs):
      with open(log, "wb") as file:
        command = [sys.executable, "-u", str(script), str(place), address]
        started.append(
          subprocess.Popen(
            [*command, "2", str(i), *jobs],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
          )
        )
    return cls(started, logs)

  def said(self) -> str:
    texts = [x.read_text(encoding="utf-8", errors="replace") for x in self.logs]
    return "\n---- the other ----\n".join(text[-4000:] for text in texts)

  def wait(self, seconds: float = LIMIT) -> list[int]:
    """Exit codes; after `seconds` both are killed and the test fails."""
    limit = time.monotonic() + seconds
    try:
      for process in self.started:
        process.wait(max(0.1, limit - time.monotonic()))
    except subprocess.TimeoutExpired:
      self.stop()
      pytest.fail(f"still there after {seconds} seconds: {self.said()}")
    return [process.returncode for process in self.started]

  def stop(self) -> None:
    for process in self.started:
      process.kill()
      process.wait()

  def finish(self, seconds: float = LIMIT) -> None:
    assert self.wait(seconds) == [0, 0], self.said()

  def signal_at(self, folder, step: int, victim: int, number: int) -> None:
    """Signals one of the two soon after the metrics of a step are there."""
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit and self.started[victim].poll() is None:
      rows = metric_writer.read(folder / metric_writer.METRICS)
      if any(row["step"] >= step for row in rows):
        time.sleep(random.random() / 20)
        self.started[victim].send_signal(number)
        return
      time.sleep(0.005)
    self.stop()
    pytest.fail(f"no step {step}: {self.said()}")


def assert_close(one, two, tolerance=1e-5):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
    np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)


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
  made = Pair.start(place, cache, "rows:rows", "tiny:run", "full:full")
  made.started[1].wait(LIMIT)
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


def kill_one(pair: Pair, folder: pathlib.Path, victim: int) -> None:
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
  pairs = [Pair.start(x, cache, f"{job}:run") for x in folders]
  runs = [folder / "run" for folder in folders]
  with futures.ThreadPoolExecutor() as pool:
    list(pool.map(kill_one, pairs, runs, victims))
  for run in runs:
    assert len(lines(run)) < len(lines(whole))
  for pair in [Pair.start(x, cache, f"{job}:run") for x in folders]:
    pair.finish()
  for run in runs:
    assert_same_end(run, whole)


def lines(folder: pathlib.Path) -> list:
  return metric_writer.read(folder / metric_writer.METRICS)


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
  ours, theirs = lines(place / "full"), lines(whole)
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
  Pair.start(undisturbed, cache, "nano:run").finish(2 * LIMIT)
  check_kills([1, 0], undisturbed / "run", tmp_path, cache, "nano")
  for place in tmp_path.iterdir():
    assert not list(place.rglob("rows*"))


def test_two_processes_train_as_one_does(whole, alone):
  folder, result = alone
  ours = native.load_params(
    whole / "checkpoint_12", jax.eval_shape(process_jobs.tiny_run.new_params)
  )
  assert_close(ours, result.params)
  assert [x["step"] for x in lines(whole)] == [x["step"] for x in lines(folder)]


def test_one_process_goes_on_where_two_were_stopped(alone, tmp_path, cache):
  """SIGTERM to one of them: both save the same step and leave."""
  pair = Pair.start(tmp_path, cache, "tiny:run")
  pair.signal_at(tmp_path / "run", 4, 1, signal.SIGTERM)
  code = fit.PREEMPTED_EXIT_CODE
  assert pair.wait() == [code, code], pair.said()
  saved = native.steps(tmp_path / "run")[-1]
  assert 4 < saved < 12
  mesh = meshes.MeshConfig(data=8).build()
  result = process_jobs.run_tiny(tmp_path, tmp_path / "run", mesh)
  assert result.step == 12
  assert_close(result.params, alone[1].params)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, cache):
  """Every job by two processes, and by one."""
  place = tmp_path_factory.mktemp("jobs")
  process_jobs.prepare(place)
  names = list(process_jobs.COMPARED)
  for some in names[:5], names[5:]:
    Pair.start(place, cache, *(f"{x}:{x}_two" for x in some)).finish(2 * LIMIT)
  results = {x: process_jobs.JOBS[x](place, place / f"{x}_one") for x in names}
  return place, results


@pytest.mark.slow
@pytest.mark.parametrize("job", ["sft", "reward", "ppo", "pretrain"])
def test_trained_parameters_are_those_of_one_process(job, jobs):
  place, results = jobs
  ours = native.read(place / f"{job}_two" / "checkpoint_5")
  theirs = native.read(place / f"{job}_one" / "checkpoint_5")
  assert ours.keys() == theirs.keys() and results[job].step == 5
  for name, array in ours.items():
    np.testing.assert_allclose(
      array.whole(), theirs[name].whole(), atol=1e-5, rtol=1e-5
    )
  assert lines(place / f"{job}_two")[0].keys() == results[job].history[0].keys()


def read_lines(path: pathlib.Path) -> list[dict]:
  text = path.read_text(encoding="utf-8")
  return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
  ("job", "name", "texts", "numbers"),
  [
    ("best_of_n", "parts/samples.jsonl", "texts", "logprobs"),
    ("best_of_n", "parts/greedy.jsonl", "texts", "logprobs"),
    ("files", "drawn.jsonl", "responses", "logprobs"),
    ("files", "scored.jsonl", "responses", "score"),
  ],
)
def test_drawn_texts_are_those_of_one_process(job, name, texts, numbers, jobs):
  place, _ = jobs
  ours = read_lines(place / f"{job}_two" / name)
  theirs = read_lines(place / f"{job}_one" / name)
  assert [x[texts] for x in ours] == [x[texts] for x in theirs]
  for a, b in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(a[numbers], b[numbers], atol=1e-4)
  left = [x.name for x in (place / f"{job}_two").rglob("*-of-*")]
  assert not left


@pytest.mark.slow
def test_records_are_written_once_and_in_order(jobs):
  place, _ = jobs
  ours, theirs = (
    read_lines(place / f"best_of_n_{x}" / "records.jsonl")
    for x in ("two", "one")
  )
  keys = ("example_id", "method", "sample", "output")
  assert [[x[k] for k in keys] for x in ours] == [
    [x[k] for k in keys] for x in theirs
  ]


@pytest.mark.slow
def test_the_model_of_pretraining_is_written_once(jobs):
  place, _ = jobs
  ours, theirs = (
    pretrained.load_language_model(str(place / f"pretrain_{x}" / "model"))
    for x in ("two", "one")
  )
  assert_close(ours.params, theirs.params)
  assert ours.description == theirs.description


@pytest.mark.slow
def test_a_diagnosis_is_that_of_one_process(jobs):
  place, results = jobs
  ours, theirs = (
    accuracy_files.read(place / f"diagnose_{x}" / "accuracy.json")
    for x in ("two", "one")
  )
  assert theirs == results["diagnose"] and theirs[0].n == 17
  for a, b in zip(ours, theirs, strict=True):
    for name, value in dataclasses.asdict(a).items():
      assert getattr(b, name) == pytest.approx(value, abs=1e-6), name
  ours, theirs = (
    read_lines(place / f"diagnose_{x}" / "scores.jsonl") for x in ("two", "one")
  )
  assert [x["id"] for x in ours] == [x["id"] for x in theirs]
  np.testing.assert_allclose(
    [x["scores"] for x in ours], [x["scores"] for x in theirs], atol=1e-4
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  "name",
  ["evaluate/records.jsonl", "evaluate/report.html", "judge/verdicts.jsonl"],
)
def test_what_one_host_works_out_is_the_same_file(name, jobs):
  place, _ = jobs
  job, _, file = name.partition("/")
  ours, theirs = (place / f"{job}_{x}" / file for x in ("two", "one"))
  assert ours.read_bytes() == theirs.read_bytes() and ours.stat().st_size


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


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("host:1", None, None), "not given: process_count, process_id"),
    (("host:1", 2, 2), "process_id 2 of process_count 2"),
    (("host", 2, 0), "'host' is not HOST:PORT"),
    ((":80", 2, 0), "':80' is not HOST:PORT"),
  ],
)
def test_arguments_that_do_not_fit_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    process_start.initialize(*arguments)


def test_a_coordinator_that_does_not_answer_is_named(monkeypatch):
  monkeypatch.setenv(process_start.TIMEOUT, "1")
  with socket.socket() as taken:  # bound, but nobody listens
    taken.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ValueError, match=f"nobody answers at {address}"):
      process_start.initialize(address, 2, 1)


def test_the_environment_is_read_and_checked(monkeypatch):
  monkeypatch.setenv(process_start.ADDRESS, "host:1")
  monkeypatch.setenv(process_start.COUNT, "two")
  with pytest.raises(ValueError, match="XLRM_PROCESS_COUNT='two'"):
    process_start.initialize()
  monkeypatch.setenv(process_start.COUNT, "1")
  monkeypatch.setenv(process_start.INDEX, "0")
  process_start.initialize()  # one process: nothing to join
  assert processes.count() == 1


def test_the_command_names_what_is_missing(capsys):
  files = ["--model=x", "--input=y", "--output=z"]
  code = main.main(["score", *files, "--process_count=2"])
  assert code == 2
  assert "not given: coordinator_address, process_id" in capsys.readouterr().err


def test_other_versions_are_refused_with_both():
  ours = {"python": "3.11.7", "jax": "0.10.2"}
  process_options.check_versions([ours, dict(ours)])
  with pytest.raises(ValueError, match="0 and 2 .* jax 0.10.2 and 0.11.0"):
    process_options.check_versions(
      [ours, dict(ours), {**ours, "jax": "0.11.0"}]
    )


def device(slice_index: int, process_index: int, number: int):
  return types.SimpleNamespace(
    slice_index=slice_index, process_index=process_index, id=number
  )


def test_slices_and_processes_stay_together_in_a_mesh():
  # Two slices of two processes of two devices, as a pod may number them.
  devices = [device(n % 2, 2 * (n % 2) + n // 2 % 2, n) for n in range(8)]
  ordered = meshes.in_order(devices, 2)
  assert [x.slice_index for x in ordered] == [0] * 4 + [1] * 4
  assert [x.process_index for x in ordered] == [0, 0, 1, 1, 2, 2, 3, 3]
  with pytest.raises(ValueError, match="model=8 does not fit into slice 0"):
    meshes.in_order(devices, 8)


def test_a_mesh_is_shared_out_or_refused(monkeypatch):
  monkeypatch.setattr(processes, "count", lambda: 2)
  monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:4])
  assert dict(meshes.MeshConfig(4, 2).build_own().shape) == {
    "data": 2,
    "model": 2,
  }
  with pytest.raises(ValueError, match="over 2 processes of 4 devices"):
    meshes.MeshConfig(1, 8).build_own()


def test_parts_of_a_file_are_joined_in_order(tmp_path):
  def file():
    return chunked_files.ChunkedFile(tmp_path / "x.jsonl", "job", 5, keep=True)

  sizes = [3, 2]
  for number, first in ((1, 3), (0, 0)):
    with file().part(number, 2, sizes[number]) as part:
      part.append([{"n": first + i} for i in range(sizes[number])])
  parts = [file().part(i, 2, n) for i, n in enumerate(sizes)]
  assert all(part.complete for part in parts)
  made = file()
  made.join(parts)
  assert [row["n"] for row in made.rows()] == list(range(5))
  assert file().complete
  assert {x.name for x in tmp_path.iterdir()} == {"x.jsonl", "x.jsonl.json"}
  with pytest.raises(ValueError, match="another model"):
    chunked_files.ChunkedFile(tmp_path / "x.jsonl", "other", 5, keep=True)
