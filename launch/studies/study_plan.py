"""What of a study is to be run, what it costs, mistakes found beforehand."""

from collections.abc import Mapping, Sequence
import dataclasses
import fnmatch
from typing import Any

from xlrm.config import gin_jobs
from xlrm.launch.studies import study_state
from xlrm.studies import study as study_lib
from xlrm.studies import study_cell
from xlrm.studies import study_cells


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A study, and the gin files that it comes from.

  Attributes:
    study: the object.
    text: a gin file that makes it again.
    search_paths: where gin files of its jobs are looked up.
  """

  study: study_lib.Study
  text: str
  search_paths: Sequence[str] = ()

  @classmethod
  def of(
    cls,
    gin_files: Sequence[str],
    bindings: Sequence[str] = (),
    search_paths: Sequence[str] = (),
  ) -> "Loaded":
    """The study that gin files and bindings make."""
    job = gin_jobs.load(gin_files, bindings, search_paths)
    return cls(job.build(study_lib.Study), job.text(), search_paths)


@dataclasses.dataclass(frozen=True)
class Cost:
  """The cost of a cell, as far as its configuration tells.

  Attributes:
    words: for people.
    steps: of training.
    texts: drawn from a model; None where it depends on how many prompts a
      task has.
  """

  words: str
  steps: int = 0
  texts: int | None = 0


@dataclasses.dataclass(frozen=True)
class StudyPlan:
  """The cells of a study and, by their names, what is known of them."""

  study: study_lib.Study
  cells: Sequence[study_cell.StudyCell]
  macros: Mapping[str, Mapping[str, Any]]
  identities: Mapping[str, str]
  states: Mapping[str, study_state.CellState]

  @classmethod
  def of(cls, loaded: Loaded) -> "StudyPlan":
    """The plan of a study, from gin files and folders; imports no job.

    Raises:
      ValueError, OSError: a mistake in the study or in a gin file of it.
    """
    cells = study_cells.cells(loaded.study)
    texts = study_state.texts(cells, loaded.search_paths)
    identities = study_state.identities(cells, texts)
    by_name = {x.name: x for x in cells}
    return cls(
      loaded.study,
      cells,
      {name: gin_jobs.macros(sources) for name, sources in texts.items()},
      identities,
      {
        x.name: study_state.state(*study_state.present(x, by_name, identities))
        for x in cells
      },
    )

  def present(
    self, cell: study_cell.StudyCell
  ) -> tuple[study_cell.StudyCell, str]:
    """The cell with what it wants now, see `study_state.present`."""
    by_name = {x.name: x for x in self.cells}
    return study_state.present(cell, by_name, self.identities)

  def text(self, chosen: Sequence[study_cell.StudyCell]) -> str:
    """A table of the chosen cells, and the sum of what is to be run."""
    costs = {x.name: cost(self.study, x, self.macros[x.name]) for x in chosen}
    width = max(len(x.name) for x in chosen)
    lines = [
      f"{number:4}  {cell.name:<{width}}  {self.states[cell.name].value:<7}  "
      f"{costs[cell.name].words}"
      for number, cell in enumerate(self.cells, 1)
      if cell.name in costs
    ]
    todo = [
      x
      for x in chosen
      if self.states[x.name] is not study_state.CellState.EXISTS
    ]
    done = len(chosen) - len(todo)
    head = f"{self.study.model_dir}: {len(chosen)} cells, {done} exist"
    return "\n".join([head, *lines, _sum([costs[x.name] for x in todo])])


def _sum(costs: Sequence[Cost]) -> str:
  steps = sum(x.steps for x in costs)
  texts = sum(x.texts or 0 for x in costs)
  whole = sum(x.texts is None for x in costs)
  more = f", and those of all prompts in {whole} cells" if whole else ""
  return (
    f"to run: {len(costs)} cells, {steps:,} training steps, {texts:,} texts "
    f"drawn{more}"
  )


def _number(value: Any) -> int:
  return value if isinstance(value, int) else 0


def cost(
  study: study_lib.Study, cell: study_cell.StudyCell, macros: Mapping[str, Any]
) -> Cost:
  """The cost of one cell; `macros` are those of its job."""
  steps = _number(macros.get("TRAIN_STEPS"))
  rows = _number(macros.get("BATCH_SIZE"))
  prompts = study.max_prompts
  many = f"{prompts or 'all'} prompts"
  by = f"scored by {len(cell.settings.get('REWARDS', ()))}"
  match cell.kind:
    case "sft" | "reward":
      return Cost(f"{steps} steps of {rows} rows", steps)
    case "ppo":
      return Cost(f"{steps} steps of {rows} texts", steps, steps * rows)
    case "best_of_n":
      # The baselines: one more sample, and the greedy output.
      texts = _number(macros.get("NUM_SAMPLES")) + 2
      drawn = prompts and prompts * texts
      return Cost(f"{many} x {texts} texts, {by}", texts=drawn)
    case "outputs":
      return Cost(f"{many} x 1 text, {by}", texts=prompts)
    case "diagnosis":
      models = len(cell.settings["REWARDS"])
      languages = len(study.languages)
      return Cost(f"{models} models on {languages} languages")
    case "judge":
      return Cost(f"{_questions(study, cell.settings['METHOD'])} questions")
    case _:
      return Cost(f"{len(cell.settings['RUNS'])} runs")


def _questions(study: study_lib.Study, method: str) -> str:
  """Both orders of every pair of outputs."""
  pairs = len(study.pairs)
  if method == "best_of_n":
    pairs = sum(len(study.rewards_of(x)) for x in study.targets)
  cells = 2 * pairs * len(study.seeds)
  if study.max_prompts is None:
    return f"{cells} x all prompts"
  return f"{cells * study.max_prompts:,}"


def selected(
  plan: StudyPlan, patterns: Sequence[str] | None
) -> list[study_cell.StudyCell]:
  """The cells whose names the patterns fit; None is all.

  Raises:
    ValueError: no cell fits one.
  """
  names = [cell.name for cell in plan.cells]
  if patterns is None:
    return list(plan.cells)
  for pattern in patterns:
    if not fnmatch.filter(names, pattern):
      raise ValueError(f"--only={pattern}: the cells are {', '.join(names)}")
  return [
    cell
    for cell in plan.cells
    if any(fnmatch.fnmatch(cell.name, x) for x in patterns)
  ]


def check_needs(
  plan: StudyPlan, chosen: Sequence[study_cell.StudyCell]
) -> None:
  """Raises ValueError if a chosen cell needs one that is not there."""
  names = {cell.name for cell in chosen}
  for cell in chosen:
    for need in cell.needs:
      if (
        need not in names
        and plan.states[need] is not study_state.CellState.EXISTS
      ):
        raise ValueError(
          f"{cell.title} needs {need}, which is {plan.states[need].value}; "
          f"run that before, or too: --only={need}"
        )


def check_tasks(plan: StudyPlan) -> None:
  """Raises ValueError if a language has no such task; imports SeqIO."""
  try:
    from xlrm.data import registry
    from xlrm.data import seqio_source
  except ModuleNotFoundError:  # no TensorFlow here: jobs read .npz files
    return
  imported = set()
  for cell in plan.cells:
    macros = plan.macros[cell.name]
    name = cell.settings.get("MIXTURE_OR_TASK_NAME")
    module = macros.get("MIXTURE_OR_TASK_MODULE")
    if name is None:
      continue
    try:
      if module not in imported:
        seqio_source.import_module(module)
      registry.get(name)
    except (OSError, ValueError) as error:
      raise ValueError(f"{cell.title}: {error}") from error
    imported.add(module)
