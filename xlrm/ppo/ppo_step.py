"""One iteration of PPO on the device: from a rollout to new parameters.

The policy and the value model are two training states of their own, each with
its optimizer; an update is that of `train_step`. Dropout is off in all models.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from xlrm import types
from xlrm.distributed import meshes
from xlrm.losses import token_losses
from xlrm.losses import vocabulary_head
from xlrm.models import language_model
from xlrm.ppo import kl_controller
from xlrm.ppo import objective
from xlrm.sampling import decoding
from xlrm.training import train_step

Metrics = dict[str, Any]  # name -> (sum, weight)


@runtime_checkable
class ValueModel(Protocol):
  """What is asked of a value model; a `ResponseScorer` is one."""

  def token_values(
    self, params: types.Params, batch: types.Batch
  ) -> Float[types.Array, "B N T"]:
    """V_t has read the prompt and the tokens before t."""


@struct.dataclass
class PPOState:
  """Everything on devices that a run of PPO carries from step to step."""

  step: types.Array  # int32 scalar, rollouts learnt from
  params: types.Params  # of the policy
  policy: Any  # TrainState of the policy, without its parameters
  value: Any  # TrainState of the value model; None without one
  kl_coefficient: types.Array  # float32 scalar
  nonfinite_streak: types.Array  # int32 scalar, steps with a skipped update
  nonfinite_total: types.Array  # int32 scalar


def initial_state(
  policy: train_step.TrainState,
  value: train_step.TrainState | None,
  kl_coefficient: float,
) -> PPOState:
  """The state of step 0, of the states of its two models."""
  zeros = [jnp.zeros((), jnp.int32) for _ in range(3)]
  coefficient = jnp.asarray(kl_coefficient, jnp.float32)
  rest = policy.replace(params=None)
  return PPOState(zeros[0], policy.params, rest, value, coefficient, *zeros[1:])


def policy_loss_of(
  model: language_model.LanguageModel,
  config: objective.PPOConfig,
  temperature: float,
  support: types.Array,
) -> train_step.LossFunction:
  """The loss of the policy, for `train_step`; without dropout.

  Args:
    temperature: of the sampler: log-probabilities are those it drew from.
    support: [V] bool, tokens that the sampler can draw.
  """

  def loss_fn(params, experience, key) -> token_losses.Loss:
    del key
    batch = experience.batch
    hidden = model.hidden(
      params, model.encode(params, batch.inputs), batch.targets
    )
    found = vocabulary_head.token_statistics(
      hidden,
      model.output_matrix(params),
      batch.targets,
      mask=batch.weights > 0,
      support=support,
      temperature=temperature,
    )
    return objective.policy_loss(
      found.logprobs, found.entropy, experience, config
    )

  return loss_fn


def value_loss_of(
  model: ValueModel, config: objective.PPOConfig
) -> train_step.LossFunction:
  """The loss of the value model, for `train_step`; without dropout."""

  def loss_fn(params, experience, key) -> token_losses.Loss:
    del key
    values = model.token_values(params, experience.batch)
    return objective.value_loss(values, experience, config)

  return loss_fn


def reference_logprobs(
  model: language_model.LanguageModel,
  params: types.Params,
  inputs: Int[types.Array, "B S"],
  tokens: Int[types.Array, "B N T"],
  temperature: float,
  support: types.Array,
) -> Float[types.Array, "B N T"]:
  """Of the policy that PPO must stay near to."""
  return decoding.token_logprobs(
    model, params, inputs, tokens, temperature=temperature, support=support
  )


def _minibatches(experience, key, config: objective.PPOConfig):
  """[epochs x minibatches] index rows; the whole batch is taken as it is."""
  rows = experience.batch.inputs.shape[0]
  if rows % config.num_minibatches:
    raise ValueError(
      f"{rows} prompts do not divide over {config.num_minibatches} minibatches"
    )
  if config.num_minibatches == 1:
    order = jnp.arange(rows)
    return jnp.broadcast_to(order, (config.num_epochs, rows))
  orders = [
    jax.random.permutation(jax.random.fold_in(key, epoch), rows)
    for epoch in range(config.num_epochs)
  ]
  size = rows // config.num_minibatches
  return jnp.stack(orders).reshape(-1, size)


def _mean_over(metrics: Metrics) -> Metrics:
  """Stacked (sums, weights) of minibatches -> one pair each."""
  return {
    name: tuple(jnp.sum(x) for x in pair) for name, pair in metrics.items()
  }


def make_learn(
  policy_step: Callable | None,
  value_step: Callable | None,
  config: objective.PPOConfig,
) -> Callable:
  """learn(state, rollout, finished, key) -> (state, metrics); to be jitted.

  Args:
    policy_step: of `train_step.make_train_step`; None leaves the policy as it
      is and its parameters out of the program.
    value_step: likewise; None is no value model.
  """

  def learn(state: PPOState, rollout: types.Rollout, finished, key):
    experience, metrics = objective.experience_of(
      rollout, finished, state.kl_coefficient, config
    )
    key = jax.random.fold_in(key, state.step)
    policy = state.policy.replace(params=state.params)

    def update(carry, rows):
      policy, value = carry
      part = jax.tree.map(
        lambda x: meshes.rows_over_data(jnp.take(x, rows, axis=0)),
        experience,
      )
      found = {}
      if policy_step is not None:
        policy, found = policy_step(policy, part, key)
        found = {_policy_name(name): x for name, x in found.items()}
      if value_step is not None:
        value, more = value_step(value, part, key)
        found |= {_value_name(name): x for name, x in more.items()}
      return (policy, value), found

    order = _minibatches(experience, key, config)
    (policy, value), found = jax.lax.scan(update, (policy, state.value), order)
    if "val/ratio_deviation" in found:
      total, weight = found.pop("val/ratio_deviation")
      metrics["val/first_ratio_deviation"] = (total[0], weight[0])
    metrics |= _mean_over(found)
    skipped = sum(
      (pair[0] for name, pair in metrics.items() if "skipped" in name),
      jnp.zeros(()),
    )
    bad = (skipped > 0).astype(jnp.int32)
    metrics["skipped"] = (bad.astype(jnp.float32), jnp.ones(()))
    kl = metrics["objective/kl"]
    state = PPOState(
      step=state.step + 1,
      params=policy.params,
      policy=policy.replace(params=None),
      value=value,
      kl_coefficient=_adapted(state.kl_coefficient, kl, config),
      nonfinite_streak=(state.nonfinite_streak + 1) * bad,
      nonfinite_total=state.nonfinite_total + bad,
    )
    return state, metrics

  return learn


def _adapted(coefficient, kl, config: objective.PPOConfig):
  """The next coefficient; a step without finite KL leaves it."""
  total, number = kl
  mean = total / jnp.maximum(number, 1.0)
  adapted = kl_controller.adapted_kl_coefficient(
    coefficient, mean, number, config
  )
  return jnp.where(jnp.isfinite(adapted), adapted, coefficient)


def _policy_name(name: str) -> str:
  own = {"loss": "loss/policy_with_bonus", "skipped": "policy/skipped"}
  return own.get(name, f"policy/{name}" if name == "gradient_norm" else name)


def _value_name(name: str) -> str:
  own = {"loss": "loss/value_with_clip", "skipped": "val/skipped"}
  return own.get(name, f"val/{name}" if name == "gradient_norm" else name)
