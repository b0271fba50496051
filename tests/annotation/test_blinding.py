"""Nothing of the key leaves its file; only the page itself may ask."""

import json
import re
import stat

import people
import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import exchange

ODD = {
  "script": "<script>document.title='broken'</script>",
  "bidi": "abc\u202edef\u2066ghi",
  "tag": "</textarea><img src=x onerror=alert(1)>",
}


@pytest.fixture
def clients(folder):
  with people.serving(folder) as found:
    yield found


def hear_everything(client):
  """Every kind of request, to the end of the study."""
  for name in ("", "page.css", "page.js", "state", "nothing"):
    client.get(name)
  items = []
  state = client.get()[1]
  while state["task"]:
    items.append(state["task"]["item"])
    choice = ("left", "right", "tie", "skip")[len(items) % 4]
    body = {"item": items[-1], "choice": choice, "seconds": 2}
    state = client.post("answer", body)[1]
  client.post("undo", {"item": state["last"]})
  client.post("again", {})
  client.post("answer", {"item": items[0], "choice": "skip", "seconds": 2})
  client.post("answer", {"item": "x", "choice": "left", "seconds": 2})
  client.post("answer", {"choice": "left"})
  client.ask("GET", "/wrong/state")
  client.ask("PUT", f"/{client.token}/state")
  return items


def test_no_response_holds_anything_of_the_key(clients, folder):
  key = annotation_study.read_key(folder)
  for name, client in clients.items():
    other = next(x for x in clients.values() if x is not client)
    hear_everything(client)
    heard = b"\n".join(client.heard)
    assert len(client.heard) > 20 and people.OURS.encode() in heard
    for hidden in ("zz_", key.study, key.digest, other.token, "attention"):
      assert hidden.encode() not in heard, hidden
    assert not re.search(rb"\bben\b|\bana\b", heard)
    for entry in key.keys:
      assert entry.first.encode() not in heard
      assert (entry.item.encode() in heard) == (entry.annotator == name)


def test_a_task_is_told_in_the_same_words_whatever_it_is(clients, folder):
  """Checks and pairs differ in their texts only."""
  attention = {
    x.item: x.attention for x in annotation_study.read_key(folder).keys
  }
  client, kinds = clients["ana"], set()
  state = client.get()[1]
  while state["task"]:
    assert list(state) == ["task", "done", "skipped", "total", "last"]
    fields = ["item", "language", "input", "left", "right"]
    assert list(state["task"]) == fields
    assert re.fullmatch("[0-9a-f]{16}", state["task"]["item"])
    kinds.add(attention[state["task"]["item"]])
    state = client.answer(lambda _: "tie")
  assert kinds == {True, False}


def test_answers_and_exported_tasks_hold_nothing_of_the_key(folder, tmp_path):
  with people.serving(folder) as clients:
    hear_everything(clients["ana"])
  with annotation_study.opened(folder) as store:
    exchange.export(store, tmp_path / "tasks.csv")
  for path in (folder / annotation_study.ANSWERS, tmp_path / "tasks.csv"):
    data = path.read_bytes()
    assert people.OURS.encode() in data
    assert b"zz_" not in data and b"attention" not in data
  assert b"zz_ours" in (folder / annotation_study.KEY).read_bytes()
  for name in (annotation_study.ANSWERS, annotation_study.KEY):
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_the_server_never_opens_the_key(folder):
  (folder / annotation_study.KEY).unlink()
  with people.serving(folder) as clients:
    assert clients["ana"].answer(people.prefer(people.OURS))["done"] == 1


def test_hostile_text_travels_as_data(tmp_path):
  rows = [
    people.make_record(i, method, source, f"{method[3:5]} {text}")
    for i, text in enumerate(ODD.values())
    for method, source in (("zz_ours", "en"), ("zz_theirs", ""))
  ]
  folder = people.begin(tmp_path / "odd", rows=rows, attention=0.0)
  with people.serving(folder) as clients:
    client, seen = clients["ana"], set()
    state = client.get()[1]
    while state["task"]:
      seen.add(state["task"]["left"][3:])
      state = client.answer(lambda _: "tie")
    assert seen == set(ODD.values())
    assert "onerror" not in client.get("")[1]  # no text is in the page itself


