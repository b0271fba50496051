"""Rewards, losses and estimators of PPO against tables and slow loops."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import types
from xlrm.ppo import advantages
from xlrm.ppo import kl_controller
from xlrm.ppo import kl_estimators
from xlrm.ppo import objective

NAN = math.nan
UNDISCOUNTED = advantages.GeneralizedAdvantage(1.0, 1.0, whiten=False)
ESTIMATORS = (kl_estimators.k1, kl_estimators.k2, kl_estimators.k3)
experience_of = jax.jit(objective.experience_of, static_argnums=3)
policy_loss = jax.jit(objective.policy_loss, static_argnums=3)
value_loss = jax.jit(objective.value_loss, static_argnums=2)


def config(**changes):
  return objective.PPOConfig(**{"advantage": UNDISCOUNTED, **changes})


# Five responses of at most four tokens: tokens, did it end, score, KL of each
# token; then its rewards by hand at beta = 0.1, for each policy on missing EOS.
TABLE = {
  "EOS mid-buffer": (
    ([7, 1, 0, 0], True, 2.0, [0.5, -0.2, NAN, NAN]),
    ([-0.05, 2.02, 0, 0],) * 3,
  ),
  "EOS in the last slot": (
    ([7, 8, 9, 1], True, -1.0, [0.1, 0.2, -0.3, 0.4]),
    ([-0.01, -0.02, 0.03, -1.04],) * 3,
  ),
  "no EOS": (
    ([7, 8, 9, 5], False, 1.0, [1.0, 2.0, 3.0, 4.0]),
    (
      [-0.1, -0.2, -0.3, 0.6],  # score
      [-0.1, -0.2, -0.3, -1.9],  # penalise, by 2.5
      [0, 0, 0, 0],  # mask
    ),
  ),
  "EOS in slot 0": (
    ([1, 0, 0, 0], True, 0.5, [0.3, NAN, NAN, NAN]),
    ([0.47, 0, 0, 0],) * 3,
  ),
  "masked response": (
    ([0, 0, 0, 0], False, NAN, [NAN, NAN, NAN, NAN]),
    ([0, 0, 0, 0],) * 3,
  ),
}


def table_rollout():
  """The table as one prompt with five responses; the KL is k1."""
  tokens, ended, scores, kl = (
    np.array([[case[0][i] for case in TABLE.values()]]) for i in range(4)
  )
  weights = (tokens > 0).astype(np.float32)
  batch = types.Batch(np.array([[5, 1]]), tokens, weights)
  logprobs = np.where(tokens > 0, -1.5, NAN).astype(np.float32)
  reference = (logprobs - kl).astype(np.float32)
  values = np.full(tokens.shape, NAN, np.float32)
  values[tokens > 0] = 0.0
  scores = scores.astype(np.float32)
  rollout = types.Rollout(batch, logprobs, reference, values, scores)
  return rollout, np.asarray(ended)


def rewards_of(experience):
  """Back from A_t = sum of the rewards from t on, with values of 0."""
  later = np.pad(np.asarray(experience.advantages), ((0, 0), (0, 0), (0, 1)))
  return later[..., :-1] - later[..., 1:]


@pytest.mark.parametrize("policy", objective.MISSING_EOS)
def test_g12_rewards_of_the_five_cases(policy):
  rollout, ended = table_rollout()
  settings = config(missing_eos=policy, missing_eos_penalty=2.5)
  experience, metrics = experience_of(
    rollout, ended, jnp.float32(0.1), settings
  )
  column = objective.MISSING_EOS.index(policy)
  expected = [[case[1][column] for case in TABLE.values()]]
  np.testing.assert_allclose(rewards_of(experience), expected, atol=1e-6)
  # What takes part, and what the numbers of all responses say.
  takes_part = [True, True, policy != "mask", True, False]
  weights = np.asarray(experience.batch.weights)
  np.testing.assert_array_equal(weights.any(-1)[0], takes_part)
  cost = 2.5 if policy == "penalise" else 0.0
  by_hand = {
    "objective/kl": 0.3 + 0.4 + 10 + 0.3,
    "objective/k1": 0.3 + 0.4 + 10 + 0.3,
    "objective/k2": 0.145 + 0.15 + 15 + 0.045,
    "objective/non_score_reward": -1.1,
    "objective/scores": 2.5 - cost,
    "objective/rlhf_reward": 1.4 - cost,
    "objective/entropy": 11 * 1.5,
    "response/tokens": 11,
    "response/missing_eos": 1,
  }
  for name, total in by_hand.items():
    assert metrics[name][0] == pytest.approx(total, abs=1e-5), name
    assert metrics[name][1] == 4, name


def random_rollout(seed=0, shape=(3, 4, 6)):
  """Ragged: 0 to T tokens, the first response full, the second empty."""
  draw = np.random.default_rng(seed)
  lengths = draw.integers(0, shape[2] + 1, shape[:2])
  lengths[0, :2] = shape[2], 0
  mask = np.arange(shape[2]) < lengths[..., None]
  numbers = [
    np.where(mask, draw.normal(-1, 0.5, shape), NAN).astype(np.float32)
    for _ in range(3)
  ]
  batch = types.Batch(
    np.full((shape[0], 2), 5), np.where(mask, 7, 0), mask.astype(np.float32)
  )
  scores = draw.normal(size=shape[:2]).astype(np.float32)
  return types.Rollout(batch, *numbers, scores), lengths < shape[2]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_g12_rewards_sum_to_score_minus_beta_kl(estimator):
  rollout, ended = random_rollout()
  rollout = rollout.replace(values=np.zeros_like(rollout.values))
  settings = config(kl_estimator=estimator, score_clip=0.7)
  experience, _ = experience_of(rollout, ended, jnp.float32(0.3), settings)
  found = rewards_of(experience).sum(axis=-1)
  in_python = {
    kl_estimators.k1: lambda x: x,
    kl_estimators.k2: lambda x: x * x / 2,
    kl_estimators.k3: lambda x: math.exp(-x) - 1 + x,
  }[estimator]
  for place in np.ndindex(*ended.shape):
    number = int(rollout.batch.weights[place].sum())
    pairs = zip(rollout.logprobs[place], rollout.reference_logprobs[place])
    kl = sum(in_python(float(a) - float(b)) for a, b in list(pairs)[:number])
    score = max(-0.7, min(0.7, float(rollout.scores[place])))
    expected = score - 0.3 * kl if number else 0.0
    assert found[place] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_g14_the_kl_that_is_trained_is_the_kl_that_is_logged(estimator):
  rollout, ended = random_rollout()
  rollout = rollout.replace(
    values=np.zeros_like(rollout.values),
    scores=np.zeros_like(rollout.scores),
  )
  settings = config(kl_estimator=estimator)
  experience, metrics = experience_of(
    rollout, ended, jnp.float32(0.25), settings
  )
  trained = -rewards_of(experience).sum() / 0.25
  total, number = metrics["objective/kl"]
  np.testing.assert_allclose(total, trained, rtol=1e-5)
  assert number == (rollout.batch.weights.sum(-1) > 0).sum()
  np.testing.assert_allclose(
    total, metrics[f"objective/{estimator.__name__}"][0], rtol=1e-6
  )
  assert metrics["objective/non_score_reward"][0] == pytest.approx(
    -0.25 * float(total), rel=1e-5
  )


def test_g14_no_loss_knows_of_the_reference():
  """It is in the advantages; whatever beta is, the losses are the same."""
  fields = {field.name for field in dataclasses.fields(objective.Experience)}
  assert fields == {"batch", "logprobs", "values", "advantages", "returns"}
  experience, numbers, entropy = problem()
  for loss in (
    lambda c: policy_loss(numbers, entropy, experience, c),
    lambda c: value_loss(numbers, experience, c),
  ):
    totals = [loss(config(kl_coefficient=x)).total for x in (0.0, 9.0)]
    assert totals[0] == totals[1]


def problem(seed=0):
  """An experience with NaN wherever nothing counts, and what was predicted."""
  rollout, ended = random_rollout(seed)
  settings = objective.PPOConfig(
    advantage=advantages.GeneralizedAdvantage(1.0, 0.9)
  )
  experience, _ = experience_of(rollout, ended, jnp.float32(0.1), settings)
  mask = rollout.batch.weights > 0
  garbage = lambda x: jnp.where(mask, x, NAN)
  experience = experience.replace(
    values=garbage(experience.values),
    advantages=garbage(experience.advantages),
    returns=garbage(experience.returns),
  )
  draw = np.random.default_rng(seed + 1)
  numbers = experience.logprobs + draw.normal(0, 0.3, mask.shape)
  entropy = garbage(draw.uniform(0, 2, mask.shape))
  return experience, jnp.float32(numbers), jnp.float32(entropy)


def real_tokens(experience):
  return list(zip(*np.nonzero(np.asarray(experience.batch.weights))))


def test_policy_loss_and_gradient_equal_a_loop():
  experience, logprobs, entropy = problem()
  settings = config(clip=0.15, entropy_coefficient=0.03)
  (total, loss), gradients = jax.jit(
    jax.value_and_grad(
      lambda *x: (
        (y := objective.policy_loss(*x, experience, settings)).total,
        y,
      ),
      (0, 1),
      has_aux=True,
    )
  )(logprobs, entropy)
  tokens = real_tokens(experience)
  sums = dict.fromkeys(("total", "surrogate", "clipped", "kl", "ratio"), 0.0)
  expected = np.zeros(logprobs.shape)
  for place in tokens:
    advantage = float(experience.advantages[place])
    log_ratio = float(logprobs[place]) - float(experience.logprobs[place])
    ratio = math.exp(log_ratio)
    kept = ratio * advantage
    clipped = min(1.15, max(0.85, ratio)) * advantage
    sums["surrogate"] += min(kept, clipped)
    sums["total"] -= min(kept, clipped) + 0.03 * float(entropy[place])
    sums["clipped"] += clipped < kept
    sums["kl"] += log_ratio**2 / 2
    sums["ratio"] += ratio
    expected[place] = 0.0 if clipped < kept else -kept
  assert 2 < sums["clipped"] < len(tokens) - 2
  assert float(total) == pytest.approx(sums["total"], rel=1e-5)
  assert float(loss.weight) == len(tokens)
  for name, key in (
    ("policy/clipfrac_avg", "clipped"),
    ("policy/approxkl_avg", "kl"),
    ("val/ratio", "ratio"),
  ):
    assert float(loss.metrics[name][0]) == pytest.approx(sums[key], rel=1e-5)
  found = float(loss.metrics["loss/policy_avg"][0])
  assert found == pytest.approx(-sums["surrogate"], rel=1e-5)
  np.testing.assert_allclose(gradients[0], expected, atol=1e-5)
  mask = np.asarray(experience.batch.weights) > 0
  np.testing.assert_allclose(gradients[1], np.where(mask, -0.03, 0), atol=1e-7)


@pytest.mark.parametrize("value_clip", [None, 0.2])
def test_value_loss_and_gradient_equal_a_loop(value_clip):
  experience, values, _ = problem()
  settings = config(value_clip=value_clip)
  (total, loss), gradient = jax.jit(
    jax.value_and_grad(
      lambda x: ((y := objective.value_loss(x, experience, settings)).total, y),
      has_aux=True,
    )
  )(values)
  expected, slope, clipped_tokens = 0.0, np.zeros(values.shape), 0
  for place in real_tokens(experience):
    value, old = float(values[place]), float(experience.values[place])
    target = float(experience.returns[place])
    plain = clipped = (value - target) ** 2
    if value_clip:
      near = min(old + value_clip, max(old - value_clip, value))
      clipped = (near - target) ** 2
    expected += max(plain, clipped) / 2
    clipped_tokens += clipped > plain
    slope[place] = 0.0 if clipped > plain else value - target
  assert (clipped_tokens > 2) == bool(value_clip)
  assert float(total) == pytest.approx(expected, rel=1e-5)
  assert float(loss.metrics["val/clipfrac_avg"][0]) == clipped_tokens
  np.testing.assert_allclose(gradient, slope, atol=1e-5)


def test_g01_what_stands_at_masked_places_changes_nothing():
  """NaN in a rollout, in an experience and in what was predicted."""
  rollout, ended = random_rollout()
  mask = rollout.batch.weights > 0
  clean = jax.tree.map(
    lambda x: np.where(mask, x, 0) if x.shape == mask.shape else x, rollout
  )
  settings = objective.PPOConfig(whiten_rewards=True, entropy_coefficient=0.1)
  numbers = jnp.asarray(np.random.default_rng(3).normal(-1, 1, mask.shape))

  @jax.jit
  def everything(rollout, numbers):
    experience, metrics = objective.experience_of(
      rollout, ended, jnp.float32(0.1), settings
    )
    losses = [
      jax.value_and_grad(lambda x, f=f: f(x, experience, settings).total)(
        numbers
      )
      for f in (
        lambda x, *rest: objective.policy_loss(x, -x, *rest),
        objective.value_loss,
      )
    ]
    return metrics, experience.advantages, experience.returns, losses

  dirty = everything(rollout, jnp.where(mask, numbers, NAN))
  jax.tree.map(np.testing.assert_array_equal, dirty, everything(clean, numbers))
  for _, gradient in dirty[-1]:
    assert np.isfinite(gradient).all() and not np.asarray(gradient)[~mask].any()
  wide = jax.tree.map(
    lambda x: (
      np.pad(x, ((0, 0), (0, 0), (0, 3)), constant_values=9e9)
      if x.shape == mask.shape
      else x
    ),
    clean,
  )
  weights = np.pad(mask.astype(np.float32), ((0, 0), (0, 0), (0, 3)))
  wide = wide.replace(batch=wide.batch.replace(weights=weights))
  padded = everything(wide, jnp.pad(numbers, ((0, 0), (0, 0), (0, 3))))
  cut = jax.tree.map(
    lambda x: x[..., :-3] if x.shape == weights.shape else x, padded
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), cut, dirty
  )


def test_an_experience_of_padding_only_is_worth_nothing():
  rollout, ended = random_rollout(shape=(1, 2, 3))
  empty = rollout.batch.replace(weights=np.zeros((1, 2, 3), np.float32))
  experience, metrics = experience_of(
    rollout.replace(batch=empty), ended, jnp.float32(0.1), config()
  )
  numbers = jnp.zeros((1, 2, 3))
  for loss in (
    policy_loss(numbers, numbers, experience, config()),
    value_loss(numbers, experience, config()),
  ):
    assert loss.total == 0 and loss.weight == 0
  assert metrics["objective/kl"] == (0, 0)


def test_whitened_rewards_keep_their_mean():
  rollout, ended = random_rollout()
  rollout = rollout.replace(values=np.zeros_like(rollout.values))
  plain, white = (
    rewards_of(
      experience_of(
        rollout, ended, jnp.float32(0.1), config(whiten_rewards=whiten)
      )[0]
    )[rollout.batch.weights > 0]
    for whiten in (False, True)
  )
  expected = (plain - plain.mean()) / plain.std() + plain.mean()
  np.testing.assert_allclose(white, expected, atol=1e-4)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"kl_coefficient": -0.1}, "kl_coefficient -0.1"),
    ({"kl_coefficient": math.inf}, "kl_coefficient inf"),
    ({"kl_target": 0.0}, "kl_target 0.0 is not positive; None switches it off"),
    ({"kl_target": 6.0, "kl_coefficient": 0.0}, "kl_coefficient 0.0 stays 0"),
    ({"kl_horizon": 0.0}, "kl_horizon 0.0 is not positive$"),
    ({"clip": -0.2}, "clip -0.2 is not positive$"),
    ({"value_clip": 0.0}, "value_clip 0.0 is not positive; None"),
    ({"score_clip": -1.0}, "score_clip -1.0 is not positive; None"),
    ({"num_epochs": 0}, "num_epochs 0 is below 1"),
    ({"num_minibatches": 0}, "num_minibatches 0 is below 1"),
    ({"policy_start_step": -1}, "policy_start_step -1 is negative"),
    ({"missing_eos_penalty": -1.0}, "missing_eos_penalty -1.0 is negative"),
    ({"missing_eos_penalty": NAN}, "missing_eos_penalty nan"),
    ({"entropy_coefficient": NAN}, "entropy_coefficient nan"),
    ({"missing_eos": "drop"}, "missing_eos 'drop' is none of score, penalise"),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    config(**options)


@pytest.mark.parametrize("name", ["clip", "kl_horizon"])
def test_what_cannot_be_switched_off_says_so(name):
  """As gin would set it: None passes no checked constructor."""
  settings = config()
  object.__setattr__(settings, name, None)
  with pytest.raises(ValueError, match=f"^{name} None is not positive$"):
    settings.__post_init__()


def test_no_implicit_promotion():
  rollout, ended = random_rollout()
  rollout, ended = jax.tree.map(jnp.asarray, (rollout, ended))
  settings = objective.PPOConfig(
    missing_eos="penalise",
    kl_target=6.0,
    whiten_rewards=True,
    entropy_coefficient=0.1,
  )

  def everything(rollout, ended):
    experience, metrics = objective.experience_of(
      rollout, ended, jnp.float32(0.1), settings
    )
    numbers = jnp.zeros_like(experience.logprobs)
    objective.policy_loss(numbers, numbers, experience, settings)
    objective.value_loss(numbers, experience, settings)
    kl_controller.adapted_kl_coefficient(
      jnp.float32(0.1), *metrics["objective/kl"], settings
    )

  with jax.numpy_dtype_promotion("strict"):
    jax.eval_shape(everything, rollout, ended)
