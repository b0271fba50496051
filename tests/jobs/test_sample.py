"""Responses to the prompts of a file: as rows, whatever the chunks."""

import json

import pytest

from xlrm.batches import prompt_files
from xlrm.jobs import sample
from xlrm.launch import main
from xlrm.sampling import sampling_config

pytestmark = pytest.mark.usefixtures("compile_once")
SAMPLER = sampling_config.SamplingConfig(max_tokens=10)


def test_samples_of_a_file_keep_its_rows(prompts, tmp_path, capsys):
  output = tmp_path / "out.jsonl"
  arguments = ["sample", "--model=nano", f"--input={prompts}", "-n2"]
  arguments += ["--max_tokens=8", "--temperature=0.7"]
  assert main.main([*arguments, "--dry_run", f"--output={output}"]) == 0
  assert not output.exists() and "keys, values" in capsys.readouterr().out
  assert main.main([*arguments, f"--output={output}"]) == 0
  made = [json.loads(x) for x in output.read_text().splitlines()]
  given = [json.loads(x) for x in open(prompts)]
  for row, original in zip(made, given, strict=True):
    assert original.items() <= row.items()
    assert len(row["responses"]) == len(row["logprobs"]) == 2
    assert max(row["num_tokens"]) <= 8 and max(row["logprobs"]) < 0
  assert main.main([*arguments, "--temperature=0", f"--output={output}"]) == 2
  assert "temperature 0.0 is not a positive" in capsys.readouterr().err


def test_chunks_change_no_sample(prompts, tmp_path):
  found = []
  for size in (2, 6):
    sample.Sampling(
      source=prompt_files.PromptFile(prompts),
      policy="nano",
      output=str(tmp_path / f"{size}.jsonl"),
      config=sample.SampleConfig(num_samples=2, chunk_size=size),
      sampler=SAMPLER,
    ).run()
    text = (tmp_path / f"{size}.jsonl").read_text()
    found.append([json.loads(x)["responses"] for x in text.splitlines()])
  assert found[0] == found[1]


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"num_samples": 0}, "num_samples 0 is below 1"),
    ({"chunk_size": 0}, "chunk_size 0 is below 1"),
    ({"max_prompts": 0}, "max_prompts 0 is below 1"),
    ({"max_input_length": -1}, "max_input_length -1 is negative"),
  ],
)
def test_options_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    sample.SampleConfig(**options)
