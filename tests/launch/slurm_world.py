"""A study in a folder, with stand-ins for SLURM's commands."""

import pathlib
import re

import fake_study

from xlrm.launch import main
from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_state
from xlrm.studies import study_cell

FAKE = pathlib.Path(fake_study.__file__)


STUDY = """
MODEL_DIR = 'run'
JOB = @Study
Study:
  model_dir = %MODEL_DIR
  sources = ('en', 'de')
  targets = ('es',)
  sft_task = 'miniworld_summary.{language}'
  reward_task = 'miniworld_rating.{language}'
  methods = ('best_of_n', 'ppo')
  ppo_pairs = (('en', 'es'),)
  max_prompts = 5
  jobs = {'sft': 'my_sft.gin'}
"""


LINE = ["study", "--gin_file=mine/study.gin"]


# Answers with the next number; refuses what $REFUSED names.
SBATCH = r"""
[[ "${!#}" != "${REFUSED:-}" ]] || { echo "queue is full" >&2; exit 1; }
printf '%s\n' "$@" "" >> "$WORLD/submitted"
number=$(($(cat "$WORLD/number" 2>/dev/null || echo 100) + 1))
echo "$number" > "$WORLD/number"
echo "$number;cluster"
"""


def loaded(*bindings: str, gin_file="mine/study.gin") -> study_plan.Loaded:
  folder = str(pathlib.Path(gin_file).parent)
  return study_plan.Loaded.of([gin_file], bindings, [folder])


def submitted(world: pathlib.Path) -> dict[str, set[str]]:
  """Cell -> cells that its job waits for, as sbatch was told; forgets it."""
  path = world / "submitted"
  calls = path.read_text().split("\n\n")[:-1] if path.exists() else []
  path.unlink(missing_ok=True)
  known = dict(
    line.split() for line in (world / "run/launch/jobs.txt").open()
  )  # number -> cell
  found = {}
  for call in calls:
    *options, script, cell = call.split("\n")
    after = [x for x in options if x.startswith("--dependency=")]
    numbers = re.findall(r"\d+", after[0]) if after else []
    assert ("--kill-on-invalid-dep=yes" in options) == bool(after)
    assert f"--job-name=run-{cell}" in options
    one = cell.startswith(("judge", "report"))
    assert script == ("one.sbatch" if one else "several.sbatch")
    found[cell] = {known[x] for x in numbers}
  return found


def complete(cell: study_cell.StudyCell, identity: str) -> None:
  study_state.write_mark(cell, identity, done=True)
  product = study_state.PRODUCTS[cell.kind].replace("*", "7")
  (cell.folder / product).parent.mkdir(exist_ok=True)
  (cell.folder / product).touch()


def launch(*options: str) -> int:
  return main.main([*LINE, "--launcher=slurm", *options])
