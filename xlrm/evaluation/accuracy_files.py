"""Rows of reward-model accuracy as JSON."""

import dataclasses
import json
import os
import pathlib

from xlrm.evaluation import accuracy


def write(path: pathlib.Path, rows: list[accuracy.AccuracyRow]) -> None:
  """Writes rows as JSON, atomically."""
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_suffix(".partial")
  values = [dataclasses.asdict(row) for row in rows]
  temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
  os.replace(temporary, path)


def read(path: str | os.PathLike) -> list[accuracy.AccuracyRow]:
  """Reads what `write` wrote."""
  rows = []
  for fields in json.loads(pathlib.Path(path).read_text(encoding="utf-8")):
    faults = fields.pop("by_fault")
    fields["spread"] = tuple(fields.get("spread", ()))
    rows.append(
      accuracy.AccuracyRow(
        **fields,
        by_fault={
          name: accuracy.FaultAccuracy(**value)
          for name, value in faults.items()
        },
      )
    )
  return rows
