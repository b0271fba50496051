"""Job: proximal policy optimisation against a reward model of any language.

A step draws responses to a batch of prompts from the current policy, has them
judged, and updates the value model and the policy. The story of a run is that
of the one training loop: killed anywhere, the same command ends with the same
bytes.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import json
import pathlib
from typing import Any

import jax
import numpy as np
import optax

from xlrm import batches
from xlrm import files
from xlrm import memory_plan
from xlrm import metric_writer
from xlrm import ppo
from xlrm import ppo_step
from xlrm import pretrained
from xlrm import prompt_batches
from xlrm import reward_scale
from xlrm import rollouts
from xlrm import sampling
from xlrm import sampling_config
from xlrm import scorer as scorer_lib
from xlrm import sharding
from xlrm import text_generation
from xlrm import train_loop
from xlrm import train_step
from xlrm import training
from xlrm import types
from xlrm.analysis import ppo_panel
from xlrm.checkpoints import native
from xlrm.evaluation import hacking_panel
from xlrm.miniworld import gold as gold_lib
from xlrm.models import scorer as models_scorer

EVENTS = "events.jsonl"
SAMPLES = "samples.jsonl"
PANEL = "ppo_panel.png"


@dataclasses.dataclass(frozen=True)
class RolloutConfig:
  """What is drawn per step, and how it is checked.

  Attributes:
    batch_size: responses per step, over all devices.
    num_samples: responses per prompt.
    fit_reward_scale: take the reward model's scores of the reference policy's
      own samples to mean 0 and standard deviation 1 before training.
    num_scale_samples: prompts that this is fitted on, one sample each.
    num_validation_prompts: prompts of each evaluation.
    num_shown: of these, how many go to samples.jsonl.
    gold: also ask the gold judge at each evaluation; miniworld only.
    seed: of the order of the prompts and of the draws.
    debug: stop if the first minibatch's ratio is not 1, or the KL of an
      untrained policy is not 0.
  """

  batch_size: int = 32
  num_samples: int = 1
  fit_reward_scale: bool = True
  num_scale_samples: int = 256
  num_validation_prompts: int = 64
  num_shown: int = 4
  gold: bool = False
  seed: int = 0
  debug: bool = False

  def __post_init__(self):
    for name in ("batch_size", "num_samples", "num_validation_prompts"):
      if getattr(self, name) < 1:
        raise ValueError(f"{name} {getattr(self, name)} is below 1")
    if self.batch_size % self.num_samples:
      low = self.batch_size // self.num_samples * self.num_samples
      nearest = [x for x in (low, low + self.num_samples) if x]
      raise ValueError(
        f"batch_size {self.batch_size} responses cannot be {self.num_samples} "
        f"per prompt; nearest valid: {', '.join(map(str, nearest))}"
      )

  @property
  def num_prompts(self) -> int:
    return self.batch_size // self.num_samples


def check_minibatches(
  rollout: RolloutConfig, config: ppo.PPOConfig, shards: int, microbatches: int
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


def _check_vocabulary(name: str, found, policy: pretrained.Pretrained) -> None:
  """Models that read the policy's tokens must know them as it does."""
  ours, theirs = policy.tokenizer, found.tokenizer
  same = ours.vocab_size == theirs.vocab_size and all(
    ours.decode([i]) == theirs.decode([i]) for i in range(ours.vocab_size)
  )
  sizes = policy.model.config.vocab_size, found.description.config.vocab_size
  if not same or sizes[0] != sizes[1]:
    raise ValueError(
      f"the {name} reads the policy's tokens, but its vocabulary is another "
      f"one ({theirs.vocab_size} pieces, {sizes[1]} rows; the policy has "
      f"{ours.vocab_size} and {sizes[0]})"
    )


