"""Job: proximal policy optimisation against a reward model of any language.

A step draws responses to a batch of prompts from the current policy, has them
judged, and updates the value model and the policy. The story of a run is that
of the one training loop: killed anywhere, the same command ends with the same
bytes.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
import optax

from xlrm.batches import batch_sources
from xlrm.batches import prompt_batches
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import model_description
from xlrm.checkpoints import run_checkpoints
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.jobs import job
from xlrm.jobs import ppo_evaluation
from xlrm.models import lora as lora_lib
from xlrm.ppo import objective as objective_lib
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_checks
from xlrm.ppo import ppo_memory
from xlrm.ppo import ppo_models
from xlrm.ppo import ppo_states
from xlrm.ppo import ppo_trainer
from xlrm.ppo import reward_scale
from xlrm.ppo import rollouts as rollouts_lib
from xlrm.sampling import sampling_config
from xlrm.sampling import text_sampler
from xlrm.storage import files
from xlrm.training import fit
from xlrm.training import train_loop


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PPO:
  """Optimisation of a policy against a reward model.

  Attributes:
    source: prompts: a task or a `PromptFile`.
    models: which take part.
    model_dir: folder of everything that the job writes.
    optimizer: of the policy.
    value_optimizer: of the value model; None is the policy's.
    config: how many steps (rollouts), how often to evaluate, what is best.
    objective: what is optimised.
    rollouts: how responses are drawn and judged.
    evaluation: what is shown of the policy meanwhile.
    lora: train low-rank adapters of policy and value model only, over one
      frozen base; None trains all weights.
    lengths: tokens of prompt and response; None is what the policy was trained
      on.
    history: what later reports say of this stage.
    mesh: how devices are arranged.
  """

  source: batch_sources.BatchSource
  models: ppo_models.PPOModels
  model_dir: str
  optimizer: optax.GradientTransformation
  value_optimizer: optax.GradientTransformation | None = None
  config: fit.TrainConfig
  objective: objective_lib.PPOConfig = objective_lib.PPOConfig()
  rollouts: rollouts_lib.RolloutConfig = rollouts_lib.RolloutConfig()
  evaluation: ppo_evaluation.PPOEvaluation = ppo_evaluation.PPOEvaluation()
  lora: lora_lib.LoraConfig | None = None
  lengths: Mapping[str, int] | None = None
  history: str = "PPO"
  mesh: meshes.MeshConfig = meshes.MeshConfig()

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """What would be drawn and learnt from, and what a step takes of a device.

    Raises:
      ValueError: see `run`.
    """
    opened, rollouts = self._open(), self.rollouts
    trainer = self._trainer(opened, reward_scale.RewardScale())
    rows = rollouts.num_prompts // self.objective.num_minibatches
    memory = ppo_memory.plan_of(trainer, rows, opened.lengths["inputs"])
    return job.JobPlan(
      f"PPO of {self.models.policy} by {self.models.rewards}: "
      f"{self.config.train_steps} steps of {rollouts.num_prompts} prompts x "
      f"{rollouts.num_samples} responses of at most "
      f"{opened.sampler.max_tokens} tokens; into {self.model_dir}\n"
      f"{opened.split.words}",
      {"a step": memory},
      device_memory.of_mesh(devices, opened.states.mesh),
    )

  def run(self) -> train_loop.FitResult:
    """Trains, or continues what stands in `model_dir`.

    Raises:
      ValueError: sizes that do not divide, a sampler that is not the policy, a
        model with another vocabulary, a reward model without any opinion.
      CheckpointError: `model_dir` holds another run, or is damaged.
    """
    opened, config = self._open(), self.config
    model_dir, states = files.local(self.model_dir), opened.states
    checkpointer = run_checkpoints.Checkpointer(
      model_dir, keep=config.keep_checkpoints
    )
    adapters = states.adapted and states.adapted.record()
    processes.on_first(ppo_adapters.check_continued, model_dir, adapters)
    data = opened.prompts.fingerprint()
    restored = fit.restore(checkpointer, states.abstract, data)
    answers = self._answers(opened)
    scale = self._scale(opened, answers, fresh=restored is None)
    trainer = self._trainer(opened, scale)
    if restored is None:
      state, memory = states.initial(scale), train_loop.HostState(data)
    else:
      state, memory = states.continued(restored[0]), restored[1]
    self._begin(opened, scale, adapters)
    print(f"ppo: {opened.split.words}", flush=True)
    if restored is not None:
      print(f"ppo: continues at step {int(state.step)}", flush=True)
    evaluator = ppo_evaluation.Evaluator(
      answers, self.evaluation, scale, opened.split.validation, model_dir
    )
    result = train_loop.Loop(
      source=opened.prompts,
      config=config,
      mesh=states.mesh,
      model_dir=model_dir,
      description="ppo",
      checkpointer=checkpointer,
      step_fn=trainer.step,
      validate=lambda params: {},
      evaluate=evaluator.evaluate,
      key=jax.random.key(self.rollouts.seed),
      memory=memory,
      place=lambda batch: batch,
      prefix="",
      describe=trainer.describe,
    ).run(state)
    evaluator.draw_panel()
    return result

  def _open(self) -> "_Opened":
    """Everything that is checked before anything is read or written."""
    rollouts, devices = self.rollouts, self.mesh.build()
    ppo_checks.check_objective(self.objective, rollouts)
    ppo_checks.check_minibatches(
      rollouts,
      self.objective,
      devices.shape["data"],
      self.config.num_microbatches,
    )
    models = ppo_models.load(self.models, self.objective, devices)
    lengths = self.lengths
    if lengths is None:
      lengths = text_sampler.lengths_of(models.policy.description)
    split = prompt_batches.split(
      self.source.examples(rollouts.split),
      self.source.examples(self.evaluation.split),
      self.evaluation.num_prompts,
      rollouts.seed,
    )
    adapted = self.lora and ppo_adapters.Adapted(
      self.lora, models, devices, rollouts.seed, self.models.reference is None
    )
    return _Opened(
      states=ppo_states.PPOStates(
        models,
        (self.optimizer, self.value_optimizer or self.optimizer),
        self.objective.kl_coefficient,
        devices,
        adapted,
      ),
      lengths=lengths,
      sampler=rollouts.sampler.of_at_most(lengths["targets"]),
      split=split,
      prompts=prompt_batches.PromptBatches(
        split.training,
        models.policy.tokenizer,
        lengths["inputs"],
        rollouts.num_prompts,
        rollouts.seed,
        self.source.truncate_inputs_from_left,
      ),
    )

  def _trainer(
    self, opened: "_Opened", scale: reward_scale.RewardScale
  ) -> ppo_trainer.Trainer:
    models, mesh = opened.states.models, opened.states.mesh
    return ppo_trainer.Trainer(
      states=opened.states,
      config=self.objective,
      rollouts=rollouts_lib.Rollouts(
        model=models.policy.model,
        tokenizer=models.policy.tokenizer,
        sampler=opened.sampler,
        num_samples=self.rollouts.num_samples,
        reward=models.reward,
        scale=scale,
        reference=models.reference.model,
        value=models.scorer,
        mesh=mesh,
      ),
      num_microbatches=self.config.num_microbatches,
      shares_reference=self.models.shares_reference,
      languages={row.get("language", "") for row in opened.split.validation},
      debug=self.rollouts.debug,
    )

  def _answers(self, opened: "_Opened") -> ppo_evaluation.PolicyAnswers:
    return ppo_evaluation.PolicyAnswers(
      opened.states.models,
      self.rollouts,
      opened.sampler,
      opened.lengths["inputs"],
      opened.states.mesh,
      self.source.truncate_inputs_from_left,
    )

  def _scale(
    self, opened: "_Opened", answers: ppo_evaluation.PolicyAnswers, fresh: bool
  ) -> reward_scale.RewardScale:
    """Fitted before step 0, and read again by a run that continues."""
    rollouts, states = self.rollouts, opened.states
    if not rollouts.fit_reward_scale:
      return reward_scale.RewardScale()
    if not fresh:
      scale = processes.on_first(reward_scale.RewardScale.read, self.model_dir)
      if scale is None:
        raise checkpoint_errors.CheckpointError(
          f"{self.model_dir} has checkpoints but no {reward_scale.FILE}, so "
          "its rewards cannot be continued; choose another MODEL_DIR"
        )
      return scale
    params = states.models.policy.lazy_params.on(
      states.mesh, sharding.split_over_model
    )
    rows = opened.prompts.rows[: rollouts.num_scale_samples]
    scale = answers.fit_scale(params, rows)
    print(
      f"ppo: scores of {scale.n} samples in the target language: mean "
      f"{scale.mean:.3f}, standard deviation {scale.std:.3f}; taken to 0 and 1",
      flush=True,
    )
    return scale

  def _begin(
    self,
    opened: "_Opened",
    scale: reward_scale.RewardScale,
    adapters: Mapping[str, Any] | None,
  ) -> None:
    """What stands in `model_dir` beside checkpoints and metrics."""
    policy = opened.states.models.policy
    model_description.write(
      self.model_dir,
      dataclasses.replace(
        policy.description,
        max_input_length=opened.lengths["inputs"],
        max_response_length=opened.lengths["targets"],
        history=(*policy.description.history, self.history),
      ),
      policy.vocabulary,
    )
    processes.on_first(scale.write, self.model_dir)
    processes.on_first(ppo_adapters.write, self.model_dir, adapters)


@dataclasses.dataclass(frozen=True, eq=False)
class _Opened:
  """What planning and training begin with."""

  states: ppo_states.PPOStates
  lengths: Mapping[str, int]
  sampler: sampling_config.SamplingConfig
  split: prompt_batches.PromptSplit
  prompts: prompt_batches.PromptBatches
