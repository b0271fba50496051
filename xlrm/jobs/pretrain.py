"""Job: the base model, from text alone, never from ratings.

One decoder learns two things at once: to predict tokens (span corruption,
translation, titles) and to say of every token of a response whether it was
replaced, and whether any token so far was. The second is read where a reward
model reads, in the state AFTER a token, and is what later carries over from
language to language. Two readings, because the question about the whole prefix
teaches each state to look back over the response, as a reward model must.
"""

from collections.abc import Mapping
import dataclasses

import jax
import jax.numpy as jnp
import optax

from xlrm import types
from xlrm.batches import batch_sources
from xlrm.batches import denoising
from xlrm.checkpoints import pretrained
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.losses import token_losses
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.storage import files
from xlrm.training import fit
from xlrm.training import fit_plan
from xlrm.training import training_memory

EXPORT = "model"


def detection_logits(
  head: types.Params, states: jax.Array, scale: float = 1.0
) -> jax.Array:
  """[.. D] -> [..]: the logit that the token just read was replaced.

  A large `scale` lets a small difference of states answer, so that they keep
  room for everything else; a random head on them then says nothing.
  """
  states = states.astype(jnp.float32)
  return scale * (states @ head["kernel"])[..., 0] + head["bias"]


def matching_queries(params: types.Params, head_dim: int) -> types.Params:
  """Cross-attention that starts out looking for what it has just read.

  Every query projection [D H*K] begins as the key projection of its layer,
  scaled as fresh queries are. A decoder token then attends first to the
  document's tokens that are like it, which is where a check of facts begins
  (after "mimetic initialization", https://arxiv.org/abs/2305.09828).
  """
  decoder = dict(params["decoder"])
  for name, layer in decoder.items():
    if not name.startswith("layers_"):
      continue
    attention = layer["encoder_decoder_attention"]
    query = {"kernel": attention["key"]["kernel"] * head_dim**-0.5}
    attention = {**attention, "query": query}
    decoder[name] = {**layer, "encoder_decoder_attention": attention}
  return {**params, "decoder": decoder}


def pretraining_loss(
  model: language_model.EncoderDecoder,
  *,
  z_loss: float,
  detection_weight: float,
  detection_layer: int | None,
  detection_scale: float = 1.0,
) -> fit.LossFunction:
  """Language modelling plus `detection_weight` times detection.

  Both are sums over tokens; the total is divided by the number of predicted
  tokens, so `detection_weight` is relative to one predicted token.
  """

  def loss_fn(params, corrupted, key=None):
    batch = corrupted.batch
    keys = (None, None) if key is None else tuple(jax.random.split(key))
    memory = model.encode(params["model"], batch.inputs, dropout_key=keys[0])
    # One more position: the state after the last token stands behind it. Both
    # readings share their layers: the compiler merges the two calls.
    targets = jnp.pad(batch.targets, ((0, 0), (0, 0), (0, 1)))
    last, read = (
      model.hidden(
        params["model"], memory, targets, dropout_key=keys[1], layer=layer
      )
      for layer in (None, detection_layer)
    )
    language = token_losses.language_model_loss(
      last[:, :, :-1],
      model.output_matrix(params["model"]),
      batch.targets,
      batch.weights,
      z_loss=z_loss,
    )
    states = read[:, :, 1:]
    labels = corrupted.replaced
    so_far = jax.lax.cummax(labels, axis=2)
    so_far = jnp.where(labels >= 0, so_far, denoising.NOT_ASKED)
    heads = params["detection"]
    token, prefix = (
      token_losses.detection_loss(
        detection_logits(heads[name], states, detection_scale), asked
      )
      for name, asked in (("token", labels), ("prefix", so_far))
    )
    return token_losses.Loss(
      total=language.total + detection_weight * (token.total + prefix.total),
      weight=language.weight,
      metrics={
        **language.metrics,
        **{f"token_{name}": x for name, x in token.metrics.items()},
        **{f"prefix_{name}": x for name, x in prefix.metrics.items()},
      },
    )

  return loss_fn


def _check_same_vocabulary(one: str, other: str) -> None:
  if files.read_bytes(one) != files.read_bytes(other):
    raise ValueError(
      f"the model to train further has the vocabulary {one}, which differs "
      f"from {other}: the rows are made with the model's own"
    )


