"""A study: which languages, tasks, methods, judges and swept values.

One object says what an experiment is; `study_cells` lists the jobs of it.
"""

import ast
from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from xlrm.types import checks

JOBS = {
  "sft": "sft.gin",
  "reward": "reward.gin",
  "best_of_n": "best_of_n.gin",
  "ppo": "ppo.gin",
  "outputs": "outputs.gin",
  "diagnosis": "diagnose.gin",
  "judge": "judge.gin",
  "report": "evaluate.gin",
}
FOLDERS = {
  "sft": "sft_{language}",
  "reward": "rm_{language}",
  "best_of_n": "best_of_n_{target}",
  "ppo": "ppo_{target}_by_{source}",
  "diagnosis": "diagnosis",
  "judge": "judge_{judge}_{method}",
}
METHODS = ("best_of_n", "ppo")
# Kinds of cells that are the work of one host: others would only wait.
ONE_PROCESS = ("judge", "report")
# Attribute of Study -> how its values are called in names of folders.
AXES = {
  "seeds": "seed",
  "temperatures": "temperature",
  "num_samples": "n",
  "kl_coefficients": "kl",
}
Settings = Mapping[str, Any]


def _literal(kind: str, settings: Settings) -> None:
  """A setting becomes a line of gin."""
  for name, value in settings.items():
    try:
      ast.literal_eval(repr(value))
    except (SyntaxError, ValueError) as error:
      raise ValueError(
        f"settings: {kind!r} gives {name} the object {value!r}; objects belong "
        "into a gin file of yours, named in `jobs`"
      ) from error


def _each_once(what: str, values: Sequence[Any]) -> None:
  twice = [x for i, x in enumerate(values) if x in values[:i]]
  if twice:
    raise ValueError(f"{what} {tuple(values)} have {twice[0]!r} twice")


@dataclasses.dataclass(frozen=True)
class Study:
  """An experiment: what is trained, aligned and measured.

  Attributes:
    model_dir: folder of the study: its report, and a folder for each cell.
    sources: languages of reward models.
    targets: languages of policies. A target also gets the reward model of its
      own language, which is one judge of all others.
    sft_task: task of supervised fine-tuning, with the place {language}.
    reward_task: task of ratings or rankings, likewise.
    prompt_task: task whose prompts are sampled for; None is `sft_task`.
    base: model that SFT starts from.
    methods: 'best_of_n', which also draws the baselines of every win rate (one
      sample at the same temperature, and the greedy output), and 'ppo'.
    ppo_pairs: (source, target) of PPO; None is every pair.
    judges: name -> settings of its job: {'gpt': {'MODEL': 'gpt-4o'}}.
    verdicts: files of verdicts and folders of `xlrm annotate`, on the outputs
      at the first value of every axis.
    seeds: of training and sampling; an axis, as are the next three.
    temperatures: of sampling.
    num_samples: n of best-of-n.
    kl_coefficients: beta of PPO; none leaves it to the job's gin file.
    max_prompts: prompts per target, the first ones; None is all.
    name: written into the records; None leaves what the jobs write.
    jobs: kind of cell -> gin file, where it is not that of JOBS.
    settings: kind of cell -> {macro or parameter: value}.
    folders: kind of cell -> folder, where it is not that of FOLDERS.
  """

  model_dir: str
  sources: Sequence[str]
  targets: Sequence[str]
  sft_task: str
  reward_task: str
  prompt_task: str | None = None
  base: str = "nano"
  methods: Sequence[str] = ("best_of_n",)
  ppo_pairs: Sequence[tuple[str, str]] | None = None
  judges: Mapping[str, Settings] = dataclasses.field(default_factory=dict)
  verdicts: Sequence[str] = ()
  seeds: Sequence[int] = (0,)
  temperatures: Sequence[float] = (1.0,)
  num_samples: Sequence[int] = (16,)
  kl_coefficients: Sequence[float] = ()
  max_prompts: int | None = None
  name: str | None = None
  jobs: Mapping[str, str] = dataclasses.field(default_factory=dict)
  settings: Mapping[str, Settings] = dataclasses.field(default_factory=dict)
  folders: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    self._check_lists()
    for what in ("sft_task", "reward_task", "prompt_task"):
      task = getattr(self, what)
      if task is not None and "{language}" not in task:
        raise ValueError(f"{what} {task!r} has no place {{language}}")
    for method in self.methods:
      checks.one_of("method", method, METHODS)
    if "best_of_n" not in self.methods:
      raise ValueError(
        f"methods {tuple(self.methods)} lack 'best_of_n': it draws the samples "
        "that every other method is compared with"
      )
    for what, known in (
      ("jobs", JOBS),
      ("settings", JOBS),
      ("folders", FOLDERS),
    ):
      for kind in getattr(self, what):
        checks.one_of(f"{what}:", kind, known)
    for kind, own in (*self.settings.items(), *self.judges.items()):
      _literal(kind, own)
    if self.max_prompts is not None:
      checks.at_least("max_prompts", self.max_prompts, 1)
    self._check_ppo()

  def _check_lists(self) -> None:
    for what in ("sources", "targets", "verdicts", *AXES):
      values = getattr(self, what)
      if isinstance(values, str | int | float):
        raise ValueError(f"{what} {values!r}: a list is expected ({values!r},)")
      if not values and what not in ("verdicts", "kl_coefficients"):
        raise ValueError(f"{what} are empty")
      _each_once(what, values)
    checks.at_least("num_samples", min(self.num_samples), 1)
    checks.positive("temperature", min(self.temperatures))

  def _check_ppo(self) -> None:
    for what in ("ppo_pairs", "kl_coefficients"):
      if getattr(self, what) and "ppo" not in self.methods:
        raise ValueError(f"{what} are given, but methods lack 'ppo'")
    _each_once("ppo_pairs", self.ppo_pairs or ())
    for source, target in self.ppo_pairs or ():
      checks.one_of("ppo_pairs: target", target, self.targets)
      checks.one_of("ppo_pairs: source", source, self.rewards_of(target))

  @property
  def languages(self) -> tuple[str, ...]:
    """The languages that have an SFT model and a reward model."""
    return tuple(dict.fromkeys((*self.sources, *self.targets)))

  def rewards_of(self, target: str) -> tuple[str, ...]:
    """The languages of the reward models that a target meets."""
    return tuple(dict.fromkeys((*self.sources, target)))

  @property
  def pairs(self) -> tuple[tuple[str, str], ...]:
    """The (source, target) of PPO."""
    if "ppo" not in self.methods:
      return ()
    if self.ppo_pairs is not None:
      return tuple((source, target) for source, target in self.ppo_pairs)
    return tuple((s, t) for t in self.targets for s in self.rewards_of(t))

  def axis(self, name: str) -> tuple[Any, ...]:
    """The values of an axis; None alone where the job's own holds."""
    return tuple(getattr(self, name)) or (None,)
