"""The reference: every option of every gin name, commands, gin files, modules.

  python docs/make_reference.py          # lists options that lack a meaning

`pages()` is what the site shows under Reference. Nothing of it is committed:
the build reads it from the docstrings, so it is never out of date.
"""

import argparse
import importlib
import inspect
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import docstring_pages

from xlrm.config import configurables
from xlrm.launch import main

ROOT = pathlib.Path(__file__).parents[1]
REQUIRED = object()
# Called by the jobs with arrays: nothing of theirs can be set.
FUNCTIONS = ("k1", "k2", "k3", "mean_score", "min_score")
# Options that mean the same in every job, unless its docstring says more.
SHARED = {
  "source": "batches: `@SeqioSource()` or `@npz_source()`",
  "optimizer": "`@adafactor()` or `@adamw()`",
  "model_dir": "folder of everything that the job writes",
  "mesh": "how devices are arranged: `@MeshConfig()`",
  "dtype": "of the computation, 'float32' or 'bfloat16'",
  "split": "of the source",
  "history": "what later reports say of this stage",
}

# Page -> title, what it is about, modules (a folder means all of its modules).
MODULES = {
  "notebooks": (
    "For notebooks",
    "Models as functions of texts; what a checkpoint path may be.",
    "rewards/reward_models sampling/text_sampler sampling/sampling_config "
    "checkpoints/pretrained checkpoints/model_files checkpoints/conversion "
    "text/tokenizer config/gin_jobs",
  ),
  "data": (
    "Data",
    "Types, files, batches, datasets and tasks.",
    "types/ storage/ text/ batches/ data/ tasks/",
  ),
  "models": (
    "Models",
    "Backbones, scorers, losses, checkpoints.",
    "models/ losses/ checkpoints/",
  ),
  "training": (
    "Training",
    "The one training loop, meshes and processes, jobs and studies.",
    "training/ distributed/ jobs/ studies/ config/ t5x_trainer/",
  ),
  "sampling": (
    "Sampling, rewards and best-of-n",
    "The one sampler; scores of texts; pools and choices.",
    "sampling/ rewards/ best_of_n/",
  ),
  "ppo": ("PPO", "Rewards, advantages, rollouts, updates.", "ppo/"),
  "evaluation": (
    "Evaluation",
    "Records, judges, win rates, statistics; people as judges.",
    "evaluation/ annotation/",
  ),
  "analysis": (
    "Analysis",
    "Transfer matrices, what explains them, figures and reports.",
    "analysis/ paper/",
  ),
  "miniworld": ("miniworld", "The embedded world.", "miniworld/"),
}


def _resolve(target: str) -> Any:
  module, _, path = target.partition(":")
  found = importlib.import_module(module)
  for part in path.split("."):
    found = getattr(found, part)
  return found


def _default(value: Any) -> str:
  if value is REQUIRED:
    return "required"
  name = getattr(value, "__name__", None)
  text = f"@{name}" if callable(value) and name else repr(value)
  if text.startswith("<") or len(text) > 60:
    text = type(value).__name__
  return f"`{text}`".replace("|", "\\|")


def _kind(annotation: Any) -> str:
  """Of an option that takes one of our own configurations."""
  name = getattr(annotation, "__name__", "")
  return f"`@{name}()`" if name in configurables.CORE else ""


def options(target: str) -> list[tuple[str, Any, str]]:
  """(name, default, meaning) of every option of a configurable."""
  called = _resolve(target)
  parameters = inspect.signature(called).parameters.values()
  sections = docstring_pages.parse(inspect.getdoc(called) or "")[1]
  meanings: dict[str, str] = {}
  for section in ("Args", "Attributes"):
    meanings |= docstring_pages.entries(sections.get(section, ""))
  return [
    (
      x.name,
      REQUIRED if x.default is x.empty else x.default,
      meanings.get(x.name) or _kind(x.annotation) or SHARED.get(x.name, ""),
    )
    for x in parameters
    if x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)
    and x.name != "self"
    and not x.name.startswith("_")
  ]


def names() -> dict[str, str]:
  """gin name -> where it lives."""
  return {**configurables.CORE, **configurables.DATA}


def undocumented() -> list[str]:
  """Options that no docstring explains, as `name.option`."""
  return [
    f"{name}.{option}"
    for name, target in names().items()
    if name not in FUNCTIONS
    for option, _, meaning in options(target)
    if not meaning
  ]


