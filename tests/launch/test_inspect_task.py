"""xlrm inspect: the module of a task is found, a page is written."""


def test_the_command_finds_the_module_and_writes_a_page(
  real_data, tmp_path, capsys
):
  from xlrm.launch import main

  page = tmp_path / "page.html"
  command = ["inspect", "seahorse_rating.ru", "--inputs=8", "--targets=64"]
  assert main.main([*command, f"--html={page}", "--rows=1"]) == 0
  said = capsys.readouterr().out
  assert "seahorse_rating.ru (Russian)" in said and "945; 0 duplicates" in said
  assert "44.4% rated good" in said
  assert "xlrm inspect" in page.read_text()
  assert main.main(["inspect", "seahorse_ratng.ru"]) == 2
  assert "nearest: seahorse_rating" in capsys.readouterr().err
