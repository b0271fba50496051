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
from xlrm.miniworld import gold
from xlrm.ppo import ppo_models
from xlrm.ppo import reward_scale
from xlrm.ppo import rollouts
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.storage import files
from xlrm.storage import row_files
from xlrm.training import metric_writer
from xlrm.training import train_loop

EVENTS = "events.jsonl"
SAMPLES = "samples.jsonl"
PANEL = "ppo_panel.png"
SCORE_BATCH_SIZE = 32  # responses scored together, at least


@dataclasses.dataclass(eq=False)
class Evaluator:
  """One sample per prompt, judged and shown.

  Attributes:
    models: of the run, judges on the mesh.
    config: how many are drawn and shown.
    sampler: how a token is drawn, as in rollouts.
    max_input_length: tokens of a prompt.
    mesh: of the run.
    model_dir: where it writes.
    panel: thresholds of the signs of reward hacking.
    validation: rows of the prompts that are answered at every evaluation.
    scale: of the reward model's scores.
    loop: whose TensorBoard shows samples; None before the training.
  """

  models: ppo_models.Models
  config: rollouts.RolloutConfig
  sampler: sampling_config.SamplingConfig
  max_input_length: int
  mesh: jax.sharding.Mesh
  model_dir: pathlib.Path
  panel: hacking_panel.PanelConfig
  validation: Sequence[Mapping[str, Any]]
  scale: reward_scale.RewardScale = reward_scale.RewardScale()
  loop: train_loop.Loop | None = None

  def __post_init__(self):
    self.told: set[str] = set()  # signs of reward hacking that were printed

  @functools.cached_property
  def _generator(self) -> text_generation.Generator:
    own = row_shards.own_mesh(self.mesh)
    batch_size = max(self.config.batch_size, self.mesh.shape["data"])
    return text_generation.Generator(
      model=self.models.policy.model,
      tokenizer=self.models.policy.tokenizer,
      config=self.sampler,
      max_input_length=self.max_input_length,
      batch_size=row_shards.batch_size(batch_size, own),
      num_samples=1,
      seed=self.config.seed,
      mesh=own,
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

  def evaluate(self, params: types.Params, step: int) -> dict[str, float]:
    """Scores of one sample per validation prompt, by every judge there is."""
    rows = self.validation
    if not rows:
      return {}
    texts = self.sampled(params, rows)
    scores = self.scored(self.models.reward, rows, texts)
    scaled = self.scale.gain * scores + self.scale.bias
    metrics = {"validation/scores": float(scaled.mean())}
    if self.models.heldout is not None:
      found = self.scored(self.models.heldout, rows, texts)
      metrics["validation/heldout"] = float(np.mean(found))
    if self.config.gold:
      found = [
        gold.judge_example(row["id"], text).quality
        for row, text in zip(rows, texts)
      ]
      metrics["validation/gold"] = float(np.mean(found))
    self._show(step, rows, texts)
    self.draw_panel()
    return metrics

  def _show(self, step: int, rows, texts) -> None:
    """The same few prompts at every evaluation, to be read."""
    if not processes.is_first():
      return
    path = self.model_dir / SAMPLES
    kept = []
    if path.exists():
      kept = [x for _, x in row_files.read(path) if x["step"] < step]
    for row, text in list(zip(rows, texts))[: self.config.num_shown]:
      shown = {"step": step, "id": row["id"], "prompt": row["reward_inputs"]}
      kept.append({**shown, "response": text})
      if self.loop is not None:
        self.loop.writer.write_text(step, f"samples/{row['id']}", text)
    row_files.write(path, (json.dumps(x, ensure_ascii=False) for x in kept))

  def draw_panel(self) -> None:
    """Events of the rows so far, and the figure if matplotlib is there."""
    if not processes.is_first():
      return
    history = metric_writer.read(self.model_dir / metric_writer.METRICS)
    events = hacking_panel.events(history, self.panel)
    row_files.write(
      self.model_dir / EVENTS,
      (json.dumps(dataclasses.asdict(x)) for x in events),
    )
    for event in events:
      if event.sign not in self.told:
        print(
          f"ppo: step {event.step}: {event.sign} {event.value:.4g} crossed "
          f"{event.threshold:.4g}: {event.meaning}",
          flush=True,
        )
    self.told |= {event.sign for event in events}
    if not any(hacking_panel.PROXY in row for row in history):
      return
    try:
      picture = ppo_panel.picture(history, events)
    except ImportError:
      return  # a host without matplotlib; the rows are in metrics.jsonl
    files.write_bytes(self.model_dir / PANEL, picture)