def _configurable(name: str, target: str) -> str:
  called = _resolve(target)
  head = docstring_pages.parse(inspect.getdoc(called) or "")[0]
  lines = [
    f"## {name}".replace("_", "\\_"),
    docstring_pages.prose(head),
    f"`{target.replace(':', '.')}`",
  ]
  rows = [
    f"| `{option}` | {_default(default)} | {docstring_pages.escaped(meaning)} |"
    for option, default, meaning in options(target)
    if name not in FUNCTIONS
  ]
  if rows:
    table = ["| option | default | |", "| --- | --- | --- |", *rows]
    lines.append("\n".join(table))
  return "\n\n".join(lines)


def options_page() -> str:
  """Every option of every name that a gin file may use."""
  intro = (
    "# Every option\n\n"
    "What a gin file can set, with defaults. `NAME.OPTION = VALUE` sets one, "
    "`@NAME()` passes the result of calling NAME, `@NAME` passes NAME itself. "
    "On the command line: `--gin.NAME.OPTION=VALUE`. "
    "The macros in capitals are those of each [gin file](gin_files.md)."
  )
  parts = [_configurable(name, target) for name, target in names().items()]
  return "\n\n".join([intro, *parts]) + "\n"


def gin_page() -> str:
  """The shipped gin files, as they are."""
  out = [
    "# The gin files",
    "`--gin_file` takes a file of your own, or one of these by its name. "
    "Your own begins with `include 'reward.gin'` and sets what differs. Those "
    "under t5x/ are for [T5X's own trainer](../compatibility.md).",
  ]
  depth = lambda path: (len(path.parts), path)
  for path in sorted((ROOT / "gin").rglob("*.gin"), key=depth):
    name = path.relative_to(ROOT / "gin").as_posix()
    text = path.read_text(encoding="utf-8").strip()
    out += [f"## {name}".replace("_", "\\_"), f"```python\n{text}\n```"]
  return "\n\n".join(out) + "\n"


def parser_of(command: str) -> argparse.ArgumentParser:
  """The parser of `xlrm COMMAND`."""
  module = importlib.import_module(main.COMMANDS[command][1])
  parser = argparse.ArgumentParser(
    prog=f"xlrm {command}",
    description=module.__doc__,
    formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
      prog, width=78
    ),
  )
  module.add_arguments(parser)
  return parser


def commands_page() -> str:
  """`xlrm COMMAND --help` of every command."""
  out = ["# Commands", "What `xlrm COMMAND --help` says."]
  for command in main.COMMANDS:
    out += [
      f"## xlrm {command}".replace("_", "\\_"),
      f"```text\n{parser_of(command).format_help().strip()}\n```",
    ]
  return "\n\n".join(out) + "\n"


def _paths(listed: str) -> list[pathlib.Path]:
  """Files of a space-separated list of modules and folders."""
  found = []
  for name in listed.split():
    if name == "tasks/":
      found += sorted((ROOT / "tasks").glob("*.py"))
    elif name.endswith("/"):
      found += sorted((ROOT / "xlrm" / name).rglob("*.py"))
    else:
      found.append(ROOT / "xlrm" / f"{name}.py")
  return [x for x in found if x.name != "__init__.py"]


def _module_name(path: pathlib.Path) -> str:
  parts = path.relative_to(ROOT).with_suffix("").parts
  return ".".join(parts if parts[0] == "xlrm" else ("xlrm", *parts))


def unlisted() -> list[str]:
  """Modules of the package that no page of MODULES shows."""
  shown = {path for _, _, listed in MODULES.values() for path in _paths(listed)}
  silent = {"__init__.py", "configurables.py"}
  return [
    _module_name(path)
    for path in sorted((ROOT / "xlrm").rglob("*.py"))
    if path.name not in silent and path not in shown
  ]


def module_page(title: str, about: str, listed: str) -> str:
  """The modules of one group."""
  parts = [
    docstring_pages.module(path, _module_name(path)) for path in _paths(listed)
  ]
  return "\n\n".join([f"# {title}", about, *parts]) + "\n"


def pages() -> dict[str, str]:
  """Path within the site -> Markdown."""
  made = {
    "reference/options.md": options_page(),
    "reference/gin_files.md": gin_page(),
    "reference/commands.md": commands_page(),
  }
  for name, group in MODULES.items():
    made[f"reference/{name}.md"] = module_page(*group)
  return made


if __name__ == "__main__":
  for kind, missing in (
    ("no meaning", undocumented()),
    ("on no page", unlisted()),
  ):
    print(f"{kind}: {len(missing)}", *missing, sep="\n  ")
