import gzip
import json

import pytest

from xlrm.batches import prompt_files


def write(path, rows):
  text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
  path.write_text(text, encoding="utf-8")
  return str(path)


def test_rows_become_examples(tmp_path):
  path = write(
    tmp_path / "x.jsonl",
    [
      {"prompt": "Хлеб", "id": "a", "language": "ru", "reference": "Да"},
      {"prompt": "Pan", "id": 7, "kept": [1]},
    ],
  )
  source = prompt_files.PromptFile(path, language="es", instruction="Resume: ")
  first, second = source.examples("test")
  assert first["inputs_pretokenized"] == "Resume: Хлеб"
  assert first["reward_inputs"] == "Хлеб"
  assert first["targets_pretokenized"] == "Да"
  assert (first["language"], second["language"]) == ("ru", "es")
  assert (first["id"], second["id"]) == ("a", "7")
  assert second["columns"]["kept"] == [1]


def test_a_text_file_has_a_prompt_per_line(tmp_path):
  path = tmp_path / "x.txt.gz"
  with gzip.open(path, "wt", encoding="utf-8") as file:
    file.write("uno\n\n  \ndos tres\n")
  rows = prompt_files.PromptFile(str(path)).examples("any")
  assert [row["reward_inputs"] for row in rows] == ["uno", "dos tres"]
  assert [row["id"] for row in rows] == ["0", "1"]
  assert rows[0]["language"] == "und"


@pytest.mark.parametrize(
  ("rows", "message"),
  [
    ([{"promt": "a"}], "x.jsonl:1: no column 'prompt'.*nearest: 'promt'"),
    ([{"prompt": "a"}, {"prompt": " "}], "x.jsonl:2: the prompt is empty"),
    ([{"prompt": 3}], "x.jsonl:1: text was expected"),
    (
      [{"prompt": "a", "id": "b"}, {"prompt": "c", "id": "b"}],
      "x.jsonl:2: the id 'b' is that of .*x.jsonl:1",
    ),
  ],
)
def test_g28_bad_rows_are_told_with_their_line(tmp_path, rows, message):
  source = prompt_files.PromptFile(write(tmp_path / "x.jsonl", rows))
  with pytest.raises(ValueError, match=message):
    source.examples("test")


def test_g28_an_empty_text_file(tmp_path):
  (tmp_path / "x.txt").write_text("\n \n")
  with pytest.raises(ValueError, match="x.txt:1: the file is empty"):
    prompt_files.PromptFile(str(tmp_path / "x.txt")).examples("test")
