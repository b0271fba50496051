"""Tasks and answers as CSV, so that an outside platform can be used.

  annotator,item,language,input,left,right,answer,seconds
  ana,5f0c2a9e71d3b846,es,"Un incendio ...",...,...,left,12.5

The file that goes out holds texts and opaque ids, nothing of the key. One that
comes back is checked whole before any of its answers is stored.
"""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import io
import math

from xlrm.annotation import answers as answers_lib
from xlrm.annotation import design
from xlrm.annotation import store as store_lib
from xlrm.storage import files
from xlrm.storage import row_files

TEXTS = ("language", "input", "left", "right")
COLUMNS = ("annotator", "item", *TEXTS, "answer", "seconds")
REQUIRED = ("annotator", "item", "answer")


def export(store: store_lib.Store, path: files.Name) -> tuple[int, int]:
  """Writes every task with its answer; counts (tasks, answers)."""
  tasks, answers = store.tasks(), store.answers()
  table = io.StringIO(newline="")
  writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
  writer.writeheader()
  for task in tasks:
    answer = answers.get(task.item)
    seconds = answer.seconds if answer else None
    writer.writerow(
      dataclasses.asdict(task)
      | {
        "answer": answer.choice if answer else "",
        "seconds": "" if seconds is None else f"{seconds:g}",
      }
    )
  files.write_text(path, table.getvalue())
  return len(tasks), len(answers)


def _table(path: str) -> list[tuple[int, dict[str, str]]]:
  """(line, row) of every row; `,`, `;` or tabs between columns."""
  csv.field_size_limit(2**31 - 1)  # articles are longer than its 128 KiB
  text = files.read_text(path)
  head = text.partition("\n")[0]
  reader = csv.reader(
    io.StringIO(text, newline=""),
    delimiter=max(",;\t", key=head.count),
    strict=True,
  )
  rows, line = [], 0
  try:
    names = next(reader, [])
    for name in REQUIRED:
      if name not in names:
        raise row_files.missing(f"{path}:1", name, names)
    line = reader.line_num
    for values in reader:
      place, line = line + 1, reader.line_num
      if not values:
        continue
      if len(values) != len(names):
        raise ValueError(
          f"{path}:{place}: {len(values)} columns where the first line has "
          f"{len(names)}"
        )
      rows.append((place, dict(zip(names, values))))
  except csv.Error as error:
    raise ValueError(f"{path}:{line + 1}: no CSV ({error})") from error
  return rows


def _plain(text: str) -> str:
  """Spreadsheets rewrite the ends of lines; that edits nothing."""
  return text.replace("\r\n", "\n").replace("\r", "\n")


def _checked(
  place: str,
  row: Mapping[str, str],
  tasks: Mapping[str, design.Task],
  annotators: Sequence[str],
) -> design.Task:
  """The task of a row, which must be as it went out."""
  if row["annotator"] not in annotators:
    raise ValueError(
      f"{place}: unknown annotator {row['annotator']!r}; the study has "
      f"{', '.join(annotators)}"
    )
  task = tasks.get(row["item"])
  if task is None:
    raise ValueError(
      f"{place}: unknown item {row['item']!r}; is it another study's file?"
    )
  if task.annotator != row["annotator"]:
    raise ValueError(
      f"{place}: item {task.item} is {task.annotator}'s, not "
      f"{row['annotator']}'s"
    )
  for name in TEXTS:
    known = getattr(task, name)
    if _plain(row.get(name, known)) != _plain(known):
      raise ValueError(
        f"{place}: {name!r} of item {task.item} was edited, so the answer may "
        "be to another question; export again, or leave the column out"
      )
  return task


def _seconds(place: str, text: str) -> float | None:
  if not text.strip():
    return None
  try:
    seconds = float(text)
  except ValueError:
    seconds = math.nan
  if not (math.isfinite(seconds) and seconds >= 0):
    raise ValueError(f"{place}: seconds {text!r}: a number from 0 up")
  return seconds


def read(store: store_lib.Store, path: str) -> list[answers_lib.Answer]:
  """The answers of a file, checked; rows without an answer are left out.

  Raises:
    ValueError: with file and line: an unknown annotator, item or answer,
      edited text, an item that comes twice or has another answer already.
  """
  tasks = {task.item: task for task in store.tasks()}
  known, annotators = store.answers(), list(store.tokens)
  choices = [x for x in answers_lib.CHOICES if x != "tie" or store.page.ties]
  found: dict[str, tuple[int, answers_lib.Answer]] = {}
  for line, row in _table(path):
    place = f"{path}:{line}"
    task = _checked(place, row, tasks, annotators)
    if task.item in found:
      raise ValueError(
        f"{place}: item {task.item} is answered in line "
        f"{found[task.item][0]}, too"
      )
    choice = row["answer"].strip()
    if not choice:
      continue
    if choice not in choices:
      raise ValueError(f"{place}: answer {choice!r}: one of {choices} or empty")
    if task.item in known and known[task.item].choice != choice:
      raise ValueError(
        f"{place}: item {task.item} has the answer "
        f"{known[task.item].choice!r} already"
      )
    seconds = _seconds(place, row.get("seconds", ""))
    found[task.item] = (
      line,
      answers_lib.Answer(task.annotator, task.item, choice, seconds),
    )
  return [answer for _, answer in found.values()]
