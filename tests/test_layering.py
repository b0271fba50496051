"""The rules of the house: which package may import which, and how long a file
may be. Its picture stands in docs/architecture.md."""

import collections
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "docs"))

import package_graph

# From the ground up: a package imports those above it in this list, no other.
ORDER = (
  "xlrm.types",
  "xlrm.storage",
  "xlrm.miniworld",
  "xlrm.text",
  "xlrm.distributed",
  "xlrm.losses",
  "xlrm.batches",
  "xlrm.models",
  "xlrm.checkpoints",
  "xlrm.training",
  "xlrm.sampling",
  "xlrm.rewards",
  "xlrm.evaluation",
  "xlrm.evaluation.prompted",
  "xlrm.best_of_n",
  "xlrm.ppo",
  "xlrm.studies",
  "xlrm.analysis",
  "xlrm.analysis.exhibits",
  "xlrm.analysis.reports",
  "xlrm.paper",
  "xlrm.annotation",
  "xlrm.jobs",
  # What needs TensorFlow, T5X or gin stands above all that does not.
  "xlrm.data",
  "xlrm.tasks",
  "xlrm.t5x_trainer",  # T5X's trainer imports it, nothing of xlrm does
  "xlrm.config",
  "xlrm.launch.targets",
  "xlrm.launch.studies",
  "xlrm.launch",
)
CORE = ORDER[: ORDER.index("xlrm.data")]
SEQIO = ("xlrm.data", "xlrm.tasks", "xlrm.t5x_trainer")
NOTHING = {"utils", "util", "common", "helpers", "base", "manager", "misc"}
MODULES = package_graph.modules()


def outside(module: str) -> set[str]:
  return {name.split(".")[0] for name in package_graph.imported(module)}


def test_every_package_has_its_place():
  assert set(package_graph.packages()) == set(ORDER)


@pytest.mark.parametrize("package", ORDER)
def test_imports_point_down(package):
  above = ORDER[ORDER.index(package) + 1 :]
  assert not package_graph.arrows()[package] & set(above)


def test_the_house_has_few_rooms_and_no_circle():
  arrows = package_graph.arrows()
  assert not package_graph.cycles(arrows)
  assert len(package_graph.packages()) <= 35
  assert sum(map(len, arrows.values())) <= 155
  root = [x for x in MODULES if x.count(".") == 1 and x in ORDER]
  assert len([x for x in root if MODULES[x].name != "__init__.py"]) <= 12


@pytest.mark.parametrize("module", MODULES)
def test_only_data_knows_seqio_and_only_config_knows_gin(module):
  package = package_graph.package(module)
  if package not in SEQIO:
    assert not outside(module) & {"seqio", "tensorflow", "tensorflow_datasets"}
  if package != "xlrm.config":
    assert "gin" not in outside(module)
  assert "absl" not in outside(module)
  if package != "xlrm.evaluation.prompted":
    assert not outside(module) & {"openai", "google"}


@pytest.mark.parametrize("module", MODULES)
def test_names_say_something_and_files_are_short(module):
  assert module.split(".")[-1] not in NOTHING
  assert package_graph.lines(module) <= 450


def test_a_name_of_a_module_is_used_once():
  """Apart from jobs, tasks and commands, which are named after what they do."""
  named = collections.defaultdict(list)
  for module in MODULES:
    if not module.startswith(("xlrm.jobs.", "xlrm.tasks", "xlrm.launch")):
      named[module.rpartition(".")[2]].append(module)
  assert not [found for found in named.values() if len(found) > 1]


def test_the_core_needs_neither_tensorflow_nor_seqio_nor_gin():
  core = [x for x in MODULES if package_graph.package(x) in CORE]
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


def test_only_one_package_needs_t5x_and_nothing_imports_it():
  for module in MODULES:
    if package_graph.package(module) == "xlrm.t5x_trainer":
      continue
    assert not outside(module) & {"t5x", "clu"}
    names = package_graph.imported(module)
    assert not [x for x in names if x.startswith("xlrm.t5x_trainer")]


def test_importing_xlrm_imports_nothing_else():
  program = "import sys, xlrm; print('jax' in sys.modules)"
  done = subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == "False"
