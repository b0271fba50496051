"""`xlrm demo`: the whole experiment on the embedded world, in one process.

Sources en and de, targets es and ru: an SFT model and a reward model for each
of the four, best-of-16 for the four cross-lingual and the two monolingual
pairs, PPO for one of them, judged by the gold judge and by the target-language
reward model. Every stage is a gin job that `xlrm run` would run too; a stage
that is complete is not run again, so a killed demo continues.
"""

import argparse
from collections.abc import Iterator, Sequence
import dataclasses
import pathlib
import time
from typing import Any

from xlrm import config

SOURCES = ("en", "de")
TARGETS = ("es", "ru")
LANGUAGES = (*SOURCES, *TARGETS)
PPO_PAIR = ("en", "es")  # source of the reward model, target


@dataclasses.dataclass(frozen=True)
class DemoConfig:
  """What `xlrm demo` runs.

  Attributes:
    output: folder of everything that it writes.
    seed: of training and sampling.
    prompts: prompts per target language.
    num_samples: n of best-of-n.
    temperature: of sampling.
  """

  output: str = "xlrm_demo"
  seed: int = 0
  prompts: int = 400
  num_samples: int = 16
  temperature: float = 1.0

  def __post_init__(self):
    if self.prompts < 1 or self.num_samples < 1:
      raise ValueError(
        f"prompts {self.prompts} and num_samples {self.num_samples} must be "
        "at least 1"
      )


@dataclasses.dataclass(frozen=True)
class Stage:
  """One gin job of the demo."""

  title: str
  gin_file: str
  macros: dict[str, Any]
  bindings: tuple[str, ...] = ()

  def run(self) -> Any:
    macros = [f"{name} = {value!r}" for name, value in self.macros.items()]
    return config.load([self.gin_file], [*macros, *self.bindings]).run()


def training_stages(demo: DemoConfig) -> Iterator[Stage]:
  """SFT and reward model of every language."""
  folder = pathlib.Path(demo.output)
  # Dropout, the fresh head, and the order of the examples.
  seed = tuple(
    f"{name}.seed = {demo.seed}" for name in ("TrainConfig", "SeqioSource")
  )
  for language in LANGUAGES:
    macros = {
      "MIXTURE_OR_TASK_NAME": f"miniworld_summary.{language}",
      "MODEL_DIR": str(folder / f"sft_{language}"),
    }
    yield Stage(f"SFT {language}", "demo_sft.gin", macros, seed)
  for language in LANGUAGES:
    macros = {
      "MIXTURE_OR_TASK_NAME": f"miniworld_rating.{language}",
      "MODEL_DIR": str(folder / f"rm_{language}"),
      "INITIAL_CHECKPOINT_PATH": str(folder / f"sft_{language}"),
    }
    yield Stage(f"reward model {language}", "demo_reward.gin", macros, seed)


def evaluation_stages(demo: DemoConfig) -> Iterator[Stage]:
  """Best-of-n per target, the diagnosis of the reward models, the report."""
  folder = pathlib.Path(demo.output)
  rewards = {x: str(folder / f"rm_{x}") for x in LANGUAGES}
  for target in TARGETS:
    macros = {
      "MIXTURE_OR_TASK_NAME": f"miniworld_summary.{target}",
      "MODEL_DIR": str(folder / f"best_of_n_{target}"),
      "POLICY": str(folder / f"sft_{target}"),
      "REWARDS": {x: rewards[x] for x in (*SOURCES, target)},
      "MAX_PROMPTS": demo.prompts,
      "NUM_SAMPLES": demo.num_samples,
      "TEMPERATURE": demo.temperature,
    }
    bindings = (f"BestOfNConfig.seed = {demo.seed}",)
    yield Stage(f"best-of-n {target}", "best_of_n.gin", macros, bindings)
  yield from ppo_stages(demo, rewards)
  yield Stage(
    "diagnosis",
    "diagnose.gin",
    {
      "MODEL_DIR": str(folder / "diagnosis"),
      "REWARDS": {"untrained head": "nano", **rewards},
      "LANGUAGES": LANGUAGES,
    },
    (f"diagnose.run.seed = {demo.seed}",),
  )
  yield Stage(
    "report",
    "evaluate.gin",
    {
      "MODEL_DIR": str(folder),
      "RUNS": [
        *(str(folder / f"best_of_n_{x}") for x in TARGETS),
        str(folder / f"ppo_{PPO_PAIR[1]}_outputs"),
      ],
      "DIAGNOSIS": str(folder / "diagnosis"),
      "TRAINING": {
        f"{kind} {x}": str(folder / f"{prefix}_{x}")
        for kind, prefix in (("SFT", "sft"), ("reward model", "rm"))
        for x in LANGUAGES
      }
      | {
        "PPO {} \u2192 {}".format(*PPO_PAIR): str(folder / f"ppo_{PPO_PAIR[1]}")
      },
      "TITLE": "xlrm demo: do reward models cross languages?",
    },
  )


def ppo_stages(demo: DemoConfig, rewards: dict[str, str]) -> Iterator[Stage]:
  """PPO of one pair of languages, and what the policy says after it."""
  folder = pathlib.Path(demo.output)
  source, target = PPO_PAIR
  watching = next(x for x in SOURCES if x != source)
  policy = str(folder / f"ppo_{target}")
  task = f"miniworld_summary.{target}"
  yield Stage(
    f"PPO {source} -> {target}",
    "demo_ppo.gin",
    {
      "MIXTURE_OR_TASK_NAME": task,
      "MODEL_DIR": policy,
      "POLICY": str(folder / f"sft_{target}"),
      "REWARD": rewards[source],
      "VALUE": rewards[source],
      "TEMPERATURE": demo.temperature,
    },
    (
      f"RolloutConfig.seed = {demo.seed}",
      f"ppo.train.heldout = {rewards[watching]!r}",
    ),
  )
  yield Stage(
    f"outputs after PPO {source} -> {target}",
    "outputs.gin",
    {
      "MIXTURE_OR_TASK_NAME": task,
      "MODEL_DIR": f"{policy}_outputs",
      "POLICY": policy,
      "REWARDS": {x: rewards[x] for x in (*SOURCES, target)},
      "SOURCE": source,
      "MAX_PROMPTS": demo.prompts,
      "TEMPERATURE": demo.temperature,
    },
    (f"OutputsConfig.seed = {demo.seed}",),
  )


def run(demo: DemoConfig) -> pathlib.Path:
  """Runs every stage; returns the path of the report."""
  started = time.monotonic()
  stages = [*training_stages(demo), *evaluation_stages(demo)]
  for number, stage in enumerate(stages, 1):
    print(f"[{number}/{len(stages)}] {stage.title}", flush=True)
    stage.run()
  report = pathlib.Path(demo.output) / "report.html"
  minutes = (time.monotonic() - started) / 60
  print(f"{minutes:.1f} minutes. Open {report} in a browser.")
  return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
  for field in dataclasses.fields(DemoConfig):
    parser.add_argument(
      f"--{field.name}",
      type=field.type,
      default=field.default,
      help=f"default {field.default}",
    )


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> int:
  run(DemoConfig(**vars(options)))
  return 0
