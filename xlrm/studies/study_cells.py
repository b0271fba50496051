"""The cells of a study, in order.

Whatever a cell needs stands before it. Nothing here reads, writes or runs
anything.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import itertools
from typing import Any

from xlrm.studies import study as study_lib
from xlrm.studies import study_cell

Study = study_lib.Study
Cell = study_cell.Cell
Folder = study_cell.Folder
UNTRAINED = "untrained head"  # the baseline of every diagnosis
VERDICTS = "verdicts.jsonl"
SWEPT = ("temperatures", "num_samples", "kl_coefficients")  # all but the seeds


def _sft(study: Study, seed: int, language: str) -> Cell:
  axes = {"seeds": seed}
  name = study_cell.name_of(study, "sft", axes, language=language)
  settings = {
    "MIXTURE_OR_TASK_NAME": study.sft_task.format(language=language),
    "MODEL_DIR": Folder(name),
    "INITIAL_CHECKPOINT_PATH": study.base,
    # Dropout, a fresh head, and the order of the examples.
    "TrainConfig.seed": seed,
    "SeqioSource.seed": seed,
  }
  title = f"SFT {language}{study_cell.told(study, axes)}"
  return study_cell.make(study, "sft", name, title, settings)


def _reward(study: Study, seed: int, language: str) -> Cell:
  axes = {"seeds": seed}
  name = study_cell.name_of(study, "reward", axes, language=language)
  start = _sft(study, seed, language).name
  settings = {
    "MIXTURE_OR_TASK_NAME": study.reward_task.format(language=language),
    "MODEL_DIR": Folder(name),
    "INITIAL_CHECKPOINT_PATH": Folder(start),
    "TrainConfig.seed": seed,
    "SeqioSource.seed": seed,
  }
  title = f"reward model {language}{study_cell.told(study, axes)}"
  return study_cell.make(study, "reward", name, title, settings, [start])


def _sampled(study: Study, seed: int, target: str) -> dict[str, Any]:
  """What best-of-n and the outputs of PPO have in common."""
  rewards = {x: _reward(study, seed, x).name for x in study.rewards_of(target)}
  return {
    "MIXTURE_OR_TASK_NAME": _prompts(study, target),
    "REWARDS": {x: Folder(name) for x, name in rewards.items()},
    "MAX_PROMPTS": study.max_prompts,
  }


def _prompts(study: Study, target: str) -> str:
  return (study.prompt_task or study.sft_task).format(language=target)


def _studied(study: Study, job: str) -> dict[str, str]:
  return {} if study.name is None else {f"{job}.study": study.name}


def _best_of_n(study, seed, temperature, num_samples, target) -> Cell:
  axes = {
    "seeds": seed,
    "temperatures": temperature,
    "num_samples": num_samples,
  }
  name = study_cell.name_of(study, "best_of_n", axes, target=target)
  policy = _sft(study, seed, target).name
  settings = {
    **_sampled(study, seed, target),
    "MODEL_DIR": Folder(name),
    "POLICY": Folder(policy),
    "NUM_SAMPLES": num_samples,
    "TEMPERATURE": temperature,
    "BestOfNConfig.seed": seed,
    **_studied(study, "best_of_n.run"),
  }
  needs = [policy, *map(str, settings["REWARDS"].values())]
  title = f"best-of-n {target}{study_cell.told(study, axes)}"
  return study_cell.make(study, "best_of_n", name, title, settings, needs)


def _ppo(study, seed, temperature, kl_coefficient, source, target) -> Cell:
  axes = {
    "seeds": seed,
    "temperatures": temperature,
    "kl_coefficients": kl_coefficient,
  }
  name = study_cell.name_of(study, "ppo", axes, source=source, target=target)
  policy = _sft(study, seed, target).name
  reward = _reward(study, seed, source).name
  settings = {
    "MIXTURE_OR_TASK_NAME": _prompts(study, target),
    "MODEL_DIR": Folder(name),
    "POLICY": Folder(policy),
    "REWARD": Folder(reward),
    "TEMPERATURE": temperature,
    "RolloutConfig.seed": seed,
  }
  needs = [policy, reward]
  if kl_coefficient is not None:
    settings["KL_COEFFICIENT"] = kl_coefficient
  others = [x for x in study.rewards_of(target) if x != source]
  if others:  # one that PPO does not optimise watches it
    heldout = _reward(study, seed, others[0]).name
    settings["ppo.train.heldout"] = Folder(heldout)
    needs.append(heldout)
  title = f"PPO {source} -> {target}{study_cell.told(study, axes)}"
  return study_cell.make(study, "ppo", name, title, settings, needs)


def _outputs(study: Study, policy: Cell, seed, temperature, pair) -> Cell:
  name = f"{policy.name}_outputs"
  source, target = pair
  settings = {
    **_sampled(study, seed, target),
    "MODEL_DIR": Folder(name),
    "POLICY": Folder(policy.name),
    "SOURCE": source,
    "TEMPERATURE": temperature,
    "OutputsConfig.seed": seed,
    **_studied(study, "outputs.run"),
  }
  needs = [policy.name, *map(str, settings["REWARDS"].values())]
  title = f"outputs after {policy.title}"
  return study_cell.make(study, "outputs", name, title, settings, needs)


def _diagnosis(study: Study, seed: int) -> Cell:
  axes = {"seeds": seed}
  name = study_cell.name_of(study, "diagnosis", axes)
  models = {x: Folder(_reward(study, seed, x).name) for x in study.languages}
  settings = {
    "MODEL_DIR": Folder(name),
    "REWARDS": {UNTRAINED: study.base, **models},
    "LANGUAGES": study.languages,
    "TASK_PATTERN": study.reward_task,
    "TOKENIZER_OF": study.base,
    "diagnose.run.seed": seed,
  }
  title = f"diagnosis{study_cell.told(study, axes)}"
  needs = map(str, models.values())
  return study_cell.make(study, "diagnosis", name, title, settings, needs)


def _of_seed(study: Study, seed: int) -> Iterator[Cell]:
  """Everything that is trained, drawn and scored with one seed."""
  for make in (_sft, _reward):
    for language in study.languages:
      yield make(study, seed, language)
  for t, n in itertools.product(study.temperatures, study.num_samples):
    for target in study.targets:
      yield _best_of_n(study, seed, t, n, target)
  kls = study.axis("kl_coefficients")
  for t, kl, pair in itertools.product(study.temperatures, kls, study.pairs):
    policy = _ppo(study, seed, t, kl, *pair)
    yield policy
    yield _outputs(study, policy, seed, t, pair)
  yield _diagnosis(study, seed)


def _drawn(study: Study, temperature, num_samples) -> list[str]:
  """Names of the cells of best-of-n, and of the baselines that they draw."""
  return [
    _best_of_n(study, seed, temperature, num_samples, target).name
    for seed in study.seeds
    for target in study.targets
  ]


def _runs(study: Study, temperature, num_samples, kl) -> list[str]:
  """Names of the cells whose records are compared with each other."""
  return _drawn(study, temperature, num_samples) + [
    f"{_ppo(study, seed, temperature, kl, *pair).name}_outputs"
    for seed in study.seeds
    for pair in study.pairs
  ]


def _training(study: Study, temperature, kl) -> dict[str, str]:
  """Label -> name of a trained cell; the last word is the line in a figure."""
  found = {}
  for seed in study.seeds:
    told = study_cell.told(study, {"seeds": seed})
    for kind, make in (("SFT", _sft), ("reward model", _reward)):
      for language in study.languages:
        label = f"{kind}{told} {language}"
        found[label] = make(study, seed, language).name
    for source, target in study.pairs:
      cell = _ppo(study, seed, temperature, kl, source, target)
      found[f"PPO{told} {source} \u2192 {target}"] = cell.name
  return found


def _point(study: Study, temperature, num_samples, kl) -> dict[str, Any]:
  """Axis, as folders call it -> value, of the axes with several."""
  values = (temperature, num_samples, kl)
  return {
    study_lib.AXES[axis]: value
    for axis, value in zip(SWEPT, values, strict=True)
    if len(study.axis(axis)) > 1
  }


def _report(
  study: Study,
  temperature,
  num_samples,
  kl,
  judges: Sequence[Cell],
  others: Sequence[Sequence[Any]] = (),
) -> Cell:
  """One per point of the swept values, over all seeds.

  Args:
    judges: cells of prompted judges of this point.
    others: [folder, values] of the reports of other points.
  """
  point = (temperature, num_samples, kl)
  axes = dict(zip(SWEPT, point, strict=True))
  suffix = study_cell.suffix(study, axes)
  name = f"report{suffix}"
  runs = _runs(study, *point)
  training = _training(study, temperature, kl)
  diagnosis = _diagnosis(study, study.seeds[0]).name
  own = Folder(name if suffix else "")
  settings = {
    "MODEL_DIR": own,
    "RUNS": [Folder(x) for x in runs],
    "DIAGNOSIS": Folder(diagnosis),
    "TRAINING": {label: Folder(x) for label, x in training.items()},
    "VERDICTS": [
      *(() if suffix else study.verdicts),
      *(Folder(x.name) for x in judges),
    ],
  }
  if study.name is None:
    settings["evaluate.run.study_folder"] = Folder("")
  if others:
    settings["evaluate.run.swept"] = [[own, _point(study, *point)], *others]
  if len(study.seeds) > 1:
    settings["evaluate.run.notes"] = (
      f"Everything was trained and drawn with {len(study.seeds)} seeds; the "
      f"accuracy of reward models is that of seed {study.seeds[0]}.",
    )
  needs = [*runs, diagnosis, *training.values()]
  cell = study_cell.make(
    study,
    "report",
    name,
    f"report{study_cell.told(study, axes)}",
    settings,
    needs,
  )
  wants = (*(x.name for x in judges), *(str(folder) for folder, _ in others))
  return dataclasses.replace(cell, wants=wants)


def _judges(study: Study, temperature, num_samples, kl) -> Iterator[Cell]:
  """Those of best-of-n are the same for every beta."""
  for (judge, own), method in itertools.product(
    study.judges.items(), study.methods
  ):
    axes = {"temperatures": temperature, "num_samples": num_samples}
    runs = _drawn(study, temperature, num_samples)
    if method == "ppo":
      axes["kl_coefficients"] = kl
      runs = _runs(study, temperature, num_samples, kl)
    name = study_cell.name_of(study, "judge", axes, judge=judge, method=method)
    settings = {
      **own,
      "RECORDS": [Folder(x) / "records.jsonl" for x in runs],
      "OUTPUT": Folder(name) / VERDICTS,
      "METHOD": method,
    }
    title = f"judge {judge} of {method}{study_cell.told(study, axes)}"
    yield study_cell.make(study, "judge", name, title, settings, runs)


def _reports(study: Study) -> Iterator[Cell]:
  """Prompted judges and reports; that of the first values comes last, for it
  shows what became of the others."""
  first, *rest = itertools.product(*map(study.axis, SWEPT))
  asked, others = [], []
  for point in (*rest, first):
    judges = list(_judges(study, *point))
    new = [cell for cell in judges if cell not in asked]
    yield from new
    asked += new
    taken = others if point == first else ()
    report = _report(study, *point, judges, taken)
    others.append([Folder(report.name), _point(study, *point)])
    yield report


def cells(study: Study) -> list[Cell]:
  """Every cell, after the cells that it needs.

  Raises:
    ValueError: two cells share a folder, or settings contradict the study.
  """
  found = [cell for seed in study.seeds for cell in _of_seed(study, seed)]
  found += _reports(study)
  taken: dict[str, Cell] = {}
  for cell in found:
    if cell.name in taken:
      raise ValueError(
        f"{taken[cell.name].title} and {cell.title} would share the folder "
        f"{cell.name!r}; give folders[{cell.kind!r}] a place for what differs"
      )
    taken[cell.name] = cell
  return found
