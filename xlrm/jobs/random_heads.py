"""A language model under random heads: what a base knows before training.

Its states may already lie along what ratings ask for; then single heads are
right or wrong by the luck of their sign, and only many of them say something.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from xlrm.checkpoints import pretrained
from xlrm.distributed import sharding
from xlrm.models import response_scorer

RANDOM_HEADS = 1000  # a tenth of 20 would be two


@dataclasses.dataclass(frozen=True)
class RandomHeads:
  """A language model under several random heads: what a base knows untrained.

  Attributes:
    scorer: reads the states.
    params: one tree per head, stacked in `head` only.
  """

  scorer: response_scorer.ResponseScorer
  params: Any

  def scores(
    self, prompts: Sequence[str], texts: Sequence[str], batch_size: int
  ) -> np.ndarray:
    """[heads, texts]; the backbone runs once for all heads."""
    bare = dataclasses.replace(self.scorer, tokenizer=None)
    size = min(batch_size, len(texts))
    columns = np.zeros((self.params["head"]["bias"].shape[0], len(texts)))
    for first in range(0, len(texts), size):
      start = min(first, len(texts) - size)  # one shape: the last overlaps
      rows = slice(start, start + size)
      batch = self.scorer.prepare(
        list(prompts[rows]), [[text] for text in texts[rows]]
      )
      columns[:, rows] = _scores_of_heads(bare, self.params, batch)[..., 0]
    return columns


@functools.partial(jax.jit, static_argnums=0)
def _scores_of_heads(scorer, params, batch) -> jax.Array:
  """[heads B N]"""
  return jax.vmap(lambda head: scorer.scores({**params, "head": head}, batch))(
    params["head"]
  )


def load(
  path: str,
  lengths: Mapping[str, int],
  seed: int = 0,
  mesh: jax.sharding.Mesh | None = None,
) -> RandomHeads:
  """The backbone of a language model under RANDOM_HEADS random heads."""
  base = pretrained.load_language_model(path)
  description = dataclasses.replace(
    base.description,
    max_input_length=lengths["inputs"],
    max_response_length=lengths["targets"],
  )
  scorer = pretrained.scorer_of(base.model, base.tokenizer, description)
  base_params = base.lazy_params.on(mesh, sharding.split_over_model)
  keys = jax.random.split(jax.random.key(seed), RANDOM_HEADS)
  params = scorer.from_language_model(keys[0], base_params)
  heads = jax.vmap(
    lambda key: scorer.from_language_model(key, base_params)["head"]
  )(keys)
  return RandomHeads(scorer, {**params, "head": heads})
