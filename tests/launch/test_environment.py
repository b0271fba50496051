"""xlrm env: what a bug report needs."""

from xlrm.launch import main


def test_env_names_versions_and_devices(capsys):
  assert main.main(["env"]) == 0
  said = capsys.readouterr().out
  assert "jax " in said and "device 0" in said and "CPU " in said
