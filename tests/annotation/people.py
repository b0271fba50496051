"""A made-up study of ten prompts, and its server.

Everything that must stay hidden begins with "zz_"; the outputs say whose they
are in words that only these tests know.
"""

import contextlib
import http.client
import json
import threading
import urllib.parse

from xlrm.annotation import annotation_study
from xlrm.annotation import design
from xlrm.annotation import pairs
from xlrm.annotation import server as server_lib
from xlrm.evaluation import records

NUM_PROMPTS = 30
OURS, THEIRS, REFERENCE = "azul", "verde", "persona"


def make_record(i, method, source, output):
  return records.EvalRecord(
    study="zz_study",
    method=method,
    source=source,
    target="es",
    seed=7,
    task="zz_task",
    dataset=f"zz_data{i % 2}",
    language="es",
    example_id=f"zz_example{i}",
    sample=0,
    input=f"Documento {i}.\nSegunda línea, «{i}».",
    reference=f"Lo que una {REFERENCE} escribe de {i}.",
    output=output,
    policy="zz_policy",
    scores={"zz_judge": 0.5},
  )


def make_records(num=NUM_PROMPTS):
  rows = []
  for i in range(num):
    rows.append(make_record(i, "zz_ours", "en", f"Texto {OURS} número {i}."))
    rows.append(make_record(i, "zz_theirs", "", f"Texto {THEIRS} número {i}."))
  return rows


def make_pairs(rows=None):
  return pairs.of_records(
    make_records() if rows is None else rows,
    method="zz_ours",
    source="en",
    baseline="zz_theirs",
    language="es",
  )


def make_settings(**fields):
  given = {"items": 10, "attention": 0.2, **fields}
  return design.Settings("zz_ours", "en", "zz_theirs", "es", **given)


class Client:
  """Asks as the page does, and keeps every byte of what it is told."""

  def __init__(self, link):
    parts = urllib.parse.urlsplit(link)
    self.port, self.token = parts.port, parts.path.strip("/")
    self.heard = []

  def ask(self, verb, path, body=None, **headers):
    """(status, JSON or text) of a request; a header None is left out."""
    given = {"Host": f"127.0.0.1:{self.port}"}
    if body is not None:
      given |= {
        "Content-Type": "application/json",
        "Origin": f"http://127.0.0.1:{self.port}",
      }
    given |= {k.replace("_", "-"): v for k, v in headers.items()}
    given = {k: v for k, v in given.items() if v is not None}
    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    connection.request(verb, path, data, given)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    self.headers = dict(response.getheaders())
    self.heard.append(repr(response.getheaders()).encode() + text)
    if response.getheader("Content-Type", "").startswith("application/json"):
      return response.status, json.loads(text)
    return response.status, text.decode()

  def get(self, name="state", **headers):
    return self.ask("GET", f"/{self.token}/{name}", **headers)

  def post(self, name, body, **headers):
    return self.ask("POST", f"/{self.token}/{name}", body, **headers)

  def answer(self, choose):
    """Answers the next task with what `choose` says of it: the new state."""
    task = self.get()[1]["task"]
    body = {"item": task["item"], "choice": choose(task), "seconds": 1.5}
    status, state = self.post("answer", body)
    assert status == 200
    return state


def begin(directory, *, annotators=("ana", "ben"), rows=None, **settings):
  with annotation_study.locked(directory):
    annotation_study.begin(
      directory, make_pairs(rows), make_settings(**settings), annotators, "es"
    )
  return directory


@contextlib.contextmanager
def serving(directory):
  """Annotator -> client of a server in this process."""
  with annotation_study.opened(directory) as store:
    server = server_lib.Server(store, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
      yield {name: Client(server.link(name)) for name in store.tokens}
    finally:
      server.shutdown()
      thread.join()
      server.server_close()


def prefer(word):
  """Chooses the side that has the word, else the one with a reference."""

  def choose(task):
    for side in ("left", "right"):
      if word in task[side]:
        return side
    # An attention check: "Lo que una persona escribe de 3." in order.
    return "left" if task["left"].startswith("Lo que una") else "right"

  return choose
