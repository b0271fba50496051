"""PPO over frozen weights: only low-rank adapters learn (see `lora`).

The policy is adapters over the weights that it starts from, which are the
reference, too. The value model is a head and adapters of its own, over the
policy's weights, or over those of the reward model that it starts from. Frozen
weights are held once, and no optimizer knows them.
"""

from collections.abc import Callable
import dataclasses
import functools
import json
from typing import Any

import jax

from xlrm import types
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import native
from xlrm.distributed import lazy_params
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.models import lora
from xlrm.models import response_scorer
from xlrm.ppo import ppo_models
from xlrm.ppo import reward_scale
from xlrm.storage import files

FILE = "lora.json"
Loss = Callable[[types.Params, Any, Any], Any]


def policy_abstract(
  model: language_model.LanguageModel, config: lora.LoraConfig
) -> lora.Adapters:
  """The shapes of the policy's adapters.

  Raises:
    ValueError: see `lora.target_names`.
  """
  return jax.eval_shape(
    lambda: lora.init(jax.random.key(0), model.abstract(), config)
  )


def _value_adapters(key, scorer, config: lora.LoraConfig) -> lora.Adapters:
  """Of a scorer's backbone: it has no output matrix to adapt."""
  kept = {
    sharding.path_name(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(
      scorer.abstract()["backbone"]
    )
  }
  found = lora.init(key, scorer.model.abstract(), config)
  return {name: pair for name, pair in found.items() if name in kept}


def value_abstract(
  scorer: response_scorer.ResponseScorer, config: lora.LoraConfig
) -> types.Params:
  """The shapes of what the value model trains."""
  return {
    "adapters": jax.eval_shape(
      lambda: _value_adapters(jax.random.key(0), scorer, config)
    ),
    "head": scorer.abstract()["head"],
  }


def merged_policy(
  base: types.Params, adapters: lora.Adapters, config: lora.LoraConfig
) -> types.Params:
  """The policy's parameters."""
  return lora.merge(base, adapters, config)


def merged_value(
  base: types.Params, trained: types.Params, config: lora.LoraConfig
) -> types.Params:
  """The value model's parameters over a backbone."""
  backbone = lora.merge(base, trained["adapters"], config)
  return {"backbone": backbone, "head": trained["head"]}


def over(
  loss_fn: Loss, merged: Callable, base: types.Params, config: lora.LoraConfig
) -> Loss:
  """The loss as a function of what is trained alone."""

  def loss(trained, batch, key):
    return loss_fn(merged(base, trained, config), batch, key)

  return loss


@dataclasses.dataclass(frozen=True, eq=False)
class Adapted:
  """Frozen weights on the mesh, and adapters over them.

  Attributes:
    config: of the adapters.
    models: of the run; a value model that starts from a member of its reward
      model reads that member's arrays.
    mesh: of the run.
    seed: of the adapters.
    is_reference: the reference has the weights that the policy starts from.
  """

  config: lora.LoraConfig
  models: ppo_models.Models
  mesh: jax.sharding.Mesh
  seed: int
  is_reference: bool = True

  @functools.cached_property
  def base(self) -> types.Params:
    """Of policy and reference."""
    return self.models.policy.lazy_params.on(self.mesh)

  @functools.cached_property
  def _value_start(self) -> types.Params:
    """Backbone and head that the value model starts from."""
    if self.models.value is None:
      backbone = self.models.policy.model.without_output_matrix(self.base)
      return {"backbone": backbone, "head": ppo_models.zero_head(self.models)}
    if self.models.value_member is not None:
      return self.models.reward.params[self.models.value_member]
    return self.models.value.lazy_params.on(self.mesh)

  @property
  def bases(self) -> tuple[types.Params, types.Params | None]:
    """Of the policy and of the value model's backbone."""
    if self.models.scorer is None:
      return self.base, None
    return self.base, self._value_start["backbone"]

  def policy_start(self) -> lazy_params.LazyParams:
    """What the policy trains, at step 0."""
    return lazy_params.LazyParams.computed(
      lambda: lora.init(
        jax.random.key(self.seed),
        self.models.policy.model.abstract(),
        self.config,
      )
    )

  def value_start(
    self, scale: reward_scale.RewardScale
  ) -> lazy_params.LazyParams:
    """What the value model trains, at step 0."""
    key = jax.random.fold_in(jax.random.key(self.seed), 1)
    adapters = lazy_params.LazyParams.computed(
      lambda: _value_adapters(key, self.models.scorer, self.config)
    ).on(self.mesh)
    head = self._value_start["head"]
    if self.models.value is not None:
      head = ppo_models.scaled_head(head, scale)
    return ppo_models.taken({"adapters": adapters, "head": head})

  def policy(self, adapters: lora.Adapters) -> types.Params:
    """The policy's parameters: the base's arrays beside merged matrices."""
    return lora.replaced(self.base, self._merge(self.base, adapters))

  def release(self, policy: types.Params) -> None:
    """Frees the merged matrices of `policy`, whoever still names them."""
    names = lora.target_names(policy, self.config)
    for path, leaf in jax.tree_util.tree_leaves_with_path(policy):
      if sharding.path_name(path) in names:
        leaf.delete()

  def value(self, trained: types.Params) -> types.Params:
    """The value model's, likewise."""
    base = self.bases[1]
    merged = self._merge(base, trained["adapters"])
    return {"backbone": lora.replaced(base, merged), "head": trained["head"]}

  def _merge(
    self, base: types.Params, adapters: lora.Adapters
  ) -> dict[str, types.Array]:
    """Merged matrices, where those of the base are."""
    places = {
      sharding.path_name(path): leaf.sharding
      for path, leaf in jax.tree_util.tree_leaves_with_path(base)
    }
    places = tuple((name, places[name]) for name in adapters)
    return _merging(self.config, places)(base, adapters)

  def record(self) -> dict[str, Any]:
    """What a run must be continued with; all processes ask together."""
    found = dataclasses.asdict(self.config)
    found["targets"] = list(found["targets"])
    total = jax.jit(lora.checksum)
    for name, base in zip(("policy", "value"), self.bases):
      found[name] = base and int(total(base))
    return found


@functools.lru_cache(maxsize=8)
def _merging(config: lora.LoraConfig, places: tuple) -> Callable:
  return jax.jit(
    functools.partial(lora.matrices, config=config), out_shardings=dict(places)
  )


def check_continued(directory: files.Name, here: dict[str, Any] | None) -> None:
  """Raises CheckpointError unless a run's checkpoints are of these adapters.

  To be called before anything is restored.

  Args:
    here: `Adapted.record()`; None without adapters.
  """
  path = files.path(directory) / FILE
  if not native.steps(directory):
    return
  there = None
  if path.exists():
    there = json.loads(files.read_text(path))
  if there == here:
    return
  options = ("rank", "alpha", "targets")
  if any((there or {}).get(name) != (here or {}).get(name) for name in options):
    raise checkpoint_errors.CheckpointError(
      f"{directory} was trained with {_told(there)}, not with {_told(here)}: "
      "set ppo.train.lora as it was, or choose another MODEL_DIR"
    )
  changed = [x for x in ("policy", "value") if there.get(x) != here[x]]
  raise checkpoint_errors.CheckpointError(
    f"{directory}: its adapters lie over other weights of the "
    f"{' and '.join(changed)} than are there now: POLICY and VALUE must be the "
    "models that the run began with; or choose another MODEL_DIR"
  )


def _told(record: dict[str, Any] | None) -> str:
  if record is None:
    return "all weights (no LoRA)"
  return "LoRA of " + ", ".join(
    f"{name} {record.get(name)}" for name in ("rank", "alpha", "targets")
  )


def write(directory: files.Name, record: dict[str, Any] | None) -> None:
  """Into a run's folder, for `check_continued`."""
  path = files.path(directory) / FILE
  if record is None:
    files.remove(path)  # of a run that ended before a checkpoint
    return
  files.write_text(path, f"{json.dumps(record, indent=1)}\n")
