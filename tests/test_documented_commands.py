"""Every command of README and docs is run, in the order of the pages.

Cheap ones always; the others, in one folder and as printed but with fewer
steps of training, by `make test-all`. See `pages` for the blocks that no test
can run. Names of options and macros are checked always.
"""

import argparse
import gzip
import importlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pages
import pytest

from xlrm.config import gin_files
from xlrm.config import gin_jobs
from xlrm.launch import main
from xlrm.miniworld import world_rows

COMMANDS = pages.all_commands()
INLINE = re.compile(r"`(xlrm [a-z_]+[^`]*)`")
SHORT = r"\g<0> --gin.TRAIN_STEPS=4 --gin.EVAL_PERIOD=2"
TRAINING = r"--gin_file=(my_reward|(demo_)?(reward|sft|ppo)|distill)\.gin"
FULL = "docs/tutorials/launch_a_job.md"


def parser_of(command: str) -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog=f"xlrm {command}")
  importlib.import_module(main.COMMANDS[command][1]).add_arguments(parser)
  return parser


def words_of(text: str) -> list[str]:
  """A command without the variables before it and what its shell does."""
  words = shlex.split(text.split(" > ")[0].split(" | ")[0])
  while words and re.match(r"[A-Z_]+=", words[0]):
    words.pop(0)
  if words and words[0].endswith("/xlrm"):
    words[0] = "xlrm"
  return words


def options_of(parser: argparse.ArgumentParser) -> set[str]:
  """Option strings, those of its own subcommands, too."""
  found = set()
  for action in parser._actions:
    found |= set(action.option_strings)
    if isinstance(action, argparse._SubParsersAction):
      for inner in action.choices.values():
        found |= options_of(inner)
  return found


def named() -> list[tuple[str, str]]:
  """(page, `xlrm ...`) of blocks and of running text."""
  found = [
    (x.page, x.text) for x in COMMANDS if words_of(x.text)[:1] == ["xlrm"]
  ]
  for page in pages.names():
    found += [(page, x) for x in INLINE.findall(pages.text(page))]
  return found


def test_commands_and_options_that_pages_name_exist():
  known = {name: options_of(parser_of(name)) for name in main.COMMANDS}
  known["study"] |= known["launch"]  # with --launcher
  wrong = []
  for page, text in named():
    words = words_of(text.replace("\n", " ").replace("'", "").replace('"', ""))
    if words[1].startswith("-"):
      assert words[1] in ("--help", "--version", "--debug"), (page, text)
      continue
    if words[1] not in known:
      wrong.append((page, text))
      continue
    for word in words[2:]:
      option = word.strip("[],.").partition("=")[0]
      free = ("--help", "--debug")
      if re.match(r"--?[a-z]", option) and option not in free:
        if option not in known[words[1]] and not option.startswith("--gin."):
          wrong.append((page, f"xlrm {words[1]} {option}"))
  assert not wrong


def test_options_in_running_text_belong_to_some_command():
  known = set().union(*(options_of(parser_of(x)) for x in main.COMMANDS))
  known |= {"--help", "--debug", "--slow", "--no-deps", "--strict"}
  for page in pages.names():
    prose = pages.FENCE.sub("", pages.text(page))
    for option in re.findall(r"`(--[a-z_]+)[=`\s]", prose):
      assert option in known, f"{page}: {option}"


def own_gin_files(folder: pathlib.Path) -> None:
  """Writes the gin files that pages print under a name."""
  for page in pages.names():
    for name, body in re.findall(
      r"`([a-z_]+\.gin)`[^`]*?\n```[a-z]*\n(.*?)\n```",
      pages.text(page),
      re.DOTALL,
    ):
      if " = " in body:
        (folder / name).write_text(body + "\n", encoding="utf-8")


