"""A bandit over short strings, where the best policy is known exactly.

Two prompts, four letters, at most three tokens: 85 responses each. The reward
of a response is how often it beats another one of the reference by a table of
random numbers, so that the expected reward IS the win rate. The policy is a
table of logits, one row per prefix. Everything is enumerated: the optimum
pi* ~ pi_ref exp(r / beta), best-of-n, KL divergences. `train` trains the table
with the project's own sampler, rewards, losses and updates.
"""

from collections.abc import Sequence
import dataclasses
import functools
import itertools
import types as python_types

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xlrm import types
from xlrm.models import language_model
from xlrm.ppo import advantages
from xlrm.ppo import kl_estimators
from xlrm.ppo import objective
from xlrm.ppo import ppo_step
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config
from xlrm.training import train_step

PROMPTS, LETTERS, LENGTH = 2, 4, 3
FIRST = 2  # ids of the letters follow padding and EOS
VOCABULARY = FIRST + LETTERS
PREFIXES = (LETTERS**LENGTH - 1) // (LETTERS - 1)  # of at most 2 letters: 21
SUPPORT = np.arange(VOCABULARY) > types.PAD_ID
SAMPLER = sampling_config.SamplingConfig(max_tokens=LENGTH)


def _child(prefix, token):
  """Prefixes are the nodes of a tree, numbered by level from the root 0."""
  return jnp.clip(1 + prefix * LETTERS + token - FIRST, 0, PREFIXES - 1)


@dataclasses.dataclass(frozen=True)
class Strings(language_model.LanguageModel):
  """Logits are a row of params["table"] per prompt and prefix.

  A prompt is its number + FIRST, and EOS.
  """

  config = python_types.SimpleNamespace(dtype="float32")

  def encode(self, params, inputs):
    return inputs[:, 0] - FIRST

  def hidden(self, params, memory, targets):
    prefixes = [jnp.zeros_like(targets[..., 0])]
    for t in range(targets.shape[-1] - 1):
      prefixes.append(_child(prefixes[-1], targets[..., t]))
    return self._state(memory[:, None, None], jnp.stack(prefixes, axis=-1))

  def start(self, params, memory, rows_per_slot, max_tokens):
    return memory, jnp.zeros((memory.shape[0], rows_per_slot), jnp.int32)

  def step(self, params, cache, tokens, ages):
    memory, prefixes = cache
    prefixes = jnp.where(ages == 0, 0, _child(prefixes, tokens))
    return self._state(memory[:, None], prefixes), (memory, prefixes)

  def output_matrix(self, params):
    return params["table"]

  def _state(self, prompt, prefix):
    return jax.nn.one_hot(prompt * PREFIXES + prefix, PROMPTS * PREFIXES)


@dataclasses.dataclass(frozen=True)
class Values:
  """A value per prompt and prefix."""

  def token_values(self, params, batch):
    model = Strings()
    states = model.hidden({}, model.encode({}, batch.inputs), batch.targets)
    return states @ params["values"]


def all_responses() -> np.ndarray:
  """[85, 3] int32: every string that ends, and those cut at three letters."""
  letters = range(FIRST, VOCABULARY)
  rows = []
  for length in range(LENGTH):
    for word in itertools.product(letters, repeat=length):
      rows.append([*word, types.EOS_ID, *[0] * (LENGTH - length - 1)])
  rows += itertools.product(letters, repeat=LENGTH)
  return np.asarray(rows, np.int32)


RESPONSES = all_responses()
CODES = VOCABULARY ** np.arange(LENGTH)  # of a response: an integer


def logprobs_of(table: np.ndarray) -> np.ndarray:
  """[2, 85] log pi(y | x) of every response, in float64."""
  logits = np.where(SUPPORT, np.float64(table), -np.inf)
  logits = logits.reshape(PROMPTS, PREFIXES, VOCABULARY)
  logits -= np.logaddexp.reduce(logits, axis=-1, keepdims=True)
  found = np.zeros((PROMPTS, len(RESPONSES)))
  for number, response in enumerate(RESPONSES):
    prefix = 0
    for token in response[response > 0]:
      found[:, number] += logits[:, prefix, token]
      prefix = 1 + prefix * LETTERS + token - FIRST
  return found


def kl(logprobs: np.ndarray, other: np.ndarray) -> float:
  """KL(first || second) in nats, mean over prompts."""
  return float((np.exp(logprobs) * (logprobs - other)).sum(-1).mean())


