"""Verdicts of prompted judges and of people, for a report.

A source is a file of `records.Verdict` lines, a folder with such a file
(`xlrm judge`), or the folder of a study of people (`xlrm annotate`).
"""

from collections.abc import Mapping, Sequence
import os
import pathlib

from xlrm.annotation import annotation_study
from xlrm.annotation import people_verdicts
from xlrm.evaluation import records as records_lib
from xlrm.storage import files
from xlrm.studies import report_cells

Records = Mapping[str, records_lib.EvalRecord]  # by id
Verdicts = Sequence[records_lib.Verdict]


def _of_people(folder: pathlib.Path, records: Records) -> Verdicts:
  """Raises ValueError if they saw other texts than the records hold."""
  found = people_verdicts.read(folder)
  shown = {task.item: {task.left, task.right} for task in found.tasks}
  for entry in found.key.keys:
    ids = (entry.first, entry.second)
    if entry.attention or not all(x in records for x in ids):
      continue
    if shown[entry.item] != {records[x].output for x in ids}:
      raise ValueError(
        f"{folder}: people were shown other outputs than those of this report, "
        f"such as for {entry.first}"
      )
  return found.verdicts


def _of_source(path: pathlib.Path, records: Records) -> Verdicts:
  if (path / annotation_study.KEY).is_file():  # both have an answers.sqlite
    return _of_people(path, records)
  if path.is_dir():
    file = path / report_cells.VERDICTS
    if not file.is_file():
      raise FileNotFoundError(
        f"{path} holds no verdicts: {report_cells.VERDICTS} of `xlrm judge` is "
        f"expected there, or {annotation_study.KEY} of `xlrm annotate`"
      )
    path = file
  return records_lib.read(path, records_lib.Verdict)


def read(
  sources: str | Sequence[str | os.PathLike],
  records: Sequence[records_lib.EvalRecord],
) -> tuple[list[records_lib.Verdict], list[str]]:
  """The verdicts on these records, and what was left out, in sentences.

  Raises:
    ValueError, OSError: names the source that is missing, damaged, of other
      records, or that repeats a verdict of another one.
  """
  sources = [sources] if isinstance(sources, str) else sources
  by_id = {record.id: record for record in records}
  found: list[records_lib.Verdict] = []
  notes, places = [], {}
  for source in sources:
    verdicts = _of_source(files.local(source), by_id)
    ours = [x for x in verdicts if x.first in by_id and x.second in by_id]
    if not ours:
      raise ValueError(
        f"{source}: none of its {len(verdicts)} verdicts is on two records of "
        f"this report, such as that on {verdicts[0].first}"
      )
    if len(ours) < len(verdicts):
      notes.append(
        f"{len(verdicts) - len(ours)} of {len(verdicts)} verdicts in {source} "
        "are on records that are not in this report, and were left out."
      )
    for x in ours:
      if by_id[x.first].prompt != by_id[x.second].prompt:
        raise ValueError(
          f"{source}: {x.first} and {x.second}, which {x.judge} compared, "
          "answer different prompts"
        )
      key = (x.judge, x.first, x.second, x.order)
      if key in places:
        raise ValueError(
          f"{source}: {x.judge} has a verdict on {x.first} against {x.second} "
          f"in {places[key]}, too; a judge that is another one needs another "
          "name (Comparison.name)"
        )
      places[key] = source
    found += ours
  return found, notes
