"""The command as researchers use it: begin, kill, resume, verdicts."""

import contextlib
import dataclasses
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

from xlrm.annotation import annotation_study
from xlrm.evaluation import records
from xlrm.launch import main

PEOPLE = pathlib.Path(__file__).parents[1] / "annotation"
sys.path.insert(0, str(PEOPLE))
import people  # noqa: E402

OPTIONS = (
  "--method=zz_ours",
  "--source=en",
  "--baseline=zz_theirs",
  "--language=es",
  "--items=10",
  "--port=0",
)


@pytest.fixture
def path(tmp_path):
  records.write(tmp_path / "records.jsonl", people.make_records())
  return tmp_path / "records.jsonl"


@pytest.fixture
def folder(path):
  return path.with_name("people")


def command(path, folder, *options, annotators="ana,ben"):
  return [
    "annotate",
    str(path),
    f"--output={folder}",
    f"--annotators={annotators}",
    *OPTIONS,
    *options,
  ]


@contextlib.contextmanager
def served(arguments):
  """The real command: (process, annotator -> client)."""
  process = subprocess.Popen(
    [sys.executable, "-m", "xlrm.launch.main", *arguments],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  clients = {}
  assert "10 items of 30 prompts, 0 of which" in process.stdout.readline()
  for line in process.stdout:
    link = re.fullmatch(r"(\w+): (\d+) of (\d+) done, (http://\S+)\n", line)
    if link is None:
      break
    clients[link[1]] = people.Client(link[4])
  try:
    yield process, clients
  finally:
    process.kill()
    process.communicate()


def refused(capsys, *arguments) -> str:
  assert main.main(arguments) == 2
  message = capsys.readouterr().err
  assert message.startswith("xlrm: ") and message.count("\n") == 1
  return message


def test_g18_killed_after_an_answer_it_is_there(path, folder):
  links, items = set(), []
  for _ in range(3):
    with served(command(path, folder)) as (process, clients):
      client = clients["ana"]
      links.add(client.token)
      state = client.get()[1]
      assert state["done"] == len(items)
      items.append(state["task"]["item"])
      body = {"item": items[-1], "choice": "left", "seconds": 1}
      assert client.post("answer", body)[0] == 200
      process.send_signal(signal.SIGKILL)
      process.wait()
  assert len(links) == 1  # links stay good
  with annotation_study.opened(folder) as store:
    assert list(store.answers()) == items


def test_from_records_to_verdicts(path, folder, tmp_path, capsys):
  with served(command(path, folder)) as (process, clients):
    for client in clients.values():
      while client.get()[1]["task"]:
        client.answer(people.prefer(people.OURS))
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
  output = tmp_path / "verdicts.jsonl"
  assert (
    main.main(["annotate", "verdicts", str(folder), f"--output={output}"]) == 0
  )
  said = capsys.readouterr().out
  # Datasets of 4 and 6 prompts count as 9.6: 9.6 / (9.6 + 1.96^2) = 71.4%.
  assert "wins 100.0% [71.4%, 100.0%] of 10 prompts" in said
  assert "ana and ben agree on 100.0%" in said
  rows = records.read(output, records.Verdict)
  assert len(rows) == 20 and {x.outcome for x in rows} == {"first"}


def test_export_and_import(path, folder, tmp_path, capsys):
  people.begin(folder)
  tasks = tmp_path / "tasks.csv"
  assert (
    main.main(["annotate", "export", str(folder), f"--output={tasks}"]) == 0
  )
  assert "24 tasks, 0 with an answer" in capsys.readouterr().out
  text = tasks.read_text(encoding="utf-8")
  tasks.write_text(text.replace(",,\n", ",left,\n"), encoding="utf-8")
  assert main.main(["annotate", "import", str(folder), str(tasks)]) == 0
  assert "24 answers, 24 of them new" in capsys.readouterr().out
  assert main.main(["annotate", "import", str(folder), str(tasks)]) == 0
  assert "24 answers, 0 of them new" in capsys.readouterr().out


def test_two_servers_on_one_folder(path, folder, capsys):
  with served(command(path, folder)) as (_, clients):
    said = refused(capsys, *command(path, folder))
    assert f"{folder} is served by another" in said
    assert clients["ana"].get()[0] == 200


def test_records_that_changed(path, folder, capsys):
  people.begin(folder, attention=0.1)
  rows = [
    dataclasses.replace(x, scores={"new": 1.0}) for x in people.make_records()
  ]
  records.write(path, rows)
  with served(command(path, folder)) as (_, clients):
    assert set(clients) == {"ana", "ben"}  # scores may come and go
  rows[3] = dataclasses.replace(rows[3], output="anders")
  records.write(path, rows)
  said = refused(capsys, *command(path, folder))
  assert "outputs in the records have changed" in said


@pytest.mark.parametrize(
  ("option", "said"),
  [
    ("--items=9", "begun with items 10, not 9"),
    ("--seed=1", "begun with seed 0, not 1"),
    ("--no_ties", "begun with ties True, not False"),
    ("--host=no.such.host.invalid", "--host=no.such.host.invalid"),
  ],
)
def test_g28_another_study_in_the_same_folder(
  path, folder, option, said, capsys
):
  people.begin(folder, attention=0.1)
  assert said in refused(capsys, *command(path, folder, option))


def test_g28_a_port_that_is_taken(path, folder, capsys):
  with socket.create_server(("127.0.0.1", 0)) as other:
    port = other.getsockname()[1]
    said = refused(capsys, *command(path, folder, f"--port={port}"))
  assert f"--port={port}" in said and "--port=0 takes a free one" in said


def test_somebody_joins(path, folder, capsys):
  people.begin(folder, attention=0.1, annotators=("ana",))
  with served(command(path, folder, annotators="ana,eva")) as (_, clients):
    assert clients["eva"].answer(lambda _: "tie")["total"] == 11
  with served(command(path, folder, annotators="eva")) as (_, clients):
    assert clients["eva"].get()[1]["done"] == 1
    assert clients["ana"].get()[1]["done"] == 0
  keys = annotation_study.read_key(folder).keys
  assert [x.annotator for x in keys] == ["ana"] * 11 + ["eva"] * 11


@pytest.mark.parametrize(
  ("options", "said"),
  [
    (["--method=zz_our"], "the records hold zz_ours en->es (30)"),
    (["--annotators=a b"], "annotator 'a b'"),
    (["--items=0"], "items 0"),
    (["--instructions=nowhere.txt"], "nowhere.txt"),
  ],
)
def test_g28_a_study_that_cannot_begin_leaves_nothing(
  path, folder, options, said, capsys
):
  assert said in refused(capsys, *command(path, folder, *options))
  assert not folder.exists()


def test_g28_other_files_are_left_alone(path, folder, capsys):
  folder.mkdir()
  (folder / "thesis.tex").touch()
  assert "thesis.tex" in refused(capsys, *command(path, folder))
  assert [x.name for x in folder.iterdir()] == ["thesis.tex"]


def test_g28_verdicts_need_answers_and_their_key(folder, tmp_path, capsys):
  output = tmp_path / "verdicts.jsonl"
  wanted = ("annotate", "verdicts", str(folder), f"--output={output}")
  assert "holds no study of people" in refused(capsys, *wanted)
  people.begin(folder)
  assert "nobody has judged a pair yet" in refused(capsys, *wanted)
  other = people.begin(tmp_path / "other")
  (other / annotation_study.KEY).replace(folder / annotation_study.KEY)
  assert "key of another study" in refused(capsys, *wanted)
  (folder / annotation_study.KEY).write_text("{}")
  assert "no key of a study" in refused(capsys, *wanted)
  (folder / annotation_study.KEY).unlink()
  assert "the key of the study is missing" in refused(capsys, *wanted)
  assert not output.exists()


def test_the_network_is_let_in_only_with_a_warning(path, folder):
  arguments = command(path, folder, "--host=0.0.0.0")
  with served(arguments) as (process, clients):
    client = clients["ana"]
    assert client.get(Host="192.0.2.7:80")[0] == 200
    assert client.get(Host="evil.example")[0] == 421
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1]
  assert errors.startswith("warning: --host=0.0.0.0 lets the network in")
