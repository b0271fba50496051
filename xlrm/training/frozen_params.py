"""Parameters that are trained, and parameters that are kept as they are."""

from collections.abc import Sequence
import difflib
import re

import jax

from xlrm import types
from xlrm.distributed import sharding


def frozen_mask(params: types.Params, patterns: Sequence[str]) -> types.Params:
  """A tree with True at leaves whose path a pattern matches (re.search).

  Raises:
    ValueError: a pattern matches nothing (names the nearest path) or is no
      regular expression, or nothing is left to train.
  """
  if isinstance(patterns, str):
    raise ValueError(f"frozen {patterns!r} is one string, not a list of them")
  names = [
    sharding.path_name(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(params)
  ]
  for pattern in patterns:
    try:
      found = any(re.search(pattern, name) for name in names)
    except re.error as error:
      raise ValueError(
        f"frozen pattern {pattern!r} is no regular expression: {error}"
      ) from error
    if not found:
      nearest = difflib.get_close_matches(pattern, names, 1, 0.0)
      raise ValueError(
        f"frozen pattern {pattern!r} matches no parameter; nearest: "
        f"{nearest[0] if nearest else 'none'}"
      )
  mask = jax.tree_util.tree_map_with_path(
    lambda path, _: any(
      re.search(p, sharding.path_name(path)) for p in patterns
    ),
    params,
  )
  if patterns and all(jax.tree.leaves(mask)):
    raise ValueError(f"frozen {list(patterns)} leaves no parameter to train")
  return mask


def split(
  params: types.Params, mask: types.Params
) -> tuple[types.Params, types.Params]:
  """The parameters to train and the frozen ones; None where the other stands.

  JAX sees nothing at a None: an optimizer of the first tree has no state for
  frozen parameters, a gradient with respect to it does not compute theirs.
  """
  trained = jax.tree.map(lambda x, frozen: None if frozen else x, params, mask)
  frozen = jax.tree.map(lambda x, frozen: x if frozen else None, params, mask)
  return trained, frozen


def merge(trained: types.Params, frozen: types.Params) -> types.Params:
  """The tree that `split` took apart."""
  return jax.tree.map(
    lambda x, y: y if x is None else x,
    trained,
    frozen,
    is_leaf=lambda x: x is None,
  )
