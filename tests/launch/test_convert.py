"""xlrm convert: what it says, and what it refuses."""

from xlrm.launch import main


def test_the_command_says_what_it_recognised(tmp_path, capsys):
  target = tmp_path / "out"
  assert main.main(["convert", "nano", str(target), "--to=hf"]) == 0
  said = capsys.readouterr().out
  assert "xlrm model directory, language model of size nano: 972,448" in said
  assert (target / "spiece.model").exists()
  assert main.main(["convert", "nano", str(target), "--to=hf"]) == 2
  assert "exists already" in capsys.readouterr().err
  assert main.main(["convert", "nowhere", "b", "--to=hf"]) == 2
  assert "nowhere" in capsys.readouterr().err