@dataclasses.dataclass(frozen=True)
class _Models:
  """What a run starts from."""

  policy: pretrained.Pretrained
  reference: pretrained.Pretrained
  value: pretrained.Pretrained | None
  scorer: models_scorer.ResponseScorer | None
  reward: scorer_lib.RewardModel
  heldout: scorer_lib.RewardModel | None


def _load(
  policy, reference, value, rewards, heldout, config, dtypes
) -> _Models:
  dtype, reward_dtype, reference_dtype = dtypes
  loaded = pretrained.load_language_model(policy, dtype=dtype)
  other = pretrained.load_language_model(
    reference or policy, dtype=reference_dtype or dtype
  )
  _check_vocabulary("reference", other, loaded)
  scorer, initial = None, None
  if config.advantage.needs_values:
    if value is None:
      description = dataclasses.replace(
        loaded.description, kind=pretrained.RESPONSE_SCORER
      )
      scorer = pretrained.scorer_of(loaded.model, None, description)
    else:
      initial = pretrained.load_scorer(value, dtype=dtype)
      _check_vocabulary("value model", initial, loaded)
      scorer = dataclasses.replace(initial.model, tokenizer=None)
  return _Models(
    policy=loaded,
    reference=other,
    value=initial,
    scorer=scorer,
    reward=scorer_lib.load(rewards, dtype=reward_dtype),
    heldout=heldout and scorer_lib.load(heldout, dtype=reward_dtype),
  )


def _value_params(
  models: _Models, scale: reward_scale.RewardScale, mesh: jax.sharding.Mesh
) -> types.Params:
  """From the reward model, in units of the scaled score; or exactly 0 (G15)."""
  if models.value is not None:
    params = models.value.lazy_params.on(mesh)
    head = params["head"]
    return {
      **params,
      "head": {
        "kernel": head["kernel"] * scale.gain,
        "bias": head["bias"] * scale.gain + scale.bias,
      },
    }
  backbone = models.policy.model.without_output_matrix(
    models.policy.lazy_params.on(mesh)
  )
  shapes = models.scorer.abstract()["head"]
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  return {"backbone": backbone, "head": zeros}


def _taken(params: types.Params) -> sharding.LazyParams:
  """Arrays that a training state takes over."""
  abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params
  )
  return sharding.LazyParams(abstract, lambda there: params)


