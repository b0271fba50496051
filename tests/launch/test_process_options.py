"""Options of several processes: what is missing, other versions."""

import pytest

from xlrm.launch import main
from xlrm.launch import process_options


def test_the_command_names_what_is_missing(capsys):
  files = ["--model=x", "--input=y", "--output=z"]
  code = main.main(["score", *files, "--process_count=2"])
  assert code == 2
  assert "not given: coordinator_address, process_id" in capsys.readouterr().err


def test_other_versions_are_refused_with_both():
  ours = {"python": "3.11.7", "jax": "0.10.2"}
  process_options.check_versions([ours, dict(ours)])
  with pytest.raises(ValueError, match="0 and 2 .* jax 0.10.2 and 0.11.0"):
    process_options.check_versions(
      [ours, dict(ours), {**ours, "jax": "0.11.0"}]
    )
