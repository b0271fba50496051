"""An annotator at work in real headless Chromium."""

import browser
import people
import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import exchange
from xlrm.annotation import unblinding

pytestmark = [
  pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER), reason=browser.MISSING
  ),
]
VISIBLE = "!document.getElementById(arguments[0]).hidden"
COUNT = "document.getElementById('count').textContent === arguments[0]"


@pytest.fixture(scope="module")
def window():
  with browser.chromium() as opened:
    yield opened


def link(client):
  return f"http://127.0.0.1:{client.port}/{client.token}/"


def shown(window, side):
  return window.run(f"return document.getElementById('{side}').textContent")


def press(window, key, count):
  """Presses a key and waits until so much is done."""
  window.press(key)
  window.wait(COUNT, count)


def test_twenty_judgments_by_keyboard_with_a_reload_and_a_restart(
  tmp_path, window
):
  folder = people.begin(
    tmp_path / "people", items=20, attention=0.1, annotators=("ana",)
  )
  choose = people.prefer(people.OURS)
  keys = {"left": ("1", "left"), "right": ("2", "right")}
  given = []

  def judge(total):
    while len(given) < total:
      texts = {side: shown(window, side) for side in ("left", "right")}
      given.append(choose(texts))
      key = keys[given[-1]][len(given) % 2]
      press(window, key, f"{len(given)} / 22")

  with people.serving(folder) as clients:
    window.open(link(clients["ana"]))
    window.wait(VISIBLE, "guide")
    window.press("1")  # nothing is answered before the task is seen
    window.press("enter")
    window.wait(VISIBLE, "task")
    judge(7)
    window.reload()
    window.wait(VISIBLE, "guide")
    window.wait(COUNT, "7 / 22")
    window.press("enter")
    judge(12)
  with people.serving(folder) as clients:  # another port, the same place
    window.open(link(clients["ana"]))
    window.wait(COUNT, "12 / 22")
    window.press("enter")
    judge(20)
    given.pop()
    press(window, "u", "19 / 22")
    judge(20)
    press(window, "s", "21 / 22")
    press(window, "t", "22 / 22")
    window.wait(VISIBLE, "end")
  assert window.errors() == []

  with annotation_study.opened(folder) as store:
    answers = store.answers()
    assert [x.choice for x in answers.values()] == [*given, "skip", "tie"]
    assert all(0 < x.seconds < 60 for x in answers.values())
    exchange.export(store, tmp_path / "all.csv")
    assert len(exchange.read(store, str(tmp_path / "all.csv"))) == 22
  key = annotation_study.read_key(folder)
  rows = unblinding.verdicts(key, answers)
  won = [x for x in rows if x.outcome == "first"]
  assert len(won) >= 18 and not [x for x in rows if x.outcome == "second"]


def test_hostile_text_is_inert(tmp_path, window):
  hostile = (
    "<script>document.title='owned'</script>"
    "<img src=x onerror=\"document.title='owned'\">\n"
    "<style>*{display:none}</style>\u202edesrever\u2066\n\tline 3"
  )
  rows = [
    people.make_record(0, method, source, f"{method} {hostile}")
    for method, source in (("zz_ours", "en"), ("zz_theirs", ""))
  ]
  folder = people.begin(
    tmp_path / "odd", rows=rows, attention=0.0, annotators=("ana",)
  )
  with people.serving(folder) as clients:
    window.open(link(clients["ana"]))
    window.wait(VISIBLE, "guide")
    window.press("enter")
    window.wait(VISIBLE, "task")
    assert shown(window, "left")[len("zz_ours") :].endswith(hostile[2:])
    assert window.run("return document.title") == "¿Qué resumen es mejor?"
    tags = "return document.querySelectorAll('main img, main script').length"
    assert window.run(tags) == 0
    # The override ends with its box: what stands beside is not turned round.
    style = "return getComputedStyle(document.getElementById('left'))"
    assert window.run(f"{style}.unicodeBidi") in ("isolate", "plaintext")
    assert window.run(f"{style}.whiteSpace").startswith("pre-wrap")
    widths = window.run(
      "return ['left', 'right'].map((id) => document.getElementById(id)"
      ".parentElement.getBoundingClientRect().width)"
    )
    assert widths[0] == pytest.approx(widths[1], abs=1)  # equal columns
    # A script that did get in would not run, nor talk to anybody.
    window.run(
      "const s = document.createElement('script');"
      "s.textContent = \"document.title = 'owned'\"; document.body.append(s)"
    )
    assert window.run("return document.title") != "owned"
    assert "Content Security Policy" in " ".join(window.errors())


def test_other_keyboards_languages_and_a_server_that_is_away(tmp_path, window):
  folder = people.begin(tmp_path / "people", annotators=("ana",))
  event = (
    "document.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], "
    "code: arguments[1], repeat: arguments[2], ctrlKey: arguments[3]}))"
  )
  with people.serving(folder) as clients:
    window.open(link(clients["ana"]))
    window.wait(VISIBLE, "guide")
    window.press("enter")
    window.run(event, "ы", "KeyS", False, False)  # S on a Russian keyboard
    window.wait(COUNT, "1 / 12")
    for ignored in (("2", "Digit2", True, False), ("s", "KeyS", False, True)):
      window.run(event, *ignored)
    window.run(event, "г", "KeyU", False, False)
    window.wait(COUNT, "0 / 12")
    assert window.run("return document.documentElement.lang") == "es"
    assert window.run("return document.getElementById('left').lang") == "es"
    assert window.run("return document.getElementById('left').dir") == "auto"
    item = window.run("return state.task.item")
    window.run(
      "window.kept = fetch;"
      "window.fetch = () => Promise.reject(new TypeError('away'))"
    )
    window.press("2")
    window.wait(VISIBLE, "notice")
    assert "No hay conexión" in window.run(
      "return document.getElementById('message').textContent"
    )
    window.run("window.fetch = kept")
    window.press("enter")  # the focus is on "try again"
    window.wait(COUNT, "1 / 12")
    window.wait("document.getElementById('notice').hidden")
    clients["ana"].answer(lambda _: "left")  # in another tab
    window.press("2")
    window.wait(VISIBLE, "notice")
    window.wait(COUNT, "2 / 12")
  with annotation_study.opened(folder) as store:
    answers = store.answers()
    assert answers[item].choice == "right"
    assert sorted(x.choice for x in answers.values()) == ["left", "right"]


def test_without_a_mouse_everything_can_be_reached(tmp_path, window):
  folder = people.begin(tmp_path / "people", annotators=("ana",))
  with people.serving(folder) as clients:
    window.open(link(clients["ana"]))
    window.wait(VISIBLE, "guide")
    window.press("enter")
    press(window, "0", "1 / 12")
    reached = set()
    for _ in range(12):
      window.press("tab")
      reached.add(
        window.run(
          "const x = document.activeElement; return x.id || x.dataset.choice"
        )
      )
    assert {"help", "left", "tie", "right", "undo", "skip"} <= reached
    window.resize(390, 844)
    assert window.run("return document.documentElement.scrollWidth") <= 390
    window.resize(1280, 860)