@dataclasses.dataclass(eq=False)
class _Trainer:
  """Steps of a run, and its evaluations."""

  models: _Models
  optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation]
  config: ppo.PPOConfig
  rollout_config: RolloutConfig
  rollouts: rollouts.Rollouts
  num_microbatches: int
  mesh: jax.sharding.Mesh
  shares_reference: bool  # the reference is what the policy starts as
  model_dir: pathlib.Path
  panel: hacking_panel.PanelConfig
  validation: Sequence[Mapping[str, Any]]
  lengths: Mapping[str, int]

  def __post_init__(self):
    self.reference_params = None
    self.drawn: dict[int, dict[str, Any]] = {}
    self.compiled: dict[bool, Callable] = {}
    self.loop: train_loop.Loop | None = None

  def abstract(self) -> ppo_step.PPOState:
    """Shapes of the state with their shardings on the mesh."""

    def state():
      policy, value = (
        tree and train_step.abstract_shapes(tree, optimizer)
        for tree, optimizer in zip(
          (
            self.models.policy.model.abstract(),
            self.models.scorer and self.models.scorer.abstract(),
          ),
          self.optimizers,
        )
      )
      return jax.eval_shape(
        lambda a, b: ppo_step.initial_state(a, b, self.config.kl_coefficient),
        policy,
        value,
      )

    return sharding.placed(state(), self.mesh)

  def initial(self) -> ppo_step.PPOState:
    """The state of step 0."""
    policy = train_step.initial_state(
      self.models.policy.lazy_params, self.optimizers[0], self.mesh
    )
    value = None
    if self.models.scorer is not None:
      params = _value_params(self.models, self.rollouts.scale, self.mesh)
      value = train_step.initial_state(
        _taken(params), self.optimizers[1], self.mesh
      )
    state = ppo_step.initial_state(policy, value, self.config.kl_coefficient)
    places = jax.tree.map(lambda x: x.sharding, self.abstract())
    return jax.device_put(state, places)

  @functools.cached_property
  def _places(self) -> ppo_step.PPOState:
    return jax.tree.map(lambda x: x.sharding, self.abstract())

  def _learn(self, with_policy: bool) -> Callable:
    if with_policy not in self.compiled:
      self.compiled[with_policy] = self._make_learn(with_policy)
    return self.compiled[with_policy]

  def _make_learn(self, with_policy: bool) -> Callable:
    policy_step, value_step = None, None
    if with_policy:
      loss = ppo_step.policy_loss_of(
        self.models.policy.model,
        self.config,
        self.rollouts.sampler.temperature,
        jax.numpy.asarray(self.rollouts.support),
      )
      policy_step = train_step.make_train_step(
        loss, self.optimizers[0], num_microbatches=self.num_microbatches
      )
    if self.models.scorer is not None:
      value_step = train_step.make_train_step(
        ppo_step.value_loss_of(self.models.scorer, self.config),
        self.optimizers[1],
        num_microbatches=self.num_microbatches,
      )
    places = self._places
    if not with_policy:
      places = places.replace(params=None)
    return jax.jit(
      ppo_step.make_learn(policy_step, value_step, self.config),
      donate_argnums=0,
      out_shardings=(places, None),
    )

  def _reference(self, params: types.Params, number: int) -> types.Params:
    """Of the reference; not stored twice while the policy still equals it."""
    start = self.config.policy_start_step
    if self.shares_reference and number < start:
      return params
    if self.reference_params is None:
      if self.shares_reference and number == start:
        self.reference_params = jax.tree.map(jax.numpy.copy, params)
      else:
        self.reference_params = self.models.reference.lazy_params.on(self.mesh)
    return self.reference_params

  def step(
    self,
    state: ppo_step.PPOState,
    batch: prompt_batches.PromptBatch,
    key: jax.Array,
  ) -> tuple[ppo_step.PPOState, dict[str, Any]]:
    """One rollout and what is learnt from it."""
    number = batch.number
    rollout, finished, texts = self.rollouts.rollout(
      state.params,
      self._reference(state.params, number),
      state.value and state.value.params,
      batch,
      key,
    )
    self.drawn = {
      **{n: x for n, x in self.drawn.items() if n == number - 1},
      number: {"tokens": rollout.batch.targets, "scores": rollout.scores},
    }
    if number >= self.config.policy_start_step:
      state, metrics = self._learn(True)(state, rollout, finished, key)
    else:
      params = state.params
      state, metrics = self._learn(False)(
        state.replace(params=None), rollout, finished, key
      )
      state = state.replace(params=params)
    metrics |= rollouts.text_facts(batch.rows, texts, hacking_panel.text_facts)
    if self.rollout_config.debug:
      self._check_start(number, metrics)
    return state, metrics

  def _check_start(self, number: int, metrics: Mapping[str, Any]) -> None:
    """First-minibatch ratio 1; KL 0 while the policy is its reference."""
    found = jax.device_get(
      {name: pair for name, pair in metrics.items() if name in _ZERO_AT_START}
    )
    for name, (total, weight) in found.items():
      if name != "val/first_ratio_deviation" and (
        number > self.config.policy_start_step or not self.shares_reference
      ):
        continue
      value = float(total) / max(float(weight), 1.0)
      if not abs(value) <= _ZERO_AT_START[name]:
        raise ValueError(
          f"ppo: step {number + 1}: {name} is {value:.3g}, not 0 (within "
          f"{_ZERO_AT_START[name]}): the sampler and the trained policy "
          "disagree"
        )

  def describe(self, batch: prompt_batches.PromptBatch) -> dict[str, Any]:
    """What is saved of a batch whose update was not finite."""
    drawn = jax.device_get(self.drawn.get(batch.number, {}))
    ids = np.asarray([row["id"] for row in batch.rows])
    return {"inputs": batch.inputs, "ids": ids, **drawn}

  @functools.cached_property
  def _generator(self) -> text_generation.Generator:
    return text_generation.Generator(
      model=self.models.policy.model,
      tokenizer=self.models.policy.tokenizer,
      config=self.rollouts.sampler,
      max_input_length=self.lengths["inputs"],
      batch_size=max(self.rollout_config.batch_size, self.mesh.shape["data"]),
      num_samples=1,
      seed=self.rollout_config.seed,
      mesh=self.mesh,
    )

  def sampled(
    self, params: types.Params, rows: Sequence[Mapping[str, Any]]
  ) -> list[str]:
    """One response to each prompt; the same random numbers every time."""
    places = sharding.tree_shardings(
      params, self.mesh, sharding.split_over_model
    )
    found = self._generator.generate(
      jax.device_put(params, places),
      [row["inputs_pretokenized"] for row in rows],
      [row["id"] for row in rows],
    )
    return [generation.texts[0] for generation in found]

  def evaluate(self, params: types.Params, step: int) -> dict[str, float]:
    """Scores of one sample per validation prompt, by every judge there is."""
    rows = self.validation
    if not rows:
      return {}
    texts = self.sampled(params, rows)
    prompts = [row["reward_inputs"] for row in rows]
    scores = np.asarray(self.models.reward(prompts, texts))
    scale = self.rollouts.scale
    metrics = {
      "validation/scores": float((scale.gain * scores + scale.bias).mean())
    }
    if self.models.heldout is not None:
      found = self.models.heldout(prompts, texts)
      metrics["validation/heldout"] = float(np.mean(found))
    if self.rollout_config.gold:
      found = [
        gold_lib.judge_example(row["id"], text).quality
        for row, text in zip(rows, texts)
      ]
      metrics["validation/gold"] = float(np.mean(found))
    self._show(step, rows, texts)
    self.draw_panel()
    return metrics

  def _show(self, step: int, rows, texts) -> None:
    """The same few prompts at every evaluation, to be read."""
    path = self.model_dir / SAMPLES
    kept = []
    if path.exists():
      kept = [x for _, x in files.rows(str(path)) if x["step"] < step]
    for row, text in list(zip(rows, texts))[: self.rollout_config.num_shown]:
      shown = {"step": step, "id": row["id"], "prompt": row["reward_inputs"]}
      kept.append({**shown, "response": text})
      if self.loop is not None:
        self.loop.writer.write_text(step, f"samples/{row['id']}", text)
    lines = [json.dumps(x, ensure_ascii=False) for x in kept]
    files.write_text(path, "".join(f"{line}\n" for line in lines))

  def draw_panel(self) -> None:
    """Events of the rows so far, and the figure if matplotlib is there."""
    history = metric_writer.read(self.model_dir / metric_writer.METRICS)
    events = hacking_panel.events(history, self.panel)
    lines = [json.dumps(dataclasses.asdict(x)) for x in events]
    files.write_text(
      self.model_dir / EVENTS, "".join(f"{line}\n" for line in lines)
    )
    known = getattr(self, "_told", set())
    for event in events:
      if event.sign not in known:
        print(
          f"ppo: step {event.step}: {event.sign} {event.value:.4g} crossed "
          f"{event.threshold:.4g}: {event.meaning}",
          flush=True,
        )
    self._told = known | {event.sign for event in events}
    if not any(hacking_panel.PROXY in row for row in history):
      return
    try:
      picture = ppo_panel.picture(history, events)
    except ImportError:
      return  # a host without matplotlib; the rows are in metrics.jsonl
    (self.model_dir / PANEL).write_bytes(picture)