def test_gin_files_and_bindings_of_pages_load(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  own_gin_files(tmp_path)
  assert (tmp_path / "my_reward.gin").is_file()
  for command in COMMANDS:
    words = words_of(command.text)
    if words[:2] != ["xlrm", "run"] or "..." in words:
      continue
    module = importlib.import_module(main.COMMANDS["run"][1])
    options = module.parse(parser_of("run"), words[2:])
    packaged = gin_files.gin_directory() / options.gin_file[0]
    if command.not_run and not packaged.is_file():
      continue  # a file of the reader's
    gin_jobs.load(options.gin_file, options.bindings)


def test_what_is_not_run_says_why_and_what_ci_runs_exists():
  targets = re.findall(r"^([a-z-]+):", pages.text("Makefile"), re.MULTILINE)
  runner = pages.text(".ci/run")
  for command in COMMANDS:
    if command.text.startswith("make "):
      assert command.text.split()[1] in targets, str(command)
  assert "make demo" in runner and "make test" in runner
  assert "pip wheel" in runner
  reasons = {str(x): x.not_run for x in COMMANDS if x.not_run}
  print("not run:", *(f"{k} ({v})" for k, v in reasons.items()), sep="\n")
  assert all(len(reason) > 5 for reason in reasons.values())


def test_no_command_hides_outside_a_block():
  for page in pages.names():
    prose = pages.FENCE.sub("", pages.text(page))
    found = re.search(r"^(?: {4}|\$ )(xlrm|make|python|pip) .*", prose, re.M)
    assert not found, f"{page}: {found[0]}: put it into a fence of `sh`"


CHEAP = [x for x in COMMANDS if x.is_cheap and not x.not_run and not x.by_ci]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> pathlib.Path:
  """The folder that a reader works in, with the files that pages speak of."""
  folder = tmp_path_factory.mktemp("desk")
  own_gin_files(folder)
  some = world_rows.rating_rows("es", "test", 0, 8)
  prompts = [{"id": x.id, "prompt": world_rows.policy_input(x)} for x in some]
  judged = [{"prompt": x.document, "response": x.summary} for x in some]
  for name, lines in (("prompts", prompts), ("rows", judged)):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{name}.jsonl").write_text(text)
  return folder


@pytest.mark.parametrize("command", CHEAP, ids=str)
def test_cheap_commands_run(command, desk, monkeypatch, capsys):
  monkeypatch.chdir(desk)
  assert main.main(words_of(command.text)[1:]) == 0, command
  assert len(capsys.readouterr().out) > 200
  assert not (desk / "runs").exists()


def aliases(folder: pathlib.Path) -> None:
  """Models of other languages are those of the tutorial under other names."""
  for name, made in (
    ("sft_en", "sft_es"),
    ("base", "sft_es"),
    ("rm_de", "rm_en"),
    ("rm_es", "rm_en"),
  ):
    link = folder / "runs" / name
    if (folder / "runs" / made).is_dir() and not link.exists():
      link.symlink_to(made, target_is_directory=True)


def catalan(folder: pathlib.Path) -> None:
  """The module and the data of docs/add_a_language.md."""
  program = pages.programs("docs/add_a_language.md")[0]
  (folder / "catalan.py").write_text(program, encoding="utf-8")
  data = folder / "data" / "gazette"
  data.mkdir(parents=True, exist_ok=True)
  row = {"body": "El ple va aprovar-ho.", "headline": "Nou", "liked": 1}
  line = lambda key: json.dumps({"key": key, **row}) + "\n"
  for name in ("train-0", "validation", "test"):
    (data / f"{name}.jsonl").write_text("".join(map(line, range(64))))
  for name in ("ratings.train", "ratings.validation"):
    (data / f"{name}.jsonl").write_text("".join(map(line, range(64))))
  packed = gzip.compress((data / "train-0.jsonl").read_bytes())
  (data / "train-0.jsonl.gz").write_bytes(packed)


def typed(block: list[pages.Command]) -> str:
  """As printed; training jobs outside the tutorial take four steps."""
  lines = "\n".join(command.text for command in block)
  if block[0].page == FULL:
    return lines
  return re.sub(TRAINING, SHORT, lines)


def is_run(block: list[pages.Command]) -> bool:
  """Whether something in it needs running that is not run elsewhere."""
  if not block or block[0].not_run or any(x.by_ci for x in block):
    return False
  text = " ".join(command.text for command in block)
  needs_data = re.search("seahorse|oasst", text)
  if needs_data and not os.environ.get("XLRM_REAL_DATA"):
    return False
  return any(command not in CHEAP for command in block)


@pytest.mark.slow
@pytest.mark.parametrize(
  "page", [x for x in pages.names() if any(map(is_run, pages.blocks(x)))]
)
def test_every_other_command_runs(page, desk):
  catalan(desk)
  environment = {
    **os.environ,
    "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    "XLA_FLAGS": "",
  }
  for block in filter(is_run, pages.blocks(page)):
    aliases(desk)
    done = subprocess.run(
      ["bash", "-ec", typed(block)],
      cwd=desk,
      env=environment,
      capture_output=True,
      text=True,
      timeout=1200,
    )
    said = f"{block[0]}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
