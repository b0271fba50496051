"""Job: proximal policy optimisation against a reward model of any language.

A step draws responses to a batch of prompts from the current policy, has them
judged, and updates the value model and the policy. The story of a run is that
of the one training loop: killed anywhere, the same command ends with the same
bytes.
"""

from collections.abc import Mapping
import dataclasses
import pathlib

import jax
import optax

from xlrm.batches import batch_sources
from xlrm.batches import prompt_batches
from xlrm.checkpoints import native
from xlrm.checkpoints import pretrained
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.evaluation import hacking_panel
from xlrm.jobs import ppo_evaluation
from xlrm.models import lora as lora_lib
from xlrm.ppo import objective
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_memory
from xlrm.ppo import ppo_models
from xlrm.ppo import ppo_trainer
from xlrm.ppo import reward_scale
from xlrm.ppo import rollouts
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.sampling import text_sampler
from xlrm.training import fit
from xlrm.training import train_loop


def check_minibatches(
  rollout: rollouts.RolloutConfig,
  config: objective.PPOConfig,
  shards: int,
  microbatches: int,
) -> None:
  """Raises ValueError, with the nearest valid sizes, if prompts do not divide
  over minibatches, microbatches and data shards."""
  unit = config.num_minibatches * microbatches * shards
  if rollout.num_prompts % unit:
    low = rollout.num_prompts // unit * unit
    nearest = [x * rollout.num_samples for x in (low, low + unit) if x]
    raise ValueError(
      f"batch_size {rollout.batch_size} ({rollout.num_prompts} prompts) is not "
      f"divisible by {config.num_minibatches} minibatches x {microbatches} "
      f"microbatches x {shards} data shards; nearest valid: "
      f"{', '.join(map(str, nearest))}"
    )


def train(
  *,
  source: batch_sources.BatchSource,
  policy: str,
  rewards: reward_models.Spec,
  model_dir: str,
  optimizer: optax.GradientTransformation,
  config: fit.TrainConfig,
  value: str | None = None,
  value_optimizer: optax.GradientTransformation | None = None,
  reference: str | None = None,
  heldout: reward_models.Spec | None = None,
  ppo_config: objective.PPOConfig = objective.PPOConfig(),
  rollout: rollouts.RolloutConfig = rollouts.RolloutConfig(),
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig(),
  panel: hacking_panel.PanelConfig = hacking_panel.PanelConfig(),
  lora: lora_lib.LoraConfig | None = None,
  lengths: Mapping[str, int] | None = None,
  split: str = "train",
  validation_split: str = "validation",
  dtype: str = "float32",
  reward_dtype: str | None = None,
  reference_dtype: str | None = None,
  history: str = "PPO",
  mesh: meshes.MeshConfig = meshes.MeshConfig(),
  dry_run: bool | str = False,
) -> train_loop.FitResult | None:
  """Trains, or continues what stands in `model_dir`.

  Args:
    source: prompts: rows of its split `split`; a task or a `PromptFile`.
    policy: the SFT model to start from.
    rewards: reward model or ensemble that is optimised, see `scorer.load`.
    optimizer: of the policy.
    config: how many steps (rollouts), how often to evaluate, what is best.
    value: reward model that the value model starts from; None starts from the
      policy with a head of zeros. Advantages without values need neither.
    value_optimizer: of the value model; None is the policy's.
    reference: model that the policy must stay near to; None is the policy as
      it starts.
    heldout: reward model that only watches.
    lora: train low-rank adapters of policy and value model only, over one
      frozen base; None trains all weights.
    ppo_config: the objective.
    rollout: how responses are drawn and judged.
    sampler: temperature and lengths; the whole distribution is drawn from.
    panel: thresholds of the signs of reward hacking.
    lengths: tokens of prompt and response; None is what the policy was trained
      on.
    split: whose prompts are learnt from.
    validation_split: whose prompts are answered at every evaluation.
    reward_dtype: of the reward models' computation; None is `dtype`.
    reference_dtype: likewise; with another one than `dtype` the KL divergence
      does not begin at exactly 0.
    dry_run: print the plan, run nothing.

  Raises:
    ValueError: sizes that do not divide, a sampler that is not the policy, a
      model with another vocabulary, a reward model without any opinion.
  """
  rollouts.check_sampler(sampler)
  devices = mesh.build()
  ppo_config.advantage.check(rollout.num_samples)
  if ppo_config.policy_start_step and not ppo_config.advantage.needs_values:
    raise ValueError(
      f"policy_start_step {ppo_config.policy_start_step}: until then only the "
      "value model learns, and this advantage has none; set it to 0 (the macro "
      "POLICY_START_STEP)"
    )
  objective.check_horizon(ppo_config, rollout.batch_size)
  check_minibatches(
    rollout, ppo_config, devices.shape["data"], config.num_microbatches
  )
  models = ppo_models.load(
    policy,
    reference=reference,
    value=value,
    rewards=rewards,
    heldout=heldout,
    config=ppo_config,
    mesh=devices,
    dtype=dtype,
    reward_dtype=reward_dtype,
    reference_dtype=reference_dtype,
  )
  lengths = lengths or text_sampler.lengths_of(models.policy.description)
  sampler = sampler.of_at_most(lengths["targets"])
  from_left = source.truncate_inputs_from_left
  prompts = prompt_batches.PromptBatches(
    source.examples(split),
    models.policy.tokenizer,
    lengths["inputs"],
    rollout.num_prompts,
    rollout.seed,
    from_left,
  )
  adapted = lora and ppo_adapters.Adapted(
    lora, models, devices, rollout.seed, reference is None
  )
  validation = source.examples(validation_split)
  validation = validation[: rollout.num_validation_prompts]
  trainer = ppo_trainer.Trainer(
    models=models,
    optimizers=(optimizer, value_optimizer or optimizer),
    config=ppo_config,
    rollout_config=rollout,
    rollouts=rollouts.Rollouts(
      model=models.policy.model,
      tokenizer=models.policy.tokenizer,
      sampler=sampler,
      num_samples=rollout.num_samples,
      reward=models.reward,
      scale=reward_scale.RewardScale(),
      reference=models.reference.model,
      value=models.scorer,
      mesh=devices,
    ),
    num_microbatches=config.num_microbatches,
    mesh=devices,
    shares_reference=reference is None and reference_dtype in (None, dtype),
    languages={row.get("language", "") for row in validation},
    adapted=adapted,
  )
  if dry_run:
    named = device_memory.devices(dry_run) if isinstance(dry_run, str) else None
    rows = rollout.num_prompts // ppo_config.num_minibatches
    print(
      f"PPO of {policy} by {rewards}: {config.train_steps} steps of "
      f"{rollout.num_prompts} prompts x {rollout.num_samples} responses of at "
      f"most {sampler.max_tokens} tokens; into {model_dir}"
    )
    print(ppo_memory.plan_of(trainer, rows, lengths["inputs"]).text(named))
    return None
  evaluator = ppo_evaluation.Evaluator(
    models=models,
    config=rollout,
    sampler=sampler,
    max_input_length=lengths["inputs"],
    mesh=devices,
    model_dir=pathlib.Path(model_dir),
    panel=panel,
    validation=validation,
  )
  return _run(trainer, evaluator, prompts, config, lengths, history)