_ZERO_AT_START = {
  "val/first_ratio_deviation": 1e-4,
  "objective/k1": 1e-3,
  "objective/k2": 1e-3,
  "objective/k3": 1e-3,
}


def _plan(trainer: _Trainer, rows: int) -> memory_plan.Plan:
  """Two training steps one after the other, beside all the other weights."""
  models, rollout = trainer.models, trainer.rollout_config
  shape = (rows, rollout.num_samples, trainer.rollouts.sampler.max_tokens)
  tokens = jax.ShapeDtypeStruct(shape, np.int32)
  numbers = jax.ShapeDtypeStruct(shape, np.float32)
  inputs = jax.ShapeDtypeStruct((rows, trainer.lengths["inputs"]), np.int32)
  batch = types.Batch(inputs, tokens, numbers)
  experience = ppo.Experience(batch, numbers, numbers, numbers, numbers)
  options = {
    "batch": experience,
    "mesh": trainer.mesh,
    "num_microbatches": trainer.num_microbatches,
  }
  support = jax.numpy.asarray(trainer.rollouts.support)
  temperature = trainer.rollouts.sampler.temperature
  policy = memory_plan.training_plan(
    memory_plan.Planned(
      models.policy.model,
      lambda m: (
        m.abstract(),
        ppo_step.policy_loss_of(m, trainer.config, temperature, support)
        if m.config.vocab_size == len(trainer.rollouts.support)
        else ppo_step.policy_loss_of(
          m, trainer.config, temperature, support[: m.config.vocab_size]
        ),
      ),
    ),
    optimizer=trainer.optimizers[0],
    **options,
  )
  found = {f"policy {name}": size for name, size in policy.bytes.items()}
  if models.scorer is not None:
    value = memory_plan.training_plan(
      memory_plan.Planned(
        models.scorer,
        lambda m: (m.abstract(), ppo_step.value_loss_of(m, trainer.config)),
      ),
      optimizer=trainer.optimizers[1],
      **options,
    )
    kept = ("parameters", "optimizer")
    found |= {f"value {name}": value.bytes[name] for name in kept}
    # One of the two is updated at a time.
    step = sum(x for n, x in policy.bytes.items() if n not in kept)
    other = sum(x for n, x in value.bytes.items() if n not in kept)
    found["value step beyond policy's"] = max(0, other - step)
  found["reference"] = memory_plan.placed_bytes(
    models.reference.model.abstract(), trainer.mesh
  )
  for number, member in enumerate(models.reward.members, 1):
    found[f"reward model {number}"] = memory_plan.placed_bytes(
      member.model.abstract(), trainer.mesh, sharding.split_over_model
    )
  return memory_plan.Plan(found)