def _params(
  base: pretrained.Pretrained,
  match_queries: bool,
  seed: int,
  mesh: jax.sharding.Mesh,
) -> lazy_params.LazyParams:
  """The language model's parameters and fresh heads of detection."""
  config = base.model.config

  def heads():
    keys = jax.random.split(jax.random.key(seed + 1))
    return {
      name: {
        "kernel": 0.02 * jax.random.normal(key, (config.emb_dim, 1)),
        "bias": jnp.zeros(()),
      }
      for name, key in zip(("token", "prefix"), keys)
    }

  def make(_):
    model = base.lazy_params.on(mesh)
    if match_queries:
      model = matching_queries(model, config.head_dim)
    return {"model": model, "detection": heads()}

  abstract = {
    "model": base.model.abstract(),
    "detection": jax.eval_shape(heads),
  }
  return lazy_params.LazyParams(abstract, make)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pretraining:
  """Training of a base model from fresh parameters, or of one further.

  Attributes:
    source: batches, such as `@miniworld_pretraining()`.
    optimizer: `@adafactor()` or `@adamw()`.
    config: how long, how often, what is best.
    model: of fresh parameters.
    vocabulary: sentencepiece model file.
    model_dir: folder of everything that the job writes.
    lengths: tokens of `inputs` and of `targets`, EOS included.
    extra_ids: sentinels behind the vocabulary's pieces, for masked spans.
    z_loss: weight of log(Z)^2, which keeps logits small.
    detection_weight: weight of replaced-token detection against language
      modelling, per token.
    detection_layer: decoder layer that detection reads; None is the last.
    detection_scale: see `detection_logits`.
    match_queries: see `matching_queries`; of fresh parameters.
    initial: what to train further, instead of fresh parameters.
    mesh: how devices are arranged.
    export_dir: where to write the finished language model, for other jobs to
      start from; None is MODEL_DIR/model.
    history: what later reports say of this stage.
  """

  source: batch_sources.BatchSource
  optimizer: optax.GradientTransformation
  config: fit.TrainConfig
  model: t5.T5Config
  vocabulary: str
  model_dir: str
  lengths: Mapping[str, int]
  extra_ids: int = 100
  z_loss: float = 1e-4
  detection_weight: float = 1.0
  detection_layer: int | None = None
  detection_scale: float = 1.0
  match_queries: bool = False
  initial: pretrained.Pretrained | None = None
  mesh: meshes.MeshConfig = meshes.MeshConfig()
  export_dir: str | None = None
  history: str = "pre-trained on text"

  def plan(self, devices: str | None = None) -> fit_plan.TrainingPlan:
    """Shapes, parameters and memory; see `fit.plan`."""
    return fit.plan(self._training(self._base()), devices)

  def run(self) -> fit.FitResult:
    """Trains, or continues, and writes the language model; see `fit.fit`."""
    base = self._base()
    result = fit.fit(self._training(base))
    pretrained.write_archive(
      self.export_dir or f"{self.model_dir}/{EXPORT}",
      result.params["model"],
      dataclasses.replace(
        base.description,
        max_input_length=self.lengths["inputs"],
        max_response_length=self.lengths["targets"],
        history=(*base.description.history, self.history),
        scorer_layer=self.detection_layer,
      ),
      self.vocabulary,
    )
    return result

  def _base(self) -> pretrained.Pretrained:
    """What training starts from."""
    if self.initial is None:
      return pretrained.new_language_model(
        self.model, self.vocabulary, self.extra_ids, self.config.seed
      )
    _check_same_vocabulary(self.initial.vocabulary, self.vocabulary)
    return self.initial

  def _training(self, base: pretrained.Pretrained) -> fit.Training:
    devices, fresh = self.mesh.build(), self.initial is None
    matched = fresh and self.match_queries
    params = _params(base, matched, self.config.seed, devices)
    return fit.Training(
      params=params,
      loss_fn=self._loss(base.model),
      optimizer=self.optimizer,
      source=self.source,
      config=self.config,
      mesh=devices,
      model_dir=self.model_dir,
      planned=training_memory.Planned(
        base.model,
        lambda m: ({**params.abstract, "model": m.abstract()}, self._loss(m)),
      ),
      description="pretrain",
    )

  def _loss(self, model: language_model.EncoderDecoder) -> fit.LossFunction:
    return pretraining_loss(
      model,
      z_loss=self.z_loss,
      detection_weight=self.detection_weight,
      detection_layer=self.detection_layer,
      detection_scale=self.detection_scale,
    )
