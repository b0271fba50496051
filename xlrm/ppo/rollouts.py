"""What PPO draws from its policy and has judged, step by step.

The host waits for the device once per rollout, for the tokens: texts go through
the reward model's own vocabulary, as everywhere (G8). Meanwhile the device
computes the log-probabilities of the reference and the values.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from xlrm import types
from xlrm.batches import prompt_batches
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.ppo import ppo_step
from xlrm.ppo import reward_scale
from xlrm.rewards import reward_models
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config
from xlrm.text import tokenizer as tokenizer_lib
from xlrm.types import checks


@dataclasses.dataclass(frozen=True)
class RolloutConfig:
  """What is drawn per step, and how it is checked.

  Attributes:
    batch_size: responses per step, over all devices.
    num_samples: responses per prompt.
    sampler: temperature and longest response (without max_tokens: as the policy
      was trained); the whole distribution is drawn from.
    split: whose prompts are learnt from.
    fit_reward_scale: take the reward model's scores of the reference policy's
      own samples to mean 0 and standard deviation 1 before training.
    num_scale_samples: prompts that this is fitted on, one sample each.
    seed: of the order of the prompts and of the draws.
    debug: stop if the first minibatch's ratio is not 1, or the KL of an
      untrained policy is not 0.
  """

  batch_size: int = 32
  num_samples: int = 1
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig()
  split: str = "train"
  fit_reward_scale: bool = True
  num_scale_samples: int = 256
  seed: int = 0
  debug: bool = False

  def __post_init__(self):
    check_sampler(self.sampler)
    for name in ("batch_size", "num_samples"):
      checks.at_least(name, getattr(self, name), 1)
    if self.batch_size % self.num_samples:
      low = self.batch_size // self.num_samples * self.num_samples
      nearest = [x for x in (low, low + self.num_samples) if x]
      raise ValueError(
        f"batch_size {self.batch_size} responses cannot be {self.num_samples} "
        f"per prompt; nearest valid: {', '.join(map(str, nearest))}"
      )

  @property
  def num_prompts(self) -> int:
    """Prompts of a step."""
    return self.batch_size // self.num_samples


@dataclasses.dataclass(frozen=True, eq=False)
class Rollouts:
  """Draws and judges.

  Attributes:
    model: of the policy.
    tokenizer: of the policy.
    sampler: how a token is drawn: from the whole distribution.
    num_samples: N, responses per prompt.
    reward: judges the texts.
    scale: of its scores.
    reference: the model that the policy must stay near to, with its parameters.
    value: the value model; None for advantages that need none.
    mesh: of the run.
  """

  model: language_model.LanguageModel
  tokenizer: tokenizer_lib.Tokenizer
  sampler: sampling_config.SamplingConfig
  num_samples: int
  reward: reward_models.RewardModel
  scale: reward_scale.RewardScale
  reference: language_model.LanguageModel
  value: response_scorer.ResponseScorer | None
  mesh: jax.sharding.Mesh

  def __post_init__(self):
    check_sampler(self.sampler)

  @functools.cached_property
  def support(self) -> np.ndarray:
    """[V] bool: tokens that policy, reference and sampler share (G4)."""
    return sampling_config.support_mask(
      self.model.config.vocab_size, self.tokenizer
    )

  @functools.cached_property
  def _draw(self) -> Callable:
    def draw(params, inputs, key, hashes):
      if self.mesh.size > 1:  # whole weights per row of devices: once a step
        places = sharding.tree_shardings(
          params, self.mesh, sharding.split_over_model
        )
        params = jax.lax.with_sharding_constraint(params, places)
      keys = jax.vmap(jax.random.fold_in, (None, 0))(key, hashes)
      return decoding.sample(
        self.model,
        params,
        inputs,
        keys,
        self.sampler,
        self.num_samples,
        jnp.asarray(self.support),
      )

    return jax.jit(draw)

  @functools.cached_property
  def _judge(self) -> Callable:
    def judge(reference_params, value_params, inputs, samples):
      tokens = samples.tokens
      logprobs = ppo_step.reference_logprobs(
        self.reference,
        reference_params,
        inputs,
        tokens,
        self.sampler.temperature,
        jnp.asarray(self.support),
      )
      weights = (tokens != types.PAD_ID).astype(jnp.float32)
      batch = types.Batch(inputs, tokens, weights)
      values = jnp.zeros_like(logprobs)
      if self.value is not None:
        values = self.value.token_values(value_params, batch)
      return batch, logprobs, values

    return jax.jit(judge)

  def draw(
    self,
    params: types.Params,
    batch: prompt_batches.PromptBatch,
    key: jax.Array,
  ) -> tuple[jax.Array, types.Samples]:
    """Inputs on the mesh and N responses per prompt, not waited for."""
    inputs, hashes = sharding.shard(
      (batch.inputs, prompt_hashes(batch.rows)), self.mesh
    )
    key = jax.random.fold_in(key, batch.number)
    return inputs, self._draw(params, inputs, key, hashes)

  def texts(self, tokens: np.ndarray) -> list[list[str]]:
    """[B N T] on the host -> the texts."""
    return [
      [self.tokenizer.decode(response) for response in group]
      for group in tokens.tolist()
    ]

  def rollout(
    self,
    params: types.Params,
    reference_params: types.Params,
    value_params: types.Params | None,
    batch: prompt_batches.PromptBatch,
    key: jax.Array,
  ) -> tuple[types.Rollout, jax.Array, list[list[str]]]:
    """A rollout, which responses ended, and their texts."""
    inputs, samples = self.draw(params, batch, key)
    judged, logprobs, values = self._judge(
      reference_params, value_params, inputs, samples
    )
    tokens = processes.fetch(samples.tokens)  # the one wait of a step
    texts = self.texts(tokens)
    scores = self.reward.device_scores(
      [row["reward_inputs"] for row in batch.rows], texts
    )
    scores = self.scale.gain * scores + self.scale.bias
    return (
      types.Rollout(judged, samples.logprobs, logprobs, values, scores),
      samples.finished,
      texts,
    )


def prompt_hashes(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
  """[B] uint32, of the ids: which random numbers belong to a prompt.

  A prompt that occurs twice, where an epoch ends within a batch or there are
  fewer prompts than rows, is drawn for with others the second time.
  """
  seen: dict[str, int] = {}
  found = []
  for row in rows:
    name = row["id"]
    number = seen[name] = seen.get(name, -1) + 1
    found.append(zlib.crc32(f"{name} {number}".encode()))
  return np.asarray(found, np.uint32)


def check_sampler(sampler: sampling_config.SamplingConfig) -> None:
  """Raises ValueError for draws that are not from the policy itself (G4)."""
  for name, off in (
    ("top_k", 0),
    ("top_p", 1.0),
    ("greedy", False),
    ("int8_output_matrix", False),
  ):
    value = getattr(sampler, name)
    if value != off:
      raise ValueError(
        f"PPO draws from the whole distribution of the policy: {name} {value} "
        f"would make its log-probabilities those of another one; set {name} = "
        f"{off} (top-k and top-p are for best-of-n and evaluation)"
      )


def text_facts(
  rows: Sequence[Mapping[str, Any]],
  texts: Sequence[Sequence[str]],
  facts: Callable[[str, str, str], Mapping[str, float]],
) -> dict[str, tuple[float, float]]:
  """Sums and counts of what the texts of a rollout look like.

  Args:
    rows: of the prompts.
    texts: of the responses.
    facts: (response, prompt, language) -> numbers by name.
  """
  sums: dict[str, list[float]] = {}
  flat = [text for group in texts for text in group]
  for row, group in zip(rows, texts, strict=True):
    for text in group:
      for name, value in facts(
        text, row["reward_inputs"], row.get("language", "")
      ).items():
        pair = sums.setdefault(name, [0.0, 0.0])
        pair[0] += value
        pair[1] += 1.0
  unique = len(set(flat))
  return {
    **{name: (pair[0], pair[1]) for name, pair in sums.items()},
    "response/unique": (float(unique), float(len(flat))),
  }