@dataclasses.dataclass(frozen=True)
class Bandit:
  """Attributes:
  table: logits of the reference.
  reference: [2, 85] its log-probabilities.
  rewards: [2, 85] in [0, 1].
  """

  table: np.ndarray
  reference: np.ndarray
  rewards: np.ndarray

  @classmethod
  def random(cls, seed: int = 0) -> "Bandit":
    draw = np.random.default_rng(seed)
    shape = (PROMPTS * PREFIXES, VOCABULARY)
    table = draw.normal(size=shape).astype(np.float32)
    reference = logprobs_of(table)
    raw = draw.normal(size=reference.shape)
    beats = 0.5 + 0.5 * np.sign(raw[:, :, None] - raw[:, None])
    return cls(table, reference, (beats * np.exp(reference)[:, None]).sum(-1))

  def optimum(self, beta: float) -> np.ndarray:
    """log pi*, pi* ~ pi_ref exp(r / beta)."""
    found = self.reference + self.rewards / beta
    return found - np.logaddexp.reduce(found, axis=-1, keepdims=True)

  def best_of(self, n: int) -> np.ndarray:
    """log (F^n - F_-^n), F(y) = P_ref(r(y') <= r(y)), F_- strictly."""
    worse = self.rewards[:, None] < self.rewards[:, :, None]
    below = (worse * np.exp(self.reference)[:, None]).sum(-1)
    upto = np.minimum(below + np.exp(self.reference), 1.0)
    return np.log(np.maximum(upto**n - below**n, 1e-300))

  def arrays(self):
    """The reference's parameters, and scores by the code of a response."""
    scores = np.zeros((PROMPTS, VOCABULARY**LENGTH), np.float32)
    scores[:, RESPONSES @ CODES] = self.rewards
    return {"table": jnp.asarray(self.table)}, jnp.asarray(scores)

  def win_rate(self, logprobs: np.ndarray) -> float:
    """Over the reference, ties one half."""
    return float((np.exp(logprobs) * self.rewards).sum(-1).mean())

  def place(self, logprobs: np.ndarray) -> tuple[float, float]:
    """KL from the reference, win rate over it."""
    return kl(logprobs, self.reference), self.win_rate(logprobs)


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a policy is trained: 16 prompts with 8 responses each per step."""

  advantage: advantages.Advantage
  kl_estimator: kl_estimators.KlEstimator = kl_estimators.k1
  steps: int = 1000
  learning_rate: float = 0.03
  rows: int = 16
  num_samples: int = 8

  @property
  def config(self) -> objective.PPOConfig:
    return objective.PPOConfig(
      advantage=self.advantage,
      kl_estimator=self.kl_estimator,
      num_epochs=2,
      num_minibatches=2,
    )

  def steps_of(self, losses: Sequence[train_step.LossFunction]):
    """An update per loss, and the optimizer, whose rate falls to 0."""
    updates = 4 * self.steps
    rate = optax.cosine_decay_schedule(self.learning_rate, updates)
    optimizer = optax.adam(rate)
    return optimizer, [train_step.make_train_step(x, optimizer) for x in losses]


def _inputs(rows: int) -> np.ndarray:
  prompts = FIRST + np.arange(rows) % PROMPTS
  return np.stack([prompts, np.full(rows, types.EOS_ID)], axis=-1)


def rollout_of(params, value_params, bandit_arrays, key, recipe: Recipe):
  """(rollout, which responses ended), drawn from a policy."""
  reference, scores = bandit_arrays
  inputs = jnp.asarray(_inputs(recipe.rows), jnp.int32)
  support = jnp.asarray(SUPPORT)
  keys = jax.random.split(key, recipe.rows)
  drawn = decoding.sample(
    Strings(), params, inputs, keys, SAMPLER, recipe.num_samples, support
  )
  mask = (drawn.tokens > types.PAD_ID).astype(jnp.float32)
  batch = types.Batch(inputs, drawn.tokens, mask)
  values = jnp.zeros_like(mask)
  if value_params is not None:
    values = Values().token_values(value_params, batch)
  logprobs = ppo_step.reference_logprobs(
    Strings(), reference, inputs, drawn.tokens, 1.0, support
  )
  rewards = scores[inputs[:, :1] - FIRST, drawn.tokens @ CODES]
  rollout = types.Rollout(batch, drawn.logprobs, logprobs, values, rewards)
  return rollout, drawn.finished


@functools.lru_cache
def _trainer(recipe: Recipe):
  """Compiled: (reference, scores), beta, seed -> the policies' tables."""
  config = recipe.config
  optimizer, (policy_step, value_step) = recipe.steps_of(
    (
      ppo_step.policy_loss_of(Strings(), config, 1.0, jnp.asarray(SUPPORT)),
      ppo_step.value_loss_of(Values(), config),
    )
  )
  if not config.advantage.needs_values:
    value_step = None
  learn = ppo_step.make_learn(policy_step, value_step, config)

  def start(params):
    zero = jnp.zeros((), jnp.int32)
    return train_step.TrainState(
      zero, params, optimizer.init(params), zero, zero
    )

  def run(arrays, beta, seed):
    key = jax.random.key(seed)
    value = start({"values": jnp.zeros(PROMPTS * PREFIXES)})
    state = ppo_step.initial_state(start(arrays[0]), value_step and value, 0.0)

    def iteration(state, key):
      rollout, finished = rollout_of(
        state.params, state.value and state.value.params, arrays, key, recipe
      )
      state, _ = learn(state, rollout, finished, key)
      return state, state.params["table"]

    keys = jax.random.split(key, recipe.steps)
    return jax.lax.scan(iteration, state.replace(kl_coefficient=beta), keys)[1]

  return jax.jit(run)


def train(
  bandit: Bandit, recipe: Recipe, beta: float, seed: int = 0
) -> np.ndarray:
  """[steps + 1, 2 x 21, 6] the policy's table after every step."""
  beta = jnp.float32(beta)
  tables = _trainer(recipe)(bandit.arrays(), beta, jnp.int32(seed))
  return np.concatenate([bandit.table[None], np.asarray(tables)])