def test_every_response_forbids_what_the_page_does_not_need(clients):
  client = clients["ana"]
  for path in (f"/{client.token}/", f"/{client.token}/state", "/", "/x/y"):
    client.ask("GET", path)
    policy = client.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert client.headers["Referrer-Policy"] == "no-referrer"
    assert client.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("token", ["", "x", "{}x", "{}/../{}x", "%C3%A9"])
def test_every_request_needs_the_token(clients, verb, token):
  client = clients["ana"]
  cut = client.token.rstrip("x")[:-1]  # whose end is no x by chance
  wrong = token.format(cut, client.token)
  for name in ("", "page.css", "page.js", "state", "answer", "undo"):
    body = {} if verb == "POST" else None
    status, said = client.ask(verb, f"/{wrong}/{name}", body)
    assert (status, said) == (403, "this link is not valid")


def test_a_link_without_its_last_slash_is_mended(clients):
  client = clients["ana"]
  assert client.ask("GET", f"/{client.token}")[0] == 308
  assert client.headers["Location"] == f"/{client.token}/"


@pytest.mark.parametrize(
  "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "["]
)
def test_a_rebound_name_is_refused(clients, host):
  assert clients["ana"].get(Host=host)[0] == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9999", "[::1]:9999"])
def test_a_tunnel_may_have_another_port(clients, host):
  assert clients["ana"].get(Host=host)[0] == 200


@pytest.mark.parametrize(
  ("headers", "status"),
  [
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": None}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Content_Type": "text/plain"}, 415),
  ],
)
def test_another_site_cannot_answer(clients, headers, status):
  client = clients["ana"]
  item = client.get()[1]["task"]["item"]
  body = {"item": item, "choice": "left", "seconds": 1}
  assert client.post("answer", body, **headers)[0] == status
  assert client.get()[1]["done"] == 0


def test_another_site_cannot_read(clients):
  client = clients["ana"]
  assert client.get(Sec_Fetch_Site="cross-site")[0] == 403
  assert client.get("", Sec_Fetch_Site="cross-site")[0] == 200  # a mailed link


@pytest.mark.parametrize(
  ("body", "status"),
  [
    (b"{", 400),
    (b"[]", 400),
    (b"\xff", 400),
    (b"{" + b" " * 5000, 413),
    ({"item": ["x"], "choice": "left", "seconds": 1}, 409),
    ({"item": "ITEM", "choice": "undo", "seconds": 1}, 400),
    ({"item": "ITEM", "choice": "left", "seconds": -1}, 400),
    ({"item": "ITEM", "choice": "left", "seconds": None}, 400),
    (b'{"item": "ITEM", "choice": "left", "seconds": NaN}', 400),
  ],
)
def test_malformed_answers_change_nothing(clients, body, status):
  client = clients["ana"]
  item = client.get()[1]["task"]["item"]
  if isinstance(body, dict):
    body = json.dumps(body).encode()
  headers = {
    "Origin": f"http://127.0.0.1:{client.port}",
    "Content_Type": "application/json",
  }
  body = body.replace(b"ITEM", item.encode())
  assert client.post("answer", body, **headers)[0] == status
  assert client.get()[1]["done"] == 0


def test_a_tie_counts_only_where_it_is_allowed(tmp_path):
  folder = people.begin(tmp_path / "strict", ties=False)
  with people.serving(folder) as clients:
    client = clients["ana"]
    item = client.get()[1]["task"]["item"]
    body = {"item": item, "choice": "tie", "seconds": 1}
    assert client.post("answer", body)[0] == 400
    assert 'data-choice="tie"' not in client.get("")[1]
