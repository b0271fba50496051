"""Imports point down the layers of docs/architecture.md, and only there."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# First match wins; a module may import its own layer and those below.
LAYERS = (
  ("xlrm.types", 0),
  ("xlrm.records", 0),
  ("xlrm.files", 0),
  ("xlrm.chunked_files", 0),
  ("xlrm.prompt_files", 0),
  ("xlrm.miniworld", 0),
  ("xlrm.tokenizer", 0),
  ("xlrm.batches", 0),
  ("xlrm.converters", 0),
  ("xlrm.mapped_npz", 0),
  ("xlrm.row_order", 0),
  ("xlrm.processes", 0),
  ("xlrm.language_names", 0),
  ("xlrm.denoising", 0),
  ("xlrm.models", 1),
  ("xlrm.losses", 1),
  ("xlrm.ranking_losses", 1),
  ("xlrm.sampling_config", 1),
  ("xlrm.lanes", 1),
  ("xlrm.decoding", 1),
  ("xlrm.token_draws", 1),
  ("xlrm.best_of_n", 1),
  ("xlrm.ppo", 1),
  ("xlrm.advantages", 1),
  ("xlrm.lora", 1),
  ("xlrm.adafactor", 1),
  ("xlrm.optimizers", 1),
  ("xlrm.sharding", 1),
  ("xlrm.checkpoints", 1),
  ("xlrm.evaluation", 3),
  ("xlrm.analysis", 3),
  ("xlrm.annotation", 3),
  ("xlrm.jobs", 3),
  ("xlrm.data", 4),
  ("xlrm.tasks", 4),
  ("xlrm.t5x_models", 4),  # T5X's trainer imports it, nothing of xlrm does
  ("xlrm.config", 5),
  ("xlrm.gin_sources", 5),
  ("xlrm.configurables", 5),
  ("xlrm.launch", 6),
  ("xlrm.", 2),  # training, pretrained, text_generation, ...
)
NOTHING = {"utils", "util", "common", "helpers", "base", "manager", "misc"}


def layer(module: str) -> int:
  for name, number in LAYERS:
    if module == name or module.startswith(name.rstrip(".") + "."):
      return number
  return -1  # xlrm itself and everything outside


def modules() -> dict[str, pathlib.Path]:
  found = {}
  for folder, package in (
    ("xlrm", "xlrm"),
    ("tasks", "xlrm.tasks"),
    ("launch", "xlrm.launch"),
  ):
    for path in sorted((ROOT / folder).rglob("*.py")):
      parts = path.relative_to(ROOT / folder).with_suffix("").parts
      parts = parts[:-1] if parts[-1] == "__init__" else parts
      found[".".join((package, *parts))] = path
  return found


MODULES = modules()


def imports(path: pathlib.Path) -> set[str]:
  names = set()
  for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      names |= {f"{node.module}.{alias.name}" for alias in node.names}
  return names


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
  own = layer(module)
  for name in imports(MODULES[module]):
    assert layer(name) <= own or own == -1, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_only_data_knows_seqio_and_only_config_knows_gin(module):
  outside = {name.split(".")[0] for name in imports(MODULES[module])}
  if layer(module) != 4:
    assert not outside & {"seqio", "tensorflow", "tensorflow_datasets"}
  if module != "xlrm.config":
    assert "gin" not in outside
  assert "absl" not in outside
  if not module.startswith("xlrm.evaluation.backends."):
    assert not outside & {"openai", "google"}


@pytest.mark.parametrize("module", MODULES)
def test_names_say_something_and_files_are_short(module):
  assert module.split(".")[-1] not in NOTHING
  lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
  assert lines <= 450, f"{module} has {lines} lines"


def test_the_core_needs_neither_tensorflow_nor_seqio_nor_gin():
  core = [name for name in MODULES if layer(name) <= 3]
  blocked = ("tensorflow", "tensorflow_text", "seqio", "gin")
  blocked += ("openai", "google.genai", "lingua", "py3langid")
  program = "\n".join(
    [
      "import importlib, sys",
      f"for name in {blocked!r}: sys.modules[name] = None",
      f"for name in {core!r}: importlib.import_module(name)",
    ]
  )
  done = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr


def test_only_one_file_needs_t5x_and_nothing_imports_it():
  for module, path in MODULES.items():
    names = imports(path)
    if module == "xlrm.t5x_models":
      assert any(name.startswith("t5x.") for name in names)
      continue
    assert not [x for x in names if x.split(".")[0] in ("t5x", "clu")]
    assert "xlrm.t5x_models" not in names


def test_importing_xlrm_imports_nothing_else():
  program = "import sys, xlrm; print('jax' in sys.modules)"
  done = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "False"
