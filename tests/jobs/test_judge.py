"""The whole job and its command: exact counts, a real kill, one message."""

import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import comparisons
import fake_judge
import pytest

from xlrm.config import gin_jobs
from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import records
from xlrm.evaluation.prompted import openai_server
from xlrm.evaluation.prompted import prices
from xlrm.jobs import judge
from xlrm.launch import main

PRICES = prices.Prices(input=2.0, output=10.0)
N = 12  # pairs of each of two cells
COUNT = "SELECT COUNT(*) FROM answers"


def some_records(n=N):
  """Ours is longer in 3 of 4 Spanish pairs and in all Russian ones; one
  Russian prompt has no partner."""
  ours = [f"{i} texto {'largo ' * (i % 4 > 0)}" for i in range(n)]
  found = comparisons.both(ours, [f"{i} texto mas" for i in range(n)])
  russian = ([f"{i} длинный" for i in range(n + 1)], ["да"] * n)
  return [*found, *comparisons.both(*russian, source="de", target="ru")]


@pytest.fixture
def folder(tmp_path):
  records.write(tmp_path / "records.jsonl", some_records())
  return tmp_path


def job(folder, server, **fields):
  options = {
    "records": str(folder / "records.jsonl"),
    "output": str(folder / "out" / "verdicts.jsonl"),
    "backend": openai_server.OpenAIBackend("fake", server.base_url),
    "prices": PRICES,
  }
  return judge.Judging(**{**options, **fields})


def run(folder, server, **fields):
  return job(folder, server, **fields).run()


def command(folder, server, *more):
  return [
    "judge",
    f"--records={folder / 'records.jsonl'}",
    f"--output={folder / 'out' / 'verdicts.jsonl'}",
    "--model=fake",
    f"--base_url={server.base_url}",
    *more,
  ]


