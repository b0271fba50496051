"""Scores of texts: batches of a few shapes, and one score per response."""

from collections.abc import Sequence
import dataclasses
import functools

import jax
import numpy as np

from xlrm import types
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.models import response_scorer
from xlrm.text import token_lengths
from xlrm.types import checks


@functools.partial(jax.jit, static_argnums=0)
def _score(scorer, params, batch):
  return scorer.scores(params, batch)


def score_batch(
  scorer: response_scorer.Scorer,
  params: types.Params,
  batch: types.Batch,
  mesh: jax.sharding.Mesh | None = None,
) -> jax.Array:
  """The scores [B N] of a prepared batch, on the device and not waited for.

  Args:
    scorer: a reward model.
    params: of the scorer, on the mesh.
    batch: made by `Scorer.prepare`.
    mesh: spreads the prompts over its 'data' axis; None is one device.
  """
  if mesh is not None:
    batch = sharding.shard(batch, mesh)
  # Compiled once for all reward models of one shape, whatever their vocabulary.
  compiled_for = dataclasses.replace(scorer, tokenizer=None)
  with meshes.active(mesh):
    return _score(compiled_for, params, batch)


def _completed(
  batch: types.Batch, num_rows: int, group: int, lengths: tuple[int, int]
) -> types.Batch:
  """Cut to (inputs, targets) of these lengths, and filled up with rows and
  responses of zero weight: one of a few shapes."""

  def shaped(array, *sizes):
    array = array[..., : sizes[-1]]
    return np.pad(array, [(0, n - m) for n, m in zip(sizes, array.shape)])

  inputs, targets = lengths
  return types.Batch(
    shaped(batch.inputs, num_rows, inputs),
    shaped(batch.targets, num_rows, group, targets),
    shaped(batch.weights, num_rows, group, targets),
  )


def _longest(array: np.ndarray) -> int:
  """Columns of the last axis up to the last that holds anything."""
  used = np.flatnonzero(array.any(axis=tuple(range(array.ndim - 1))))
  return int(used[-1]) + 1 if used.size else 1


def _shape_of(batch: types.Batch) -> tuple[int, int]:
  """Lengths that the batch's own texts are padded to."""
  return tuple(
    next(
      x
      for x in token_lengths.padded_lengths(array.shape[-1])
      if x >= _longest(array)
    )
    for array in (batch.inputs, batch.targets)
  )


GROUP_STEP = 4  # groups of responses are filled up to a multiple


def _group_size(groups: Sequence[Sequence[str]]) -> int:
  """The responses per prompt to which batches are filled up; 0 without any."""
  longest = max(map(len, groups), default=0)
  return meshes.round_up(longest, GROUP_STEP if longest > GROUP_STEP else 1)


def score_texts(
  scorer: response_scorer.Scorer,
  params: types.Params,
  prompts: Sequence[str],
  responses: Sequence[Sequence[str]],
  batch_size: int = 32,
  mesh: jax.sharding.Mesh | None = None,
) -> list[list[float]]:
  """A reward model's score of each response to each prompt.

  Prompts of like length are scored together, padded to a few lengths. A text
  that occurs twice among the responses to one prompt is scored once.

  Args:
    scorer: tokenizes the texts with its own vocabulary.
    params: of the scorer.
    prompts: what the scorer reads, without instruction.
    responses: one group per prompt, of any sizes.
    batch_size: prompts scored together, each with its group.
    mesh: spreads the prompts of a batch over its 'data' axis.
  """
  if len(prompts) != len(responses):
    raise ValueError(
      f"{len(prompts)} prompts but {len(responses)} groups of responses"
    )
  checks.at_least("batch_size", batch_size, 1)
  if mesh is not None:
    meshes.check_batch_size(batch_size, mesh)
  distinct = [list(dict.fromkeys(group)) for group in responses]
  group = _group_size(distinct)
  if not group:
    return [[] for _ in prompts]
  results: list[list[float]] = [[] for _ in prompts]
  order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
  for first in range(0, len(order), batch_size):
    rows = order[first : first + batch_size]
    batch = scorer.prepare(
      [prompts[i] for i in rows], [distinct[i] for i in rows]
    )
    batch = _completed(batch, batch_size, group, _shape_of(batch))
    scores = score_batch(scorer, params, batch, mesh)
    scores = np.asarray(processes.fetch(scores))
    for i, row in zip(rows, scores):
      of_text = dict(zip(distinct[i], row.tolist()))
      results[i] = [of_text[text] for text in responses[i]]
  return results
