"""docs/ppo.md names what exists, and all of it."""

import dataclasses
import importlib
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "docs"))

import package_graph

from xlrm.evaluation import hacking_panel
from xlrm.ppo import objective

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs/ppo.md").read_text(encoding="utf-8")
# A module's name is used once.
MODULES = {x.rpartition(".")[2]: x for x in package_graph.modules()}
CODE = re.findall(r"`([^`\n]+)`", PAGE)
GROUPS = "objective|policy|loss|val|response|validation"
WRITERS = (
  "ppo/objective.py",
  "ppo/ppo_step.py",
  "ppo/rollouts.py",
  "ppo/ppo_trainer.py",
  "jobs/ppo_evaluation.py",
  "evaluation/hacking_panel.py",
)
# Stored under another name, or made by `ppo_step._policy_name`.
RENAMED = {"val/ratio_deviation": "val/first_ratio_deviation"}
COMPOSED = {"policy/gradient_norm", "val/gradient_norm"}


def written() -> set[str]:
  """Metric names in the code that writes them."""
  found = set(COMPOSED)
  for name in WRITERS:
    text = (ROOT / "xlrm" / name).read_text(encoding="utf-8")
    found |= set(re.findall(rf'"((?:{GROUPS})/\w+)"', text))
  return {RENAMED.get(name, name) for name in found}


def test_every_metric_is_explained_and_exists():
  explained = {name for name in CODE if re.fullmatch(rf"({GROUPS})/\w+", name)}
  trl = {"val/num_eos_tokens", "val/ratio_var"}
  assert explained - trl == written()


def test_every_option_of_the_panel_is_listed():
  options = {x.name for x in dataclasses.fields(hacking_panel.PanelConfig)}
  assert options <= set(CODE)


def test_every_option_of_ppo_is_mentioned():
  for field in dataclasses.fields(objective.PPOConfig):
    assert re.search(rf"\b{field.name}\b", PAGE, re.IGNORECASE), field.name


@pytest.mark.parametrize(
  "name", sorted({x for x in CODE if re.fullmatch(r"[a-z]\w*(\.\w+)+", x)})
)
def test_what_is_named_exists(name):
  if name.endswith((".py", ".jsonl", ".png", ".json", ".gin")):
    assert name.endswith(".py") is (ROOT / "tests" / name).is_file()
    return
  if name.startswith(("ppo.train.", "adafactor.")):  # gin's names
    return
  module, _, rest = name.partition(".")
  found = importlib.import_module(MODULES[module])
  for part in rest.split("."):
    found = getattr(found, part)


def test_every_test_that_is_named_exists():
  sources = "".join(
    path.read_text(encoding="utf-8")
    for path in (ROOT / "tests").rglob("test_*.py")
  )
  for name in {x for x in CODE if re.fullmatch(r"test_\w+", x)}:
    assert f"def {name}(" in sources, name