def test_g26_the_job_counts_exactly_and_a_rerun_is_free(folder, capsys):
  with fake_judge.FakeServer(fake_judge.sure) as server:
    run(folder, server)
    said = capsys.readouterr().out
  asked = 4 * N
  assert len(server.requests) == len(server.answered) == asked
  assert "1 prompts left out, which one side only answers: de -> ru 1" in said
  dollars = asked * (100 * 2.0 + 1 * 10.0) / 1e6
  assert (
    f"asked now: {asked} answers, {asked * 100:,} + {asked} tokens, "
    f"${dollars:.4f}" in said
  )
  path = folder / "out" / "verdicts.jsonl"
  verdicts = records.read(path, records.Verdict)
  assert len(verdicts) == asked
  assert sum(x.cost["dollars"] for x in verdicts) == pytest.approx(dollars)
  told = [x.kind for x in pair_verdicts.of_pairs(verdicts).values()]
  # "largo" is longer than "mas"; without it the baseline is.
  assert told == (["loss"] + ["win"] * 3) * (N // 4) + ["win"] * N
  assert "en -> es" in said and "75.0% [46.8, 91.1]" in said  # Wilson, 9 of 12
  # The server is gone, and no client is needed.
  before = path.read_bytes()
  path.unlink()
  run(folder, server)
  said = capsys.readouterr().out
  assert "asked now: 0 answers" in said and path.read_bytes() == before


def test_g26_a_plan_prices_and_writes_nothing(folder):
  with fake_judge.FakeServer(fake_judge.fair) as server:
    before = sorted(folder.rglob("*"))
    plan = job(folder, server).plan()
    assert sorted(folder.rglob("*")) == before and not server.requests
    assert (plan.questions, plan.answered) == (4 * N, 0)
    said = plan.text()
    assert f"{4 * N} questions, {4 * N} of them distinct, 0 answered" in said
    assert f"{4 * N * 16:,} tokens, $" in said and "a guess" in said
    run(folder, server)
    said = job(folder, server, prices=prices.Prices()).plan().text()
  assert "at most 0 answers" in said and "measured" in said
  assert "--input_price" in said


def test_g26_too_many_invalid_answers_fail_and_write_no_verdict(folder, capsys):
  def sometimes(prompt, attempt):
    if "document 1\n" in prompt or "document 7\n" in prompt:
      return fake_judge.Reply(fake_judge.RAMBLE)
    return fake_judge.fair(prompt, attempt)

  with fake_judge.FakeServer(sometimes) as server:
    with pytest.raises(
      ValueError, match=r"en -> es: 2 of 12 pairs .*17%.*10%.*Both 1 and 2"
    ):
      run(folder, server)
    assert not (folder / "out" / "verdicts.jsonl").exists()
    asked = len(server.requests)
    capsys.readouterr()
    run(folder, server, comparison=judge.Comparison(max_invalid=0.2))
    assert len(server.requests) == asked  # nothing is paid twice
  lines = capsys.readouterr().out.splitlines()
  cells = [line.split() for line in lines if line.startswith("en -> es ")]
  # pairs, rate [low, high], wins, losses, ties, inconsistent, invalid
  assert cells[0][-7:-2] == ["7", "3", "0", "0", "2"]


def test_g26_a_judge_that_only_refuses_is_not_paid_to_the_end(folder):
  records.write(folder / "records.jsonl", some_records(100))
  refuse = fake_judge.Reply(fake_judge.REFUSAL)
  with fake_judge.FakeServer(lambda *_: refuse) as server:
    with pytest.raises(ValueError, match="answers so far are neither 1 nor 2"):
      run(folder, server)
  assert len(server.requests) < 60  # of 400


def test_records_of_several_files_are_one_study(folder):
  found = some_records()
  for name, part in (("a", found[: 2 * N]), ("b", found[2 * N :])):
    records.write(folder / f"{name}.part.jsonl", part)
  read = judge.read_records(str(folder / "*.part.jsonl"))
  assert read == found
  files = [str(folder / "a.part.jsonl"), str(folder / "records.jsonl")]
  with pytest.raises(
    ValueError, match="records.jsonl: the record .* stands in"
  ):
    judge.read_records(files)


def test_g28_mistakes_of_the_command_are_one_message(folder, capsys):
  with fake_judge.FakeServer(fake_judge.fair) as server:
    for more, said in [
      (["--method=bestofn"], "no records of the method 'bestofn'"),
      (["--template=summarization/overal"], "did you mean summarization/over"),
      (["--max_invalid=3"], "max_invalid 3.0 is not in [0, 1]"),
      (["--concurrency=0"], "concurrency 0 is below 1"),
      (["--records=no-such.jsonl"], "no file no-such.jsonl"),
      ([f"--cache={folder / 'records.jsonl'}"], "is no cache of answers"),
    ]:
      assert main.main(command(folder, server, *more)) == 2
      error = capsys.readouterr().err
      assert said in error and "Traceback" not in error
      assert not (folder / "out" / "verdicts.jsonl").exists()
  assert not server.requests


@pytest.mark.parametrize(
  ("backend", "model"), [("local", "nano"), ("google", "gemini-x")]
)
def test_the_command_with_other_backends_and_ones_own_template(
  backend, model, folder, capsys
):
  """Needs no server, no key and no client to price the job."""
  template = folder / "mine.txt"
  template.write_text("{input} {first} {second} 1 2")
  arguments = [f"--backend={backend}", f"--model={model}", "--dry_run"]
  arguments += [f"--records={folder / 'records.jsonl'}", "--output=v.jsonl"]
  assert main.main(["judge", *arguments, f"--template={template}"]) == 0
  said = capsys.readouterr().out
  assert f"{model}:mine: {2 * N} pairs in 2 cells" in said
  assert f"{4 * N} questions" in said


def test_parameters_of_a_request_are_gins(folder):
  """As the documentation says it."""
  parameters = {"logprobs": None, "top_logprobs": None, "seed": 1}
  with fake_judge.FakeServer(fake_judge.fair) as server:
    bindings = {
      "RECORDS": str(folder / "records.jsonl"),
      "OUTPUT": str(folder / "out" / "verdicts.jsonl"),
      "MODEL": "fake",
      "BASE_URL": server.base_url,
      "OpenAIBackend.parameters": parameters,
    }
    lines = [f"{name} = {value!r}" for name, value in bindings.items()]
    gin_jobs.load(["judge.gin"], lines).run()
  assert len(server.requests) == 4 * N
  for request in server.requests:
    assert request["seed"] == 1 and "logprobs" not in request


def answers(path: pathlib.Path) -> int:
  """In the cache, as another process sees it."""
  if not path.exists():
    return 0
  try:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
      return connection.execute(COUNT).fetchone()[0]
  except sqlite3.OperationalError:  # not made yet
    return 0
  finally:
    connection.close()


def test_g26_killed_in_the_middle_no_paid_answer_is_lost(folder):
  """A real process, SIGKILL, and what the server was paid for."""
  whole, paid = 4 * N, 17
  gate, given, lock = threading.Event(), [0], threading.Lock()

  def gated(prompt, attempt):
    with lock:
      given[0] += 1
      late = given[0] > paid
    if late:
      gate.wait(30)
    return fake_judge.sure(prompt, attempt)

  cache = folder / "out" / "answers.sqlite"
  program = [sys.executable, "-m", "xlrm.launch.main"]
  with fake_judge.FakeServer(gated) as server:
    process = subprocess.Popen(
      [*program, *command(folder, server, "--concurrency=4")],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    limit = time.monotonic() + 60
    while answers(cache) < paid and time.monotonic() < limit:
      time.sleep(0.02)
    assert answers(cache) == paid == len(server.answered)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "out" / "verdicts.jsonl").exists()
    server.mood = fake_judge.sure
    before = len(server.requests)
    again = subprocess.run(
      [*program, *command(folder, server)],
      capture_output=True,
      text=True,
      timeout=60,
    )
    assert again.returncode == 0, again.stderr
    assert len(server.requests) - before == whole - paid
    gate.set()
  assert f"asked now: {whole - paid} answers" in again.stdout
  # The same bytes as without a kill.
  killed = (folder / "out" / "verdicts.jsonl").read_bytes()
  with fake_judge.FakeServer(fake_judge.sure) as server:
    run(folder, server, prices=prices.Prices())
  assert (folder / "out" / "verdicts.jsonl").read_bytes() == killed
  names = sorted(x.name for x in (folder / "out").iterdir())
  assert names == ["answers.sqlite", "verdicts.jsonl"]
  assert json.loads(killed.splitlines()[0])["judge"].startswith("fake:")
  assert os.path.getsize(cache) > 0
