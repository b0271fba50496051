"""Do PPO, RLOO and GRPO find the optimum where it is known exactly?

  python docs/experiments/ppo_bandit.py docs/figures

A bandit over short strings: two prompts, four letters, at most three tokens, so
85 responses each. The reward of a response is how often it beats another one of
the reference by a table of random numbers; that makes the expected reward the
win rate. The policy is a table of logits, one row per prefix. Everything is
enumerated: the optimum pi* ~ pi_ref exp(r / beta), its frontier over beta,
best-of-n, and KL(pi || pi*) of what was trained by the project's own functions.
Two minutes on two cores. Results: docs/ppo_bandit.md.
"""

from collections.abc import Sequence
import dataclasses
import functools
import itertools
import pathlib
import sys
import types as python_types

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xlrm import advantages
from xlrm import best_of_n
from xlrm import decoding
from xlrm import ppo
from xlrm import ppo_step
from xlrm import sampling_config
from xlrm import train_step
from xlrm import types
from xlrm.analysis import palette
from xlrm.models import language_model

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

  def start(self, params, memory, num_lanes, max_tokens):
    return memory, jnp.zeros((memory.shape[0], num_lanes), jnp.int32)

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


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a policy is trained: 16 prompts with 8 responses each per step."""

  advantage: advantages.Advantage
  kl_estimator: ppo.KlEstimator = ppo.k1
  steps: int = 1000
  learning_rate: float = 0.03
  rows: int = 16
  num_samples: int = 8

  @property
  def config(self) -> ppo.PPOConfig:
    return ppo.PPOConfig(
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


ALGORITHMS = {
  "PPO": advantages.GeneralizedAdvantage(),
  "RLOO": advantages.LeaveOneOut(),
  "GRPO": advantages.GroupNormalised(),
}
BETA, BETAS, SEEDS, ASKED = 0.1, (0.05, 0.1, 0.3), range(5), 0.01
SIZES = (1, 2, 4, 8, 16, 32, 64)
SHOWN = np.unique(np.geomspace(1, 1000, 60).astype(int))


@dataclasses.dataclass(frozen=True)
class Run:
  """Where a run ended, and how far from pi* it was on its way."""

  kl: float
  win_rate: float
  gaps: tuple[float, ...]  # KL(pi || pi*) after the steps SHOWN

  @classmethod
  def of(cls, bandit, advantage, beta, seed, **changes) -> "Run":
    tables = train(bandit, Recipe(advantage, **changes), beta, seed)
    optimum, last = bandit.optimum(beta), logprobs_of(tables[-1])
    steps = [*SHOWN[SHOWN < len(tables) - 1], len(tables) - 1]
    gaps = tuple(kl(logprobs_of(tables[i]), optimum) for i in steps)
    return cls(kl(last, bandit.reference), bandit.win_rate(last), gaps)


def _paint_frontier(axes, bandit: Bandit, runs) -> None:
  betas = np.geomspace(0.02, 20, 200)
  line = [bandit.optimum(beta) for beta in betas]
  axes.plot(
    [kl(x, bandit.reference) for x in line],
    [bandit.win_rate(x) for x in line],
    color=palette.INK,
    linewidth=1.2,
    label="optimum $\\pi^*_\\beta$",
  )
  chosen = [bandit.best_of(n) for n in SIZES]
  places = [(kl(x, bandit.reference), bandit.win_rate(x)) for x in chosen]
  axes.plot(
    *zip(*places),
    linestyle="none",
    marker="x",
    color=palette.MUTED,
    label="best-of-n",
  )
  for n, (x, y) in zip(SIZES, places):
    below = (6, -11) if n > 1 else (6, -3)
    axes.annotate(
      f"n={n}",
      (x, y),
      below,
      textcoords="offset points",
      fontsize=7.5,
      color=palette.MUTED,
    )
  for number, name in enumerate(ALGORITHMS):
    ends = [runs[name, beta, 0] for beta in BETAS]
    axes.plot(
      [run.kl for run in ends],
      [run.win_rate for run in ends],
      linestyle="none",
      marker=palette.marker(number),
      markersize=15 - 4.5 * number,
      markerfacecolor="none",
      markeredgewidth=1.5,
      color=palette.category(number),
      label=name,
    )
  for beta in BETAS:
    optimum = bandit.optimum(beta)
    axes.annotate(
      f"$\\beta$ = {beta:g}",
      (kl(optimum, bandit.reference), bandit.win_rate(optimum)),
      (-8, 12),
      textcoords="offset points",
      ha="right",
    )
  axes.set_xlabel("KL($\\pi$ || reference), nats per response")
  axes.set_ylabel("win rate over the reference")
  axes.set_ylim(0.48, 1.0)
  axes.legend(frameon=False, loc="lower right")


def _paint_gaps(axes, runs) -> None:
  for number, name in enumerate(ALGORITHMS):
    for seed in SEEDS:
      axes.plot(
        [*SHOWN[SHOWN < 1000], 1000],
        runs[name, BETA, seed].gaps,
        color=palette.category(number),
        linewidth=0.9,
        marker=palette.marker(number),
        markevery=(8 + 3 * number, 60),
        markersize=5,
        label=None if seed else name,
      )
  axes.axhline(ASKED, color=palette.INK, linestyle=":", linewidth=1)
  axes.annotate(
    "asked", (1.1, ASKED), (0, 3), textcoords="offset points", fontsize=8
  )
  axes.set_xscale("log")
  axes.set_yscale("log")
  axes.set_xlabel("step")
  axes.set_ylabel(f"KL($\\pi$ || $\\pi^*$), $\\beta$ = {BETA:g}, five seeds")
  axes.legend(frameon=False, loc="lower left")


def draw(bandit: Bandit, runs, folder: pathlib.Path) -> None:
  """ppo_bandit.png and .svg."""
  from matplotlib import figure
  from matplotlib import style

  plain = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ppo_bandit",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
  }
  with style.context(["default", plain]):
    canvas = figure.Figure(figsize=(9.6, 4.2), layout="constrained", dpi=150)
    left, right = canvas.subplots(1, 2, width_ratios=(1.15, 1))
    _paint_frontier(left, bandit, runs)
    _paint_gaps(right, runs)
    folder.mkdir(parents=True, exist_ok=True)
    canvas.savefig(folder / "ppo_bandit.png", metadata={"Software": None})
    canvas.savefig(folder / "ppo_bandit.svg", metadata={"Date": None})


def main(folder: str) -> None:
  bandit = Bandit.random()
  runs = {}
  for name, advantage in ALGORITHMS.items():
    for beta in BETAS:
      for seed in SEEDS:
        runs[name, beta, seed] = Run.of(bandit, advantage, beta, seed)
      gaps = [runs[name, beta, seed].gaps[-1] for seed in SEEDS]
      print(f"{name}, beta {beta:g}: KL(pi || pi*)", np.round(gaps, 5))
  for name, advantage in ALGORITHMS.items():
    long = [Run.of(bandit, advantage, BETA, x, steps=8000) for x in SEEDS]
    print(f"{name}, 8,000 steps:", np.round([x.gaps[-1] for x in long], 5))
  for estimator in (ppo.k2, ppo.k3):
    run = Run.of(bandit, ALGORITHMS["RLOO"], BETA, 0, kl_estimator=estimator)
    print(f"RLOO with {estimator.__name__}:", run.gaps[-1], run)
  for n in SIZES:
    chosen = bandit.best_of(n)
    print(
      f"best of {n}: KL {kl(chosen, bandit.reference):.4f} of at most "
      f"{best_of_n.kl_bound(n):.4f}, win rate {bandit.win_rate(chosen):.4f} "
      f"of at most {best_of_n.win_rate_bound(n):.4f}"
    )
  draw(bandit, runs, pathlib.Path(folder))


if __name__ == "__main__":
  main(sys.argv[1])
