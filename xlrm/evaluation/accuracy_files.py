"""Rows of reward-model accuracy as JSON."""

import dataclasses
import json

from xlrm.evaluation import accuracy
from xlrm.storage import files


def write(path: files.Name, rows: list[accuracy.AccuracyRow]) -> None:
  """Writes rows as JSON, whole or not at all."""
  values = [dataclasses.asdict(row) for row in rows]
  text = json.dumps(values, indent=1, sort_keys=True)
  files.write_text(path, f"{text}\n")


def read(path: files.Name) -> list[accuracy.AccuracyRow]:
  """Reads what `write` wrote."""
  rows = []
  for fields in json.loads(files.read_text(path)):
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