def _run(
  trainer: ppo_trainer.Trainer,
  evaluator: ppo_evaluation.Evaluator,
  prompts: prompt_batches.PromptBatches,
  config: fit.TrainConfig,
  lengths: Mapping[str, int],
  history: str,
) -> train_loop.FitResult:
  rollout, model_dir = trainer.rollout_config, evaluator.model_dir
  checkpointer = native.Checkpointer(model_dir, keep=config.keep_checkpoints)
  data = prompts.fingerprint()
  abstract = trainer.abstract()
  adapters = trainer.adapted and trainer.adapted.record()
  processes.on_first(ppo_adapters.check_continued, model_dir, adapters)
  restored = fit.restore(checkpointer, abstract, data)
  scale = processes.on_first(reward_scale.RewardScale.read, model_dir)
  if restored is None and rollout.fit_reward_scale:
    params = trainer.models.policy.lazy_params.on(
      trainer.mesh, sharding.split_over_model
    )
    rows = prompts.rows[: rollout.num_scale_samples]
    scale = evaluator.fit_scale(params, rows)
    print(
      f"ppo: scores of {scale.n} samples in the target language: mean "
      f"{scale.mean:.3f}, standard deviation {scale.std:.3f}; taken to 0 and 1",
      flush=True,
    )
    del params
  elif rollout.fit_reward_scale and scale is None:
    raise native.CheckpointError(
      f"{model_dir} has checkpoints but no {reward_scale.FILE}, so its "
      "rewards cannot be continued; choose another MODEL_DIR"
    )
  scale = scale if rollout.fit_reward_scale else reward_scale.RewardScale()
  trainer.rollouts = dataclasses.replace(trainer.rollouts, scale=scale)
  evaluator.scale = scale
  if restored is None:
    state, memory = trainer.initial(), train_loop.HostState(data)
  else:
    state, memory = restored[0], restored[1]
    state = trainer.continued(state)
  policy = trainer.models.policy
  pretrained.write_description(
    model_dir,
    dataclasses.replace(
      policy.description,
      max_input_length=lengths["inputs"],
      max_response_length=lengths["targets"],
      history=(*policy.description.history, history),
    ),
    policy.vocabulary,
  )
  processes.on_first(scale.write, model_dir)
  processes.on_first(ppo_adapters.write, model_dir, adapters)
  if restored is not None:
    print(f"ppo: continues at step {int(state.step)}", flush=True)
  loop = train_loop.Loop(
    source=prompts,
    config=config,
    mesh=trainer.mesh,
    model_dir=model_dir,
    description="ppo",
    checkpointer=checkpointer,
    step_fn=trainer.step,
    validate=lambda params: {},
    evaluate=evaluator.evaluate,
    key=jax.random.key(rollout.seed),
    memory=memory,
    place=lambda batch: batch,
    prefix="",
    describe=trainer.describe,
  )
  evaluator.loop = loop
  result = loop.run(state)
  evaluator.draw_panel()
  return result
