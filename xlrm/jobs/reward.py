"""Job: a reward model from human judgments, ratings or rankings.

Ratings, yes or no or between them, are trained with binary cross-entropy,
rankings with Plackett-Luce (a pair is Bradley-Terry). The model starts from a
language model, in the paper the SFT model of the same language, and reads no
instruction. The encoder reads a prompt once for all its responses.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from xlrm import types
from xlrm.batches import batch_sources
from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.losses import ranking_losses
from xlrm.losses import token_losses
from xlrm.models import response_scorer
from xlrm.training import fit
from xlrm.training import training_memory


@dataclasses.dataclass(frozen=True)
class RewardLossConfig:
  """What is added to the loss of a ranking; ratings have neither.

  Attributes:
    margin: by how much scores of different ranks should differ at least; added
      to margin_scale times the margin of the row.
    margin_scale: of margins that the data has (TRL's column `margin`).
    centring: weight of `ranking_losses.centring_loss`, which holds scores near
      0 (TRL's center_rewards_coefficient; 0.01 is usual).
  """

  margin: float = 0.0
  margin_scale: float = 1.0
  centring: float = 0.0

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if not 0 <= value < float("inf"):
        raise ValueError(f"{field.name} {value} is not a number from 0")


def reward_loss(
  scorer: response_scorer.Scorer, config: RewardLossConfig = RewardLossConfig()
) -> fit.LossFunction:
  """The loss that fits the judgments of a batch."""

  def ranking(scores, judged):
    margins = config.margin + config.margin_scale * (
      jnp.zeros(len(judged.ranks)) if judged.margins is None else judged.margins
    )
    loss = ranking_losses.ranking_loss(scores, judged.ranks, margins)
    if not config.centring:
      return loss
    counted = judged.ranks >= 0
    penalty = config.centring * ranking_losses.centring_loss(scores, counted)
    metrics = {**loss.metrics, "centring": (penalty, loss.weight)}
    return loss.replace(total=loss.total + penalty, metrics=metrics)

  def loss_fn(params, judged, key=None):
    scores = scorer.scores(params, judged.batch, dropout_key=key)
    if isinstance(judged, types.Preferences):
      return ranking(scores, judged)
    counted = judged.batch.weights.sum(-1) > 0
    return token_losses.rating_loss(scores, judged.ratings, counted)

  return loss_fn


def train(
  *,
  source: batch_sources.BatchSource,
  optimizer: optax.GradientTransformation,
  config: fit.TrainConfig,
  model_dir: str,
  initial: pretrained.Pretrained,
  lengths: Mapping[str, int],
  loss: RewardLossConfig = RewardLossConfig(),
  layer: int | None = None,
  frozen: Sequence[str] = (),
  mesh: meshes.MeshConfig = meshes.MeshConfig(),
  history: str = "",
  dry_run: bool | str = False,
) -> Any:
  """Trains a reward model.

  Args:
    initial: the language model to start from, or a reward model (gin:
      `@load_scorer()`), which is trained further.
    lengths: tokens of `inputs` and of `targets`, EOS included.
    loss: margin and centring of rankings.
    layer: decoder layer that the head reads; None is what the language model
      recommends, else the last.
    frozen: regular expressions of parameter paths that stay as they are.
    history: what later reports say of this stage.
    dry_run: print the plan, run no step; see `training.fit`.
  """
  description = dataclasses.replace(
    initial.description,
    kind=model_description.RESPONSE_SCORER,
    max_input_length=lengths["inputs"],
    max_response_length=lengths["targets"],
    history=(*initial.description.history, history or "reward model"),
    scorer_layer=layer or initial.description.scorer_layer,
    truncate_inputs_from_left=source.truncate_inputs_from_left,
  )
  devices = mesh.build()
  if isinstance(initial.model, response_scorer.ResponseScorer):
    backbone = initial.model.model
    scorer = pretrained.scorer_of(backbone, initial.tokenizer, description)
    params = initial.lazy_params
  else:
    scorer = pretrained.scorer_of(initial.model, initial.tokenizer, description)
    key = jax.random.key(config.seed)
    params = lazy_params.LazyParams(
      scorer.abstract(),
      lambda _: scorer.from_language_model(
        key, initial.lazy_params.on(devices)
      ),
    )
  return fit.fit(
    params,
    loss_fn=reward_loss(scorer, loss),
    optimizer=optimizer,
    frozen=tuple(frozen),
    source=source,
    config=config,
    mesh=devices,
    model_dir=model_dir,
    begin=functools.partial(
      model_description.write, model_dir, description, initial.vocabulary
    ),
    planned=training_memory.Planned(
      scorer, lambda m: (m.abstract(), reward_loss(m, loss))
    ),
    description="reward model",
    dry_run=dry_run,
  )
