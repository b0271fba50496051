"""What goes to an outside platform, and what may come back."""

import csv
import io
import pathlib

import people
import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import exchange


@pytest.fixture
def store(folder):
  with annotation_study.opened(folder) as opened:
    yield opened


@pytest.fixture
def rows(store, tmp_path):
  """The exported rows."""
  exchange.export(store, tmp_path / "tasks.csv")
  text = (tmp_path / "tasks.csv").read_text(encoding="utf-8")
  return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def save(tmp_path):
  """Writes rows as a file; its path."""

  def write(rows, columns=None, delimiter=",", end="\n", encoding="utf-8"):
    table = io.StringIO(newline="")
    writer = csv.DictWriter(
      table,
      columns or list(rows[0]),
      delimiter=delimiter,
      lineterminator=end,
      extrasaction="ignore",
    )
    writer.writeheader()
    writer.writerows(rows)
    path = tmp_path / "answers.csv"
    path.write_bytes(table.getvalue().encode(encoding))
    return str(path)

  return write


def test_there_and_back(store, rows, save):
  assert list(rows[0]) == list(exchange.COLUMNS)
  assert [row["item"] for row in rows] == [task.item for task in store.tasks()]
  for i, row in enumerate(rows):
    row["answer"] = ("left", "right", "tie", "skip", "")[i % 5]
    row["seconds"] = str(i) if i % 2 else ""
  found = exchange.read(store, save(rows))
  store.add(found)
  stored = store.answers()
  for row in rows:
    if row["answer"]:
      answer = stored[row["item"]]
      assert (answer.annotator, answer.choice) == (
        row["annotator"],
        row["answer"],
      )
      assert answer.seconds == (float(row["seconds"] or 0) or None)
    else:
      assert row["item"] not in stored
  assert store.add(exchange.read(store, save(rows))) == 0


def test_answers_of_the_page_are_exported(folder, store, tmp_path):
  with people.serving(folder) as clients:
    clients["ben"].answer(lambda _: "tie")
  assert exchange.export(store, tmp_path / "all.csv") == (24, 1)
  text = (tmp_path / "all.csv").read_text(encoding="utf-8")
  assert text.count(",tie,1.5\n") == 1
  assert exchange.read(store, str(tmp_path / "all.csv"))[0].choice == "tie"


def test_spreadsheets_may_write_their_way(store, rows, save):
  for row in rows:
    row["answer"] = "left"
    row["input"] = row["input"].replace("\n", "\r\n")
  path = save(rows, delimiter=";", end="\r\n", encoding="utf-8-sig")
  assert len(exchange.read(store, path)) == len(rows)
  path = save(rows, columns=exchange.REQUIRED, delimiter="\t")
  assert len(exchange.read(store, path)) == len(rows)


# Each text has two lines, so the rows begin in lines 2, 4, 6, ...
@pytest.mark.parametrize(
  ("place", "fields", "said"),
  [
    (0, {"item": "0123"}, ":2: unknown item '0123'"),
    (1, {"annotator": "eva"}, ":4: unknown annotator 'eva'.*ana, ben"),
    (2, {"annotator": "ben"}, ":6: item .* is ana's, not ben's"),
    (3, {"left": "besser"}, ":8: 'left' of item .* was edited"),
    (3, {"input": "Documento"}, ":8: 'input' of item .* was edited"),
    (4, {"answer": "links"}, ":10: answer 'links'.*'left', 'right', 'tie'"),
    (5, {"seconds": "1,5"}, ":12: seconds '1,5'"),
    (5, {"seconds": "nan"}, ":12: seconds 'nan'"),
  ],
)
def test_g28_one_bad_row_and_nothing_is_imported(
  store, rows, save, place, fields, said
):
  for row in rows:
    row["answer"] = "left"
  rows[place].update(fields)
  path = save(rows)
  with pytest.raises(ValueError, match=said) as error:
    store.add(exchange.read(store, path))
  assert str(error.value).startswith(path)
  assert not store.answers()


def test_g28_an_item_answered_twice(store, rows, save):
  for row in rows:
    row["answer"] = "left"
  twice = [*rows, {**rows[0], "answer": "right"}]
  with pytest.raises(ValueError, match=":50: .* answered in line 2, too"):
    exchange.read(store, save(twice))
  task = store.tasks("ana")[1]
  store.answer("ana", task.item, "right", 1.0)
  with pytest.raises(ValueError, match=":4: .* the answer 'right' already"):
    exchange.read(store, save(rows))


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("annotator,itm,answer\n", ":1: no column 'item'.*nearest: 'itm'"),
    ("", ":1: no column 'annotator'; it has none"),
    ("annotator,item,answer\nana,x\n", ":2: 2 columns .* has 3"),
    ('annotator,item,answer\nana,x,"left\n', ":2: no CSV"),
    (b"annotator,item,answer\n\xff\n", ":2: UTF-8"),
  ],
)
def test_g28_files_that_are_no_answers(store, tmp_path, text, said):
  path = tmp_path / "answers.csv"
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(ValueError, match=said):
    exchange.read(store, str(path))


def test_long_texts_and_odd_letters_come_back(tmp_path):
  odd = 'a,"b"\n\n;\t\u2028\x0b\x85"' + "ж" * 200_000
  made = [
    people.make_record(i, method, source, f"{method}{odd}")
    for i in range(2)
    for method, source in (("zz_ours", "en"), ("zz_theirs", ""))
  ]
  folder = people.begin(tmp_path / "odd", rows=made, items=2, attention=0.0)
  path = str(tmp_path / "tasks.csv")
  with annotation_study.opened(folder) as store:
    exchange.export(store, path)
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data.replace(b'",,\n', b'",left,\n'))
    assert len(exchange.read(store, path)) == 4
