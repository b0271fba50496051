"""Prompts from a file of JSON lines, Parquet or plain text, for jobs that draw.

  {"prompt": "A fire destroyed 35 houses.", "id": "a7", "language": "en"}

A text file (.txt, .txt.gz) holds one prompt per line.
"""

from collections.abc import Iterator
import dataclasses
import functools
from typing import Any

from xlrm.storage import files
from xlrm.storage import row_files

UNKNOWN_LANGUAGE = "und"  # undetermined, in BCP 47


@dataclasses.dataclass(frozen=True)
class PromptFile:
  """The examples of a file; of a `BatchSource` it has what sampling needs.

  Attributes:
    path: file or glob: .jsonl, .jsonl.gz, .parquet, .txt, .txt.gz.
    prompt_field: column of the prompt, without instruction.
    id_field: column that names a row and seeds its samples; rows of a file
      without it are named by their number.
    language: of rows without a column `language`.
    instruction: put before each prompt that a policy reads, and not before
      those that a reward model reads.
    reference_field: column of a person's response, where there is one.
    truncate_inputs_from_left: long prompts lose their beginning, as
      conversations should.
  """

  path: str
  prompt_field: str = "prompt"
  id_field: str = "id"
  language: str = UNKNOWN_LANGUAGE
  instruction: str = ""
  reference_field: str = "reference"
  truncate_inputs_from_left: bool = False

  def examples(self, split: str) -> list[dict[str, Any]]:
    """All rows, whatever the split; each with its `columns` as they are."""
    del split
    return [dict(row) for row in self._rows]

  @functools.cached_property
  def _rows(self) -> list[dict[str, Any]]:
    rows, seen = [], {}
    for number, (place, columns) in enumerate(self._read()):
      prompt = row_files.text(place, columns, self.prompt_field)
      if not prompt.strip():
        raise ValueError(f"{place}: the prompt is empty")
      name = str(columns.get(self.id_field, number))
      if name in seen:
        raise ValueError(
          f"{place}: the id {name!r} is that of {seen[name]}, too; samples of "
          "one id are equal"
        )
      seen[name] = place
      rows.append(
        {
          "id": name,
          "inputs_pretokenized": self.instruction + prompt,
          "targets_pretokenized": str(columns.get(self.reference_field, "")),
          "reward_inputs": prompt,
          "language": str(columns.get("language") or self.language),
          "dataset": str(columns.get("dataset", "")),
          "columns": columns,
        }
      )
    return rows

  def _read(self) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in files.expand(self.path):
      if not path.endswith((".txt", ".txt.gz")):
        yield from row_files.read(path)
        continue
      empty = True
      for place, line in row_files.lines(path):
        empty = False
        yield place, {self.prompt_field: line}
      if empty:
        raise ValueError(f"{path}:1: the file is empty; prompts were expected")
