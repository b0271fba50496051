"""xlrm report: one command, one message for a mistake."""

import pytest

from xlrm.analysis.exhibits import exhibit
from xlrm.launch import main


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    ((), "which report? --paper"),
    (("--paper",), "--output is missing"),
    (("--paper", "--output=there"), "there is a file; name a folder"),
  ],
)
def test_g28_mistakes_are_one_message_and_write_nothing(
  arguments, said, capsys, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "there").write_text("kept")
  with pytest.raises(SystemExit) as stop:
    main.main(["report", *arguments])
  assert stop.value.code == 2
  error = capsys.readouterr().err
  assert said in error and "Traceback" not in error
  assert [x.read_text() for x in tmp_path.iterdir()] == ["kept"]


def test_without_matplotlib_the_way_out_is_named(capsys, tmp_path, monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
  folder = tmp_path / "report"
  assert main.main(["report", "--paper", f"--output={folder}"]) == 2
  assert "pip install 'xlrm[report]'" in capsys.readouterr().err
  assert not folder.exists()


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
  folder = tmp_path / "a" / "b"
  exhibit.write(folder, {"tables/x.csv": b"1\n", "p.html": b"<p>"})
  assert (tmp_path / "a/b/tables/x.csv").read_bytes() == b"1\n"

  def full(*_):
    raise OSError("no space left")

  monkeypatch.setattr(exhibit.os, "replace", full)
  with pytest.raises(OSError, match="no space left"):
    exhibit.write(folder, {"p.html": b"<b>"})
  kept = sorted(x.name for x in (tmp_path / "a/b").iterdir())
  assert kept == ["p.html", "tables"]
  assert (tmp_path / "a/b/p.html").read_bytes() == b"<p>"
