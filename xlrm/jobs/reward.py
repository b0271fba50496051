"""Job: a reward model from human judgments, ratings or rankings.

Pointwise ratings are trained with binary cross-entropy, rankings with
Plackett-Luce (a pair is Bradley-Terry). The model starts from a language
model, in the paper the SFT model of the same language, and reads no
instruction.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

import jax
import optax

from xlrm import batches
from xlrm import losses
from xlrm import memory_plan
from xlrm import pretrained
from xlrm import sharding
from xlrm import training
from xlrm import types
from xlrm.models import scorer as scorer_lib


def reward_loss(scorer: scorer_lib.Scorer) -> training.LossFunction:
  """The loss that fits the judgments of a batch."""

  def loss_fn(params, judged, key=None):
    scores = scorer.scores(params, judged.batch, dropout_key=key)
    if isinstance(judged, types.Preferences):
      return losses.ranking_loss(scores, judged.ranks)
    counted = judged.batch.weights.sum(-1) > 0
    return losses.rating_loss(scores, judged.ratings, counted)

  return loss_fn


def train(
  *,
  source: batches.BatchSource,
  optimizer: optax.GradientTransformation,
  config: training.TrainConfig,
  model_dir: str,
  initial: pretrained.Pretrained,
  lengths: Mapping[str, int],
  layer: int | None = None,
  frozen: Sequence[str] = (),
  mesh: sharding.MeshConfig = sharding.MeshConfig(),
  history: str = "",
  dry_run: bool | str = False,
) -> Any:
  """Trains a reward model.

  Args:
    initial: the language model to start from.
    lengths: tokens of `inputs` and of `targets`, EOS included.
    layer: decoder layer that the head reads; None is what the language model
      recommends, else the last.
    frozen: regular expressions of parameter paths that stay as they are.
    history: what later reports say of this stage.
    dry_run: print the plan, run no step; see `training.fit`.
  """
  description = dataclasses.replace(
    initial.description,
    kind=pretrained.RESPONSE_SCORER,
    max_input_length=lengths["inputs"],
    max_response_length=lengths["targets"],
    history=(*initial.description.history, history or "reward model"),
    scorer_layer=layer or initial.description.scorer_layer,
  )
  scorer = pretrained.scorer_of(initial.model, initial.tokenizer, description)
  key = jax.random.key(config.seed)
  devices = mesh.build()
  params = sharding.LazyParams(
    scorer.abstract(),
    lambda _: scorer.from_language_model(key, initial.lazy_params.on(devices)),
  )
  return training.fit(
    params,
    loss_fn=reward_loss(scorer),
    optimizer=optimizer,
    frozen=tuple(frozen),
    source=source,
    config=config,
    mesh=devices,
    model_dir=model_dir,
    begin=functools.partial(
      pretrained.write_description, model_dir, description, initial.vocabulary
    ),
    planned=memory_plan.Planned(
      scorer, lambda m: (m.abstract(), reward_loss(m))
    ),
    description="reward model",
    dry_run=dry_run,
  )