def train(
  *,
  source: batches.BatchSource,
  policy: str,
  rewards: scorer_lib.Spec,
  model_dir: str,
  optimizer: optax.GradientTransformation,
  config: training.TrainConfig,
  value: str | None = None,
  value_optimizer: optax.GradientTransformation | None = None,
  reference: str | None = None,
  heldout: scorer_lib.Spec | None = None,
  ppo_config: ppo.PPOConfig = ppo.PPOConfig(),
  rollout: RolloutConfig = RolloutConfig(),
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig(),
  panel: hacking_panel.PanelConfig = hacking_panel.PanelConfig(),
  lengths: Mapping[str, int] | None = None,
  split: str = "train",
  validation_split: str = "validation",
  dtype: str = "float32",
  reward_dtype: str | None = None,
  reference_dtype: str | None = None,
  history: str = "PPO",
  mesh: sharding.MeshConfig = sharding.MeshConfig(),
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
    lengths: tokens of prompt and response; None is what the policy was trained
      on.
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
  check_minibatches(
    rollout, ppo_config, devices.shape["data"], config.num_microbatches
  )
  dtypes = (dtype, reward_dtype or dtype, reference_dtype)
  models = _load(policy, reference, value, rewards, heldout, ppo_config, dtypes)
  lengths = lengths or sampling.lengths_of(models.policy.description)
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
  trainer = _Trainer(
    models=models,
    optimizers=(optimizer, value_optimizer or optimizer),
    config=ppo_config,
    rollout_config=rollout,
    rollouts=rollouts.Rollouts(
      model=models.policy.model,
      tokenizer=models.policy.tokenizer,
      sampler=sampler,
      num_samples=rollout.num_samples,
      reward=models.reward.on(devices),
      scale=reward_scale.RewardScale(),
      reference=models.reference.model,
      value=models.scorer,
      mesh=devices,
    ),
    num_microbatches=config.num_microbatches,
    mesh=devices,
    shares_reference=reference is None and reference_dtype in (None, dtype),
    model_dir=pathlib.Path(model_dir),
    panel=panel,
    validation=source.examples(validation_split)[
      : rollout.num_validation_prompts
    ],
    lengths=lengths,
  )
  if dry_run:
    named = memory_plan.devices(dry_run) if isinstance(dry_run, str) else None
    rows = rollout.num_prompts // ppo_config.num_minibatches
    print(
      f"PPO of {policy} by {rewards}: {config.train_steps} steps of "
      f"{rollout.num_prompts} prompts x {rollout.num_samples} responses of at "
      f"most {sampler.max_tokens} tokens; into {model_dir}"
    )
    print(_plan(trainer, rows).text(named))
    return None
  return _run(trainer, prompts, config, lengths, history)


def _run(trainer, prompts, config, lengths, history) -> train_loop.FitResult:
  rollout = trainer.rollout_config
  checkpointer = native.Checkpointer(
    trainer.model_dir, keep=config.keep_checkpoints
  )
  data = prompts.fingerprint()
  restored = training.restore(checkpointer, trainer.abstract(), data)
  scale = reward_scale.RewardScale.read(trainer.model_dir)
  if restored is None and rollout.fit_reward_scale:
    params = trainer.models.policy.lazy_params.on(
      trainer.mesh, sharding.split_over_model
    )
    rows = prompts.rows[: rollout.num_scale_samples]
    texts = trainer.sampled(params, rows)
    scale = reward_scale.RewardScale.fit(
      trainer.models.reward([row["reward_inputs"] for row in rows], texts)
    )
    print(
      f"ppo: scores of {scale.n} samples in the target language: mean "
      f"{scale.mean:.3f}, standard deviation {scale.std:.3f}; taken to 0 and 1",
      flush=True,
    )
    del params
  elif rollout.fit_reward_scale and scale is None:
    raise native.CheckpointError(
      f"{trainer.model_dir} has checkpoints but no {reward_scale.FILE}, so its "
      "rewards cannot be continued; choose another MODEL_DIR"
    )
  scale = scale if rollout.fit_reward_scale else reward_scale.RewardScale()
  trainer.rollouts = dataclasses.replace(trainer.rollouts, scale=scale)
  state, memory = restored or (trainer.initial(), train_loop.Memory(data))
  policy = trainer.models.policy
  pretrained.write_description(
    trainer.model_dir,
    dataclasses.replace(
      policy.description,
      max_input_length=lengths["inputs"],
      max_response_length=lengths["targets"],
      history=(*policy.description.history, history),
    ),
    policy.vocabulary,
  )
  scale.write(trainer.model_dir)
  if restored is not None:
    print(f"ppo: continues at step {int(state.step)}", flush=True)
  loop = train_loop.Loop(
    source=prompts,
    config=config,
    mesh=trainer.mesh,
    model_dir=trainer.model_dir,
    description="ppo",
    checkpointer=checkpointer,
    step_fn=trainer.step,
    validate=lambda params: {},
    evaluate=trainer.evaluate,
    key=jax.random.key(rollout.seed),
    memory=memory,
    place=lambda batch: batch,
    prefix="",
    describe=trainer.describe,
  )
  trainer.loop = loop
  result = loop.run(state)
  trainer.draw_panel()
  return result
