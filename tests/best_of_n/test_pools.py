"""Pools in files, and what does not belong into one."""

import dataclasses
import json

import example_pools
import pytest

from xlrm.best_of_n import pools


def test_pools_come_back_as_they_were(tmp_path):
  made = [example_pools.pool("a"), example_pools.pool("Ж", language="ru")]
  pools.write(tmp_path / "[x].jsonl", made)
  assert pools.read(tmp_path / "[x].jsonl") == made
  row = dataclasses.asdict(made[0])
  del row["logprobs"]
  (tmp_path / "y.jsonl").write_text(json.dumps(row) + "\n")
  with pytest.raises(ValueError, match="y.jsonl:1: no column 'logprobs'"):
    pools.read(tmp_path / "y.jsonl")


def test_texts_of_another_prompt_are_refused():
  row = {"id": "a"}
  with pytest.raises(ValueError, match="texts of 'b' stand where those of 'a'"):
    pools.Pool.of(row, {"example_id": "b"}, {"example_id": "a"}, {})
