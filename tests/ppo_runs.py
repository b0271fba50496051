"""PPO of the smallest models, as a job."""

import pathlib

import jax
import pytest
import specks

from xlrm.batches import prompt_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.jobs import ppo as ppo_job
from xlrm.models import lora
from xlrm.ppo import objective
from xlrm.ppo import rollouts
from xlrm.sampling import sampling_config
from xlrm.training import fit
from xlrm.training import optimizers

LENGTHS = {"inputs": 48, "targets": 12}
# As many prompts everywhere: one shape is compiled.
ROLLOUT = rollouts.RolloutConfig(
  batch_size=8,
  num_scale_samples=8,
  num_validation_prompts=8,
  num_shown=2,
  debug=True,  # ratio 1 and KL 0 are checked
)
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
  "ppo_config": objective.PPOConfig(
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


def train(
  place, folder, mesh: meshes.MeshConfig = ONE_DEVICE, **options
) -> fit.FitResult:
  """PPO as a job.

  Args:
    place: of models and prompts.
    folder: MODEL_DIR.
    mesh: over the first devices of what is there; data = -1 is all of them.
    options: of `ppo.train`; paths of models may be names in `place`.
  """
  options = {
    "policy": specks.POLICY,
    "rewards": specks.REWARD,
    "optimizer": optimizers.adafactor(1e-3),
    "config": config(3),
    "ppo_config": objective.PPOConfig(policy_start_step=1),
    "rollout": ROLLOUT,
    "sampler": sampling_config.SamplingConfig(max_tokens=LENGTHS["targets"]),
    "lengths": LENGTHS,
    **options,
  }
  for name in ("policy", "rewards", "value", "reference", "heldout"):
    if options.get(name) is not None:
      options[name] = str(pathlib.Path(place) / options[name])
  with pytest.MonkeyPatch.context() as patch:
    build, count = meshes.MeshConfig.build, mesh.data * mesh.model
    devices = jax.devices()[: count if count > 0 else None]
    patch.setattr(meshes.MeshConfig, "build", lambda x: build(x, devices))
    # One more copy of a model, on one device, is in no plan.
    patch.setattr(pretrained.Pretrained, "params", property(_refused))
    return ppo_job.train(
      source=prompt_files.PromptFile(
        str(pathlib.Path(place) / specks.PROMPTS), instruction="<es> "
      ),
      model_dir=str(folder),
      mesh=mesh,
      **options,
    )


def train_all_weights(place, folder) -> fit.FitResult:
  """What is looked at, killed, and compared with."""
  return train(place, folder, **ALL_WEIGHTS)


def train_adapters(place, folder) -> fit.FitResult:
  return train(place, folder, **ADAPTERS)
