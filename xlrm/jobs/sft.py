"""Job: supervised fine-tuning of a language model on (prompt, response) rows.

The checkpoint with the highest ROUGE-L of greedy outputs on the validation
rows is kept as the best, as in the paper.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import Any

import jax
import optax

from xlrm.batches import batch_sources
from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.distributed import row_shards
from xlrm.evaluation import judges as judges_lib
from xlrm.losses import token_losses
from xlrm.models import language_model
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.training import fit
from xlrm.training import fit_plan
from xlrm.training import training_memory


@dataclasses.dataclass(frozen=True)
class GenerationEvaluation:
  """How validation outputs are made and scored while training.

  Attributes:
    num_examples: validation rows used, the first ones; 0 switches it off.
    batch_size: prompts decoded together.
    judges: whose means are logged beside ROUGE-L, as `validation/NAME`. The
      gold judge of miniworld tells whether training was long enough and decides
      nothing: keep another metric as `best_metric`.
  """

  num_examples: int = 64
  batch_size: int = 32
  judges: Sequence[judges_lib.Judge] = ()

  def __post_init__(self):
    if self.num_examples < 0 or self.batch_size < 1:
      raise ValueError(
        f"num_examples {self.num_examples} must be at least 0 and batch_size "
        f"{self.batch_size} at least 1"
      )


def sft_loss(
  model: language_model.EncoderDecoder, z_loss: float
) -> fit.LossFunction:
  """Cross-entropy of the targets, the encoder run once per prompt."""

  def loss_fn(params, batch, key=None):
    keys = (None, None) if key is None else tuple(jax.random.split(key))
    memory = model.encode(
      params, batch.inputs, segments=batch.input_segments, dropout_key=keys[0]
    )
    hidden = model.hidden(
      params,
      memory,
      batch.targets,
      segments=batch.target_segments,
      dropout_key=keys[1],
    )
    return token_losses.language_model_loss(
      hidden,
      model.output_matrix(params),
      batch.targets,
      batch.weights,
      z_loss=z_loss,
    )

  return loss_fn


def generation_evaluation(
  initial: pretrained.Pretrained,
  examples: Sequence[dict[str, Any]],
  lengths: Mapping[str, int],
  config: GenerationEvaluation,
  mesh: jax.sharding.Mesh,
  from_left: bool = False,
) -> Callable[[Any, int], dict[str, float]] | None:
  """A hook for `fit`: means over greedy outputs; None without rows."""
  chosen = examples[: config.num_examples]
  if not chosen:
    return None
  own = row_shards.own_mesh(mesh)
  generator = text_generation.Generator(
    model=initial.model,
    tokenizer=initial.tokenizer,
    config=sampling_config.SamplingConfig(
      max_tokens=lengths["targets"], greedy=True
    ),
    max_input_length=lengths["inputs"],
    batch_size=row_shards.batch_size(config.batch_size, own),
    num_samples=1,
    mesh=own,
    truncate_inputs_from_left=from_left,
  )

  def evaluate(params, step):
    del step
    outputs = text_generation.generate(
      generator,
      params,
      mesh,
      [row["inputs_pretokenized"] for row in chosen],
      [row["id"] for row in chosen],
    )
    return judges_lib.validation_means(
      (judges_lib.RougeJudge(), *config.judges),
      chosen,
      [output.texts[0] for output in outputs],
    )

  return evaluate


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FineTuning:
  """Supervised fine-tuning of a language model.

  Attributes:
    source: batches: `@SeqioSource()` or `@npz_source()`.
    optimizer: `@adafactor()` or `@adamw()`.
    config: how long, how often, what is best.
    model_dir: folder of everything that the job writes.
    initial: the model to start from, loaded or fresh.
    lengths: tokens of `inputs` and of `targets`, EOS included.
    z_loss: weight of log(Z)^2, which keeps logits small.
    frozen: regular expressions of parameter paths that stay as they are.
    evaluation: what is generated and measured at every evaluation.
    mesh: how devices are arranged.
    history: what later reports say of this stage.
  """

  source: batch_sources.BatchSource
  optimizer: optax.GradientTransformation
  config: fit.TrainConfig
  model_dir: str
  initial: pretrained.Pretrained
  lengths: Mapping[str, int]
  z_loss: float = 1e-4
  frozen: Sequence[str] = ()
  evaluation: GenerationEvaluation = GenerationEvaluation()
  mesh: meshes.MeshConfig = meshes.MeshConfig()
  history: str = ""

  def plan(self, devices: str | None = None) -> fit_plan.TrainingPlan:
    """Shapes, parameters and memory; see `fit.plan`."""
    return fit.plan(self._training(), devices)

  def run(self) -> fit.FitResult:
    """Trains, or continues; see `fit.fit`."""
    return fit.fit(self._training())

  def _training(self) -> fit.Training:
    initial, devices = self.initial, self.mesh.build()
    return fit.Training(
      params=initial.lazy_params,
      loss_fn=sft_loss(initial.model, self.z_loss),
      optimizer=self.optimizer,
      frozen=self.frozen,
      source=self.source,
      config=self.config,
      mesh=devices,
      model_dir=self.model_dir,
      evaluate=generation_evaluation(
        initial,
        self.source.examples("validation"),
        self.lengths,
        self.evaluation,
        devices,
        self.source.truncate_inputs_from_left,
      ),
      begin=functools.partial(
        model_description.write,
        self.model_dir,
        self._description(),
        initial.vocabulary,
      ),
      planned=training_memory.Planned(
        initial.model, lambda m: (m.abstract(), sft_loss(m, self.z_loss))
      ),
      description="sft",
    )

  def _description(self) -> model_description.Description:
    before = self.initial.description
    return dataclasses.replace(
      before,
      max_input_length=self.lengths["inputs"],
      max_response_length=self.lengths["targets"],
      history=(*before.history, self.history or "SFT"),
      truncate_inputs_from_left=self.source.truncate_inputs_from_left,
    )
