"""The server when its database or its clients misbehave."""

import concurrent.futures
import contextlib
import http.client
import sqlite3

import people
import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import store as store_lib


@pytest.fixture
def clients(folder, monkeypatch):
  monkeypatch.setattr(store_lib, "BUSY_SECONDS", 0.05)
  with people.serving(folder) as found:
    yield found


def test_a_locked_database_is_told_and_the_same_request_works_later(
  clients, folder, capsys
):
  client = clients["ana"]
  item = client.get()[1]["task"]["item"]
  body = {"item": item, "choice": "left", "seconds": 1}
  with contextlib.closing(
    sqlite3.connect(folder / annotation_study.ANSWERS)
  ) as other:
    other.execute("BEGIN EXCLUSIVE")
    assert client.post("answer", body) == (503, {"error": "locked"})
  said = capsys.readouterr().err
  assert said.count("\n") == 1 and "is locked by another program" in said
  assert client.post("answer", body)[0] == 200
  assert client.post("answer", body)[1]["done"] == 1  # a repeated request


def test_two_windows_do_not_overwrite_each_other(clients):
  client = clients["ana"]
  item = client.get()[1]["task"]["item"]
  left = {"item": item, "choice": "left", "seconds": 1}
  assert client.post("answer", left)[0] == 200
  status, state = client.post("answer", {**left, "choice": "right"})
  assert status == 409 and state["done"] == 1 and state["last"] == item


def test_annotators_work_at_the_same_time(clients, folder):
  def work(client):
    while client.get()[1]["task"]:
      client.answer(people.prefer(people.OURS))

  with concurrent.futures.ThreadPoolExecutor() as pool:
    list(pool.map(work, clients.values()))
  with annotation_study.opened(folder) as store:
    assert len(store.answers("ana")) == len(store.answers("ben")) == 12


def test_one_connection_serves_many_requests(clients):
  client = clients["ana"]
  connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=9)
  for name in ("", "page.css", "page.js", "state"):
    connection.request("GET", f"/{client.token}/{name}")
    response = connection.getresponse()
    assert response.status == 200 and response.read()
    assert not response.will_close
  connection.close()
