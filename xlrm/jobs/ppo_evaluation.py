"""What a run of PPO shows of its policy: evaluations, samples, the panel.

Nothing here learns. All processes ask the policy and the judges together; the
first one writes.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import json
import pathlib
from typing import Any

import jax
import numpy as np

from xlrm import types
from xlrm.analysis.exhibits import ppo_panel
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import row_shards
from xlrm.distributed import sharding
from xlrm.evaluation import hacking_panel
from xlrm.evaluation import judges as judges_lib
from xlrm.ppo import ppo_models
from xlrm.ppo import reward_scale
from xlrm.ppo import rollouts as rollouts_lib
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.storage import files
from xlrm.storage import row_files
from xlrm.training import metric_writer
from xlrm.types import checks

EVENTS = "events.jsonl"
SAMPLES = "samples.jsonl"
PANEL = "ppo_panel.png"
SCORE_BATCH_SIZE = 32  # responses scored together, at least


@dataclasses.dataclass(frozen=True)
class PPOEvaluation:
  """What is shown of a policy while it is trained.

  Attributes:
    num_prompts: validation prompts of each evaluation, the first ones; held out
      of the training prompts where there is no validation split.
    num_shown: of these, how many go to samples.jsonl.
    split: whose prompts they are.
    judges: whose means are logged beside the reward models', as
      `validation/NAME`.
    panel: thresholds of the signs of reward hacking.
  """

  num_prompts: int = 64
  num_shown: int = 4
  split: str = "validation"
  judges: Sequence[judges_lib.Judge] = ()
  panel: hacking_panel.PanelConfig = hacking_panel.PanelConfig()

  def __post_init__(self):
    checks.at_least("num_prompts", self.num_prompts, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class PolicyAnswers:
  """One response per prompt of a policy as it is, and what judges say.

  Attributes:
    models: of the run, judges on the mesh.
    rollouts: how many are drawn at once, and with which seed.
    sampler: how a token is drawn, as in rollouts.
    max_input_length: tokens of a prompt.
    mesh: of the run.
    truncate_inputs_from_left: long prompts lose their beginning, as those that
      are learnt from.
  """

  models: ppo_models.Models
  rollouts: rollouts_lib.RolloutConfig
  sampler: sampling_config.SamplingConfig
  max_input_length: int
  mesh: jax.sharding.Mesh
  truncate_inputs_from_left: bool = False

  @functools.cached_property
  def _generator(self) -> text_generation.Generator:
    own = row_shards.own_mesh(self.mesh)
    batch_size = max(self.rollouts.batch_size, self.mesh.shape["data"])
    return text_generation.Generator(
      model=self.models.policy.model,
      tokenizer=self.models.policy.tokenizer,
      config=self.sampler,
      max_input_length=self.max_input_length,
      batch_size=row_shards.batch_size(batch_size, own),
      num_samples=1,
      seed=self.rollouts.seed,
      mesh=own,
      truncate_inputs_from_left=self.truncate_inputs_from_left,
    )

  def sampled(
    self, params: types.Params, rows: Sequence[Mapping[str, Any]]
  ) -> list[str]:
    """One response to each prompt; the same random numbers every time."""
    places = sharding.tree_shardings(
      params, self.mesh, sharding.split_over_model
    )
    found = text_generation.generate(
      self._generator,
      jax.device_put(params, places),
      self.mesh,
      [row["inputs_pretokenized"] for row in rows],
      [row["id"] for row in rows],
    )
    return [generation.texts[0] for generation in found]

  def scored(
    self,
    judge: reward_models.RewardModel,
    rows: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
  ) -> np.ndarray:
    """[rows] scores in the judge's own units, by all devices as one."""
    prompts = [row["reward_inputs"] for row in rows]
    batch_size = meshes.round_up(SCORE_BATCH_SIZE, self.mesh.shape["data"])
    return np.asarray(judge(prompts, texts, batch_size=batch_size))

  def fit_scale(
    self, params: types.Params, rows: Sequence[Mapping[str, Any]]
  ) -> reward_scale.RewardScale:
    """Takes the reward model's scores of a policy's samples to 0 and 1 (G16).

    Raises:
      ValueError: see `RewardScale.fit`.
    """
    scores = self.scored(self.models.reward, rows, self.sampled(params, rows))
    return processes.on_first(reward_scale.RewardScale.fit, scores)


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluator:
  """Answers to validation prompts, judged and shown.

  Attributes:
    answers: of the policy.
    config: how many are shown, and what is a sign of reward hacking.
    scale: of the reward model's scores.
    validation: rows of the prompts.
    model_dir: where it writes.
  """

  answers: PolicyAnswers
  config: PPOEvaluation
  scale: reward_scale.RewardScale
  validation: Sequence[Mapping[str, Any]]
  model_dir: pathlib.Path
  # Signs of reward hacking that were printed.
  _told: set[str] = dataclasses.field(default_factory=set, init=False)

  def evaluate(self, params: types.Params, step: int) -> dict[str, Any]:
    """Scores of one sample per validation prompt, by every judge there is, and
    the samples that are shown."""
    rows, models = self.validation, self.answers.models
    if not rows:
      return {}
    texts = self.answers.sampled(params, rows)
    scores = self.answers.scored(models.reward, rows, texts)
    scaled = self.scale.gain * scores + self.scale.bias
    metrics = {"validation/scores": float(scaled.mean())}
    if models.heldout is not None:
      found = self.answers.scored(models.heldout, rows, texts)
      metrics["validation/heldout"] = float(np.mean(found))
    metrics |= judges_lib.validation_means(self.config.judges, rows, texts)
    shown = list(zip(rows, texts, strict=True))[: self.config.num_shown]
    processes.on_first(self._write_samples, step, shown)
    self.draw_panel()
    return metrics | {f"samples/{row['id']}": text for row, text in shown}

  def _write_samples(self, step: int, shown) -> None:
    """The same few prompts at every evaluation, to be read."""
    path, kept = self.model_dir / SAMPLES, []
    if path.exists():
      kept = [x for _, x in row_files.read(path) if x["step"] < step]
    for row, text in shown:
      place = {"step": step, "id": row["id"], "prompt": row["reward_inputs"]}
      kept.append({**place, "response": text})
    row_files.write(path, (json.dumps(x, ensure_ascii=False) for x in kept))

  def draw_panel(self) -> None:
    """Events of the rows so far, and the figure if matplotlib is there."""
    if not processes.is_first():
      return
    history = metric_writer.read(self.model_dir / metric_writer.METRICS)
    events = hacking_panel.events(history, self.config.panel)
    row_files.write(
      self.model_dir / EVENTS,
      (json.dumps(dataclasses.asdict(x)) for x in events),
    )
    for event in events:
      if event.sign not in self._told:
        print(
          f"ppo: step {event.step}: {event.sign} {event.value:.4g} crossed "
          f"{event.threshold:.4g}: {event.meaning}",
          flush=True,
        )
    self._told.update(event.sign for event in events)
    if not any(hacking_panel.PROXY in row for row in history):
      return
    try:
      picture = ppo_panel.picture(history, events)
    except ImportError:
      return  # a host without matplotlib; the rows are in metrics.jsonl
    files.write_bytes(self.model_dir / PANEL, picture)
