"""Reward models that cost nothing to make."""

import json

import pytest
import specks

from xlrm.launch import main
from xlrm.miniworld import world_rows


@pytest.fixture(scope="session")
def reward(tmp_path_factory):
  """A random head on the shipped weights."""
  return specks.write_reward(tmp_path_factory.mktemp("rm"), "nano")


@pytest.fixture(scope="session")
def foreign_reward(tmp_path_factory):
  """A reward model with a vocabulary of its own."""
  folder = tmp_path_factory.mktemp("foreign")
  text = folder / "text.txt"
  words = "el la puente policía incendio casas 35 fuego Hanoi . ,".split()
  text.write_text(
    "".join(f"{a} {b}\n" for a in words for b in words), encoding="utf-8"
  )
  vocabulary = str(folder / "own.model")
  options = ("--size=60", "--model_type=bpe", f"--output={vocabulary}")
  assert main.main(["vocab", f"--input={text}", *options]) == 0
  return specks.write_reward(
    folder / "rm", "nano", vocabulary=vocabulary, vocab_size=128
  )


@pytest.fixture(scope="session")
def prompts(tmp_path_factory):
  """Six Spanish prompts of miniworld."""
  path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
  made = [
    {"prompt": world_rows.policy_input(row), "id": f"p{i}", "language": "es"}
    for i, row in enumerate(world_rows.summary_rows("es", "test", 0, 6))
  ]
  path.write_text("".join(json.dumps(x) + "\n" for x in made))
  return str(path)
