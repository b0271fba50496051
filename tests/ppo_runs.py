"""PPO of the smallest models, as a job."""

from collections.abc import Iterator
import contextlib
import dataclasses
import pathlib

import jax
import pytest
import specks

from xlrm.batches import prompt_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.jobs import ppo as ppo_job
from xlrm.jobs import ppo_evaluation
from xlrm.models import lora
from xlrm.ppo import objective
from xlrm.ppo import ppo_models
from xlrm.ppo import rollouts
from xlrm.sampling import sampling_config
from xlrm.training import fit
from xlrm.training import optimizers

LENGTHS = {"inputs": 48, "targets": 12}
# As many prompts everywhere: one shape is compiled.
ROLLOUT = rollouts.RolloutConfig(
  batch_size=8,
  num_scale_samples=8,
  sampler=sampling_config.SamplingConfig(max_tokens=LENGTHS["targets"]),
  debug=True,  # ratio 1 and KL 0 are checked
)
EVALUATION = ppo_evaluation.PPOEvaluation(num_prompts=8, num_shown=2)
ONE_DEVICE = meshes.MeshConfig(1, 1)


def config(train_steps: int, **changes) -> fit.TrainConfig:
  options = {
    "eval_period": 2,
    "log_period": 1,
    "best_metric": "validation/scores",
    "best_mode": "max",
    "max_nonfinite_steps": 1,
    **changes,
  }
  return fit.TrainConfig(train_steps=train_steps, **options)


ALL_WEIGHTS = {
  "value": specks.REWARD,
  "heldout": specks.REWARD,
  "config": config(6, eval_period=3, checkpoint_period=1),
  "objective": objective.PPOConfig(
    policy_start_step=2, kl_target=1.0, num_minibatches=2, num_epochs=2
  ),
}
ADAPTERS = {
  "value": specks.REWARD,
  "lora": lora.LoraConfig(rank=2, alpha=4.0),
  "optimizer": optimizers.adafactor(1e-2, multiply_by_parameter_scale=False),
  "config": config(4),
}


def _refused(model):
  raise AssertionError("PPO read the parameters of a model off the mesh")


def job(
  place, folder, mesh: meshes.MeshConfig = ONE_DEVICE, **options
) -> ppo_job.PPO:
  """PPO as a job.

  Args:
    place: of models and prompts.
    folder: MODEL_DIR.
    mesh: over the first devices of what is there; data = -1 is all of them.
    options: of `PPO` and of its `PPOModels`, whose paths are names in `place`.
  """
  models = {"policy": specks.POLICY, "rewards": specks.REWARD}
  names = {field.name for field in dataclasses.fields(ppo_models.PPOModels)}
  models |= {name: options.pop(name) for name in names & options.keys()}
  named = {name: str(pathlib.Path(place) / x) for name, x in models.items()}
  options = {
    "optimizer": optimizers.adafactor(1e-3),
    "config": config(3),
    "objective": objective.PPOConfig(policy_start_step=1),
    "rollouts": ROLLOUT,
    "evaluation": EVALUATION,
    "lengths": LENGTHS,
    **options,
  }
  return ppo_job.PPO(
    source=prompt_files.PromptFile(
      str(pathlib.Path(place) / specks.PROMPTS), instruction="<es> "
    ),
    models=ppo_models.PPOModels(**named),
    model_dir=str(folder),
    mesh=mesh,
    **options,
  )


@contextlib.contextmanager
def few_devices(mesh: meshes.MeshConfig = ONE_DEVICE) -> Iterator[None]:
  """A mesh takes the first devices; no model may be read off it."""
  with pytest.MonkeyPatch.context() as patch:
    build, count = meshes.MeshConfig.build, mesh.data * mesh.model
    devices = jax.devices()[: count if count > 0 else None]
    patch.setattr(meshes.MeshConfig, "build", lambda x: build(x, devices))
    # One more copy of a model, on one device, is in no plan.
    patch.setattr(pretrained.Pretrained, "params", property(_refused))
    yield


def train(
  place, folder, mesh: meshes.MeshConfig = ONE_DEVICE, **options
) -> fit.FitResult:
  """Runs a `job`."""
  with few_devices(mesh):
    return job(place, folder, mesh, **options).run()


def train_all_weights(place, folder) -> fit.FitResult:
  """What is looked at, killed, and compared with."""
  return train(place, folder, **ALL_WEIGHTS)


def train_adapters(place, folder) -> fit.FitResult:
  return train(place, folder, **ADAPTERS)
