"""PPO, RLOO and GRPO on a bandit whose optimum is known: docs/ppo_bandit.md."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.best_of_n import estimators
from xlrm.ppo import advantages
from xlrm.ppo import kl_estimators
from xlrm.ppo import objective as objective_lib
from xlrm.sampling import decoding

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "docs" / "experiments"
sys.path.insert(0, str(EXPERIMENTS))
import string_bandit  # noqa: E402

sys.path.remove(str(EXPERIMENTS))

BETA = 0.1
ALGORITHMS = {
  "PPO": advantages.GeneralizedAdvantage(),
  "RLOO": advantages.LeaveOneOut(),
  "GRPO": advantages.GroupNormalised(),
}


@pytest.fixture(scope="module")
def bandit():
  return string_bandit.Bandit.random()


def table_of(logprobs):
  """The policy that gives responses these probabilities."""
  shape = (2, string_bandit.PREFIXES, string_bandit.VOCABULARY)
  masses = np.full(shape, 1e-30)
  for number, response in enumerate(string_bandit.RESPONSES):
    prefix = 0
    for token in response[response > 0]:
      masses[:, prefix, token] += np.exp(logprobs[:, number])
      prefix = 1 + prefix * string_bandit.LETTERS + token - 2
  return np.log(masses).reshape(-1, shape[-1]).astype(np.float32)


def test_the_enumeration_is_complete_and_agrees_with_teacher_forcing(bandit):
  assert len({tuple(x) for x in string_bandit.RESPONSES}) == 85
  np.testing.assert_allclose(np.exp(bandit.reference).sum(-1), 1, rtol=1e-12)
  inputs = np.array([[2, 1], [3, 1]], np.int32)
  tokens = np.broadcast_to(string_bandit.RESPONSES, (2, 85, 3))
  found = decoding.token_logprobs(
    string_bandit.Strings(),
    {"table": bandit.table},
    inputs,
    tokens,
    support=string_bandit.SUPPORT,
  )
  np.testing.assert_allclose(found.sum(-1), bandit.reference, atol=1e-5)
  np.testing.assert_allclose(
    string_bandit.logprobs_of(table_of(bandit.reference)),
    bandit.reference,
    atol=1e-4,
  )


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0])
def test_the_optimum_is_one(bandit, beta):
  """Its value is beta log Z, and nothing near it is better."""
  best = bandit.optimum(beta)

  def objective(logprobs):
    divergence, win_rate = bandit.place(logprobs)
    return win_rate - beta * divergence

  normaliser = (np.exp(bandit.reference + bandit.rewards / beta)).sum(-1)
  assert objective(best) == pytest.approx(beta * np.log(normaliser).mean())
  draw = np.random.default_rng(0)
  for size in (0.01, 0.1, 1.0):
    other = best + size * draw.normal(size=best.shape)
    other -= np.logaddexp.reduce(other, axis=-1, keepdims=True)
    assert objective(other) < objective(best)


def test_best_of_two_is_enumerated(bandit):
  reference, rewards = np.exp(bandit.reference[0]), bandit.rewards[0]
  expected = np.zeros(85)
  for first in range(85):
    for second in range(85):
      chosen = estimators.select(rewards[[first, second]])
      pair = (first, second)[int(chosen)]
      expected[pair] += reference[first] * reference[second]
  np.testing.assert_allclose(np.exp(bandit.best_of(2))[0], expected, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_best_of_n_is_below_its_bounds_and_the_frontier(bandit, n):
  chosen = bandit.best_of(n)
  divergence, win_rate = bandit.place(chosen)
  assert np.exp(chosen).sum() == pytest.approx(2)
  assert divergence <= estimators.kl_bound(n) + 1e-9
  assert win_rate <= estimators.win_rate_bound(n) + 1e-9
  assert divergence >= 0.9 * estimators.kl_bound(n) - 1e-9
  places = [
    bandit.place(bandit.optimum(x)) for x in np.geomspace(1e-2, 1e3, 400)
  ]
  at_most = np.interp(divergence, *zip(*places[::-1]))
  assert at_most - 0.01 < win_rate <= at_most + 1e-4


@jax.jit
def draw(table, values, arrays):
  recipe = string_bandit.Recipe(ALGORITHMS["PPO"])
  return string_bandit.rollout_of(
    {"table": table}, {"values": values}, arrays, jax.random.key(5), recipe
  )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_at_the_optimum_there_is_nothing_to_learn(bandit, name):
  """Every return is beta log Z: pi* is a fixed point, also of GRPO, as the KL
  divergence is in the reward."""
  optimum = bandit.optimum(BETA)
  # The value of a prefix is beta log of the mean of exp(r / beta) behind it.
  unnormed = bandit.reference + bandit.rewards / BETA
  masses, reference = (
    np.logaddexp.reduce(np.float64(table_of(x)), axis=-1)
    for x in (unnormed, bandit.reference)
  )
  values = np.float32(BETA * (masses - reference))
  advantage = ALGORITHMS[name]
  if name == "PPO":
    advantage = advantages.GeneralizedAdvantage(whiten=False)
  experience_of = jax.jit(
    lambda *rollout: objective_lib.experience_of(
      *rollout, jnp.float32(BETA), objective_lib.PPOConfig(advantage=advantage)
    )
  )
  experience, metrics = experience_of(
    *draw(table_of(optimum), values, bandit.arrays())
  )
  total, number = metrics["objective/rlhf_reward"]
  expected = BETA * np.log(np.exp(unnormed).sum(-1)).mean()
  assert float(total / number) == pytest.approx(expected, rel=1e-5)
  # GRPO divides by a standard deviation of 0 + 1e-4: rounding errors of 1e-7.
  found = np.abs(experience.advantages)
  assert found.max() < (5e-3 if name == "GRPO" else 2e-6)
  away, _ = experience_of(*draw(bandit.table, values, bandit.arrays()))
  assert np.abs(away.advantages).max() > 0.1


@pytest.mark.parametrize(
  ("steps", "learning_rate", "asked", "seeds"),
  [
    (300, 0.04, 0.02, [0]),
    pytest.param(1000, 0.03, 0.01, range(5), marks=pytest.mark.slow),
  ],
)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_optimum_is_reached(
  bandit, name, steps, learning_rate, asked, seeds
):
  """KL(pi || pi*) by enumeration; it begins at 2.67 nats."""
  recipe = string_bandit.Recipe(
    ALGORITHMS[name], steps=steps, learning_rate=learning_rate
  )
  optimum = bandit.optimum(BETA)
  for seed in seeds:
    tables = string_bandit.train(bandit, recipe, BETA, seed)
    before, after = (string_bandit.logprobs_of(tables[i]) for i in (0, -1))
    assert string_bandit.kl(before, optimum) > 2.5
    assert string_bandit.kl(after, optimum) < asked
    np.testing.assert_allclose(
      bandit.place(after), bandit.place(optimum), rtol=0.03
    )


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [kl_estimators.k2, kl_estimators.k3])
def test_k2_and_k3_in_the_reward_lead_elsewhere(bandit, estimator):
  recipe = string_bandit.Recipe(ALGORITHMS["RLOO"], estimator)
  tables = string_bandit.train(bandit, recipe, BETA)
  found = string_bandit.logprobs_of(tables[-1])
  assert string_bandit.kl(found, bandit.optimum(BETA)) > 0.5
  # Further from the reference than the optimum, not nearer.
  assert bandit.place(found)[0] > 1.5 * bandit.place(bandit.optimum(BETA))[0]
