"""Cells that train, draw or score: one gin job each, and what it needs."""

from typing import Any

from xlrm.studies import study as study_lib
from xlrm.studies import study_cell

UNTRAINED = "untrained head"  # the baseline of every diagnosis


def sft(
  study: study_lib.Study, seed: int, language: str
) -> study_cell.StudyCell:
  """The cell of a language's SFT model."""
  axes = {"seeds": seed}
  name = study_cell.name_of(study, "sft", axes, language=language)
  settings = {
    "MIXTURE_OR_TASK_NAME": study.sft_task.format(language=language),
    "MODEL_DIR": study_cell.Folder(name),
    "INITIAL_CHECKPOINT_PATH": study.base,
    # Dropout, a fresh head, and the order of the examples.
    "TrainConfig.seed": seed,
    "SeqioSource.seed": seed,
  }
  title = f"SFT {language}{study_cell.told(study, axes)}"
  return study_cell.make(study, "sft", name, title, settings)


def reward(
  study: study_lib.Study, seed: int, language: str
) -> study_cell.StudyCell:
  """The cell of a language's reward model, which starts from its SFT model."""
  axes = {"seeds": seed}
  name = study_cell.name_of(study, "reward", axes, language=language)
  start = sft(study, seed, language).name
  settings = {
    "MIXTURE_OR_TASK_NAME": study.reward_task.format(language=language),
    "MODEL_DIR": study_cell.Folder(name),
    "INITIAL_CHECKPOINT_PATH": study_cell.Folder(start),
    "TrainConfig.seed": seed,
    "SeqioSource.seed": seed,
  }
  title = f"reward model {language}{study_cell.told(study, axes)}"
  return study_cell.make(study, "reward", name, title, settings, [start])


def _sampled(study: study_lib.Study, seed: int, target: str) -> dict[str, Any]:
  """What best-of-n and the outputs of PPO have in common."""
  rewards = {x: reward(study, seed, x).name for x in study.rewards_of(target)}
  return {
    "MIXTURE_OR_TASK_NAME": _prompts(study, target),
    "REWARDS": {x: study_cell.Folder(name) for x, name in rewards.items()},
    "MAX_PROMPTS": study.max_prompts,
  }


def _prompts(study: study_lib.Study, target: str) -> str:
  return (study.prompt_task or study.sft_task).format(language=target)


def _studied(study: study_lib.Study, job: str) -> dict[str, str]:
  return {} if study.name is None else {f"{job}.study": study.name}


def best_of_n(
  study: study_lib.Study,
  seed: int,
  temperature: float,
  num_samples: int,
  target: str,
) -> study_cell.StudyCell:
  """The cell of best-of-n of a target's policy, by all its reward models."""
  axes = {
    "seeds": seed,
    "temperatures": temperature,
    "num_samples": num_samples,
  }
  name = study_cell.name_of(study, "best_of_n", axes, target=target)
  policy = sft(study, seed, target).name
  settings = {
    **_sampled(study, seed, target),
    "MODEL_DIR": study_cell.Folder(name),
    "POLICY": study_cell.Folder(policy),
    "NUM_SAMPLES": num_samples,
    "TEMPERATURE": temperature,
    "BestOfNConfig.seed": seed,
    **_studied(study, "best_of_n.run"),
  }
  needs = [policy, *map(str, settings["REWARDS"].values())]
  title = f"best-of-n {target}{study_cell.told(study, axes)}"
  return study_cell.make(study, "best_of_n", name, title, settings, needs)


def ppo(
  study: study_lib.Study,
  seed: int,
  temperature: float,
  kl_coefficient: float | None,
  source: str,
  target: str,
) -> study_cell.StudyCell:
  """The cell of PPO of a target's policy against a source's reward model."""
  axes = {
    "seeds": seed,
    "temperatures": temperature,
    "kl_coefficients": kl_coefficient,
  }
  name = study_cell.name_of(study, "ppo", axes, source=source, target=target)
  policy = sft(study, seed, target).name
  judge = reward(study, seed, source).name
  settings = {
    "MIXTURE_OR_TASK_NAME": _prompts(study, target),
    "MODEL_DIR": study_cell.Folder(name),
    "POLICY": study_cell.Folder(policy),
    "REWARD": study_cell.Folder(judge),
    "TEMPERATURE": temperature,
    "RolloutConfig.seed": seed,
  }
  needs = [policy, judge]
  if kl_coefficient is not None:
    settings["KL_COEFFICIENT"] = kl_coefficient
  others = [x for x in study.rewards_of(target) if x != source]
  if others:  # one that PPO does not optimise watches it
    heldout = reward(study, seed, others[0]).name
    settings["PPOModels.heldout"] = study_cell.Folder(heldout)
    needs.append(heldout)
  title = f"PPO {source} -> {target}{study_cell.told(study, axes)}"
  return study_cell.make(study, "ppo", name, title, settings, needs)


def outputs(
  study: study_lib.Study,
  policy: study_cell.StudyCell,
  seed: int,
  temperature: float,
  pair: tuple[str, str],
) -> study_cell.StudyCell:
  """The cell of one output per prompt of a policy after PPO, scored."""
  name = f"{policy.name}_outputs"
  source, target = pair
  settings = {
    **_sampled(study, seed, target),
    "MODEL_DIR": study_cell.Folder(name),
    "POLICY": study_cell.Folder(policy.name),
    "SOURCE": source,
    "TEMPERATURE": temperature,
    "OutputsConfig.seed": seed,
    **_studied(study, "outputs.run"),
  }
  needs = [policy.name, *map(str, settings["REWARDS"].values())]
  title = f"outputs after {policy.title}"
  return study_cell.make(study, "outputs", name, title, settings, needs)


def diagnosis(study: study_lib.Study, seed: int) -> study_cell.StudyCell:
  """The cell of what one seed's reward models know of every language."""
  axes = {"seeds": seed}
  name = study_cell.name_of(study, "diagnosis", axes)
  models = {
    x: study_cell.Folder(reward(study, seed, x).name) for x in study.languages
  }
  settings = {
    "MODEL_DIR": study_cell.Folder(name),
    "REWARDS": {UNTRAINED: study.base, **models},
    "LANGUAGES": study.languages,
    "TASK_PATTERN": study.reward_task,
    "TOKENIZER_OF": study.base,
    "diagnose.run.seed": seed,
  }
  title = f"diagnosis{study_cell.told(study, axes)}"
  needs = map(str, models.values())
  return study_cell.make(study, "diagnosis", name, title, settings, needs)
