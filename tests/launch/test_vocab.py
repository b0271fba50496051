"""xlrm vocab: from files, and the shipped vocabulary made again."""

import json

from xlrm.launch import main


def refused(capsys, *command: str) -> str:
  assert main.main(command) == 2
  return capsys.readouterr().err


def test_vocab_reads_jsonl_and_names_the_broken_line(capsys, tmp_path):
  good = json.dumps({"text": "a b c d e f g " * 5}) + "\n"
  path = tmp_path / "rows.jsonl"
  output = tmp_path / "spiece.model"
  command = ["vocab", f"--input={path}", "--field=text", "--size=18"]
  command.append(f"--output={output}")
  path.write_text(good * 3 + "{broken\n")
  assert f"{path}:4" in refused(capsys, *command)
  path.write_text(good * 3 + '{"txt": 1}\n')
  assert "it has txt" in refused(capsys, *command)
  assert not output.exists()
  path.write_text(good * 3)
  assert main.main(command) == 0
  assert output.exists()


def test_vocab_of_miniworld_is_that_of_the_shipped_model(tmp_path):
  from xlrm.checkpoints import pretrained
  from xlrm.miniworld import world_rows
  from xlrm.text import tokenizer
  from xlrm.text import vocabulary_texts

  path = tmp_path / "spiece.model"
  assert main.main(["vocab", "--miniworld", f"--output={path}"]) == 0
  made = tokenizer.Tokenizer.load(path, 32)
  shipped = pretrained.load_tokenizer("nano")
  assert made.vocab_size == vocabulary_texts.MINIWORLD_SIZE
  for code in world_rows.LANGUAGES:
    row = world_rows.summary_rows(code, "test", 0, 1)[0]
    text = world_rows.policy_input(row)
    assert made.encode(text) == shipped.encode(text)
