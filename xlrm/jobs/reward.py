"""Job: a reward model from human judgments, ratings or rankings.

Ratings, yes or no or between them, are trained with binary cross-entropy,
rankings with Plackett-Luce (a pair is Bradley-Terry). The model starts from a
language model, in the paper the SFT model of the same language, and reads no
instruction. The encoder reads a prompt once for all its responses.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools

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
from xlrm.training import fit_plan
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


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RewardTraining:
  """Training of a reward model.

  Attributes:
    source: batches: `@SeqioSource()` or `@npz_source()`.
    optimizer: `@adafactor()` or `@adamw()`.
    config: how long, how often, what is best.
    model_dir: folder of everything that the job writes.
    initial: the language model to start from, or a reward model (gin:
      `@load_scorer()`), which is trained further.
    lengths: tokens of `inputs` and of `targets`, EOS included.
    loss: margin and centring of rankings.
    layer: decoder layer that the head reads; None is what the language model
      recommends, else the last.
    frozen: regular expressions of parameter paths that stay as they are.
    mesh: how devices are arranged.
    history: what later reports say of this stage.
  """

  source: batch_sources.BatchSource
  optimizer: optax.GradientTransformation
  config: fit.TrainConfig
  model_dir: str
  initial: pretrained.Pretrained
  lengths: Mapping[str, int]
  loss: RewardLossConfig = RewardLossConfig()
  layer: int | None = None
  frozen: Sequence[str] = ()
  mesh: meshes.MeshConfig = meshes.MeshConfig()
  history: str = ""

  def plan(self, devices: str | None = None) -> fit_plan.TrainingPlan:
    """Shapes, parameters and memory; see `fit.plan`."""
    return fit.plan(self._training(), devices)

  def run(self) -> fit.FitResult:
    """Trains, or continues; see `fit.fit`."""
    return fit.fit(self._training())

  def _training(self) -> fit.Training:
    devices, description = self.mesh.build(), self._description()
    scorer, params = self._start(description, devices)
    return fit.Training(
      params=params,
      loss_fn=reward_loss(scorer, self.loss),
      optimizer=self.optimizer,
      frozen=self.frozen,
      source=self.source,
      config=self.config,
      mesh=devices,
      model_dir=self.model_dir,
      begin=functools.partial(
        model_description.write,
        self.model_dir,
        description,
        self.initial.vocabulary,
      ),
      planned=training_memory.Planned(
        scorer, lambda m: (m.abstract(), reward_loss(m, self.loss))
      ),
      description="reward model",
    )

  def _description(self) -> model_description.Description:
    before = self.initial.description
    return dataclasses.replace(
      before,
      kind=model_description.RESPONSE_SCORER,
      max_input_length=self.lengths["inputs"],
      max_response_length=self.lengths["targets"],
      history=(*before.history, self.history or "reward model"),
      scorer_layer=self.layer or before.scorer_layer,
      truncate_inputs_from_left=self.source.truncate_inputs_from_left,
    )

  def _start(
    self, description: model_description.Description, devices: jax.sharding.Mesh
  ) -> tuple[response_scorer.ResponseScorer, lazy_params.LazyParams]:
    """The reward model at step 0; of a language model with a fresh head."""
    initial = self.initial
    if isinstance(initial.model, response_scorer.ResponseScorer):
      backbone = initial.model.model
      scorer = pretrained.scorer_of(backbone, initial.tokenizer, description)
      return scorer, initial.lazy_params
    scorer = pretrained.scorer_of(initial.model, initial.tokenizer, description)
    key = jax.random.key(self.config.seed)
    return scorer, lazy_params.LazyParams(
      scorer.abstract(),
      lambda _: scorer.from_language_model(
        key, initial.lazy_params.on(devices)
      ),
    )
