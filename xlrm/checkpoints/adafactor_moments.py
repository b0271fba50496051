"""Adafactor's moments under the names that T5X gives them.

T5X keeps 'm', 'v', 'v_row' and 'v_col' of every parameter; those that its
Adafactor does not use are one zero.
"""

import re
from typing import Any

import jax
import numpy as np
import optax

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored


def of_state(state: Any) -> dict[str, stored.StoredArray]:
  """T5X's `param_states` of an optax Adafactor state.

  Raises:
    CheckpointError: the state is another optimizer's.
  """
  factored = [
    leaf
    for leaf in jax.tree.leaves(
      state, is_leaf=lambda x: isinstance(x, optax.FactoredState)
    )
    if isinstance(leaf, optax.FactoredState)
  ]
  if not factored:
    raise checkpoint_errors.CheckpointError(
      "T5X's checkpoints hold the state of Adafactor; this optimizer has none"
    )
  moments = {"v": factored[0].v, "v_row": factored[0].v_row}
  moments["v_col"] = factored[0].v_col
  result = {}
  for moment, tree in moments.items():
    for name, array in stored.of_tree(tree).items():
      result[f"{name}/{moment}"] = array
  for name in [*stored.of_tree(factored[0].v)]:
    result[f"{name}/m"] = stored.StoredArray.of(np.zeros((1,), np.float32))
  return result


def of_stored(
  rest: stored.Stored, parameters: stored.Stored
) -> dict[str, stored.StoredArray] | None:
  """The same of the stored state of a run, see `native.read_rest`.

  None if its optimizer is another one, or does not cover every parameter.
  """
  pattern = re.compile(r"opt_state(?:/\d+)*/(v|v_row|v_col)/(.+)")
  found = {
    f"{match[2]}/{match[1]}": array
    for name, array in rest.items()
    if (match := pattern.fullmatch(name))
  }
  expected = {
    f"{name}/{moment}"
    for name in parameters
    for moment in ("v", "v_row", "v_col")
  }
  if found.keys() != expected:
    return None
  for name in parameters:
    found[f"{name}/m"] = stored.StoredArray.of(np.zeros((1,), np.float32))
  return found
