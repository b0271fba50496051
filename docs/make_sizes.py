"""Writes docs/sizes.md: `python docs/make_sizes.py`. Minutes, no device."""

import functools
import pathlib

import jax
import jax.numpy as jnp

from xlrm import types
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.jobs import reward
from xlrm.jobs import sft
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.sampling import batch_shapes
from xlrm.sampling import sampling_config
from xlrm.sampling import sampling_memory
from xlrm.training import optimizers
from xlrm.training import training_memory

SIZES = [size for size in t5.SIZES if size not in ("nano", "tiny")]
DEVICES = ("H100", "H200", "H100x8", "v5e-8", "v4-8", "v4-32", "v5p-8")
ROWS, INPUTS, TARGETS = 32, 512, 128
PROMPTS, SAMPLES = 16, 64

HEAD = f"""# What fits where

GiB that each device has to hold, for mT5 in bfloat16 over float32 parameters,
layers recomputed in the backward pass (`remat`), Adafactor, {INPUTS} tokens in
and {TARGETS} out, parameters and rows split over all devices (`MeshConfig()`:
data = all, model = 1; for best-of-n rows only, each device holding all
weights). **Bold does not fit** in {device_memory.USABLE:.0%} of the
device. For your own job ask the job itself:

<!-- not run: the dots are your job's -->
```sh
xlrm run --gin_file=sft.gin ... --dry_run --devices=v4-32
```

or, without data and checkpoint,

```sh
xlrm bench train --size=xl --dtype=bfloat16 --remat --dry_run \\
  --batch={ROWS} --inputs={INPUTS} --targets={TARGETS} --devices=v4-32
```

Where it does not fit, `MeshConfig.model = 2` (or 4) splits heads, caches and
the vocabulary as well, which these tables do not show.

TPU slices are named as they are ordered: v4-32 is 32 cores and 16 devices,
v5e-8 is 8 devices. This file is written by `docs/make_sizes.py`.
"""

METHOD = """
## How the figures are made, and how far to trust them

Parameters, optimizer state and gradients follow from the shardings of the mesh
and are exact. Activations are the arrays that JAX's autodiff says it keeps for
one device's rows and its share of heads and MLP; with `remat` one layer of each
stack is added, the one that is being recomputed. The vocabulary's part is two
chunks of logits and, on a mesh, the gathered output matrix and its gradient; on
one device only what they take beyond the gradients, which come later.

Against programs compiled by XLA for a CPU (float32, arguments plus temporaries,
one device), plan divided by compiled:

| | shape | planned / compiled |
| --- | --- | --- |
| train, small | batch 8, 128 / 32, dropout 0.1 | 1.12 |
| train, small | batch 8, 512 / 128, dropout 0.1 | 1.32 |
| train, small | batch 8, 512 / 128, no dropout | 1.05 |
| train, base | batch 4, 512 / 128, no dropout | 1.14 |
| sample, small | 8 x 16, 512 / 128 | 1.17 |
| sample, base | 4 x 16, 512 / 128 | 1.06 |
| score, small | 8 x 16, 512 / 128 | 1.00 |
| score, base | 8 x 16, 1024 / 64 | 1.05 |

The plan is the larger where the compiler recomputes what autodiff would keep
(dropout masks most of all). XLA's CPU programs undo `remat` (512 / 128 without
dropout: 5.3 GiB of temporaries with it, 5.5 without), so the tables above could
not be checked in this way; no figure has been checked on a TPU.
"""


def _batch(rows: int) -> types.Batch:
  shape = (rows, 1, TARGETS)
  return types.Batch(
    jax.ShapeDtypeStruct((rows, INPUTS), jnp.int32),
    jax.ShapeDtypeStruct(shape, jnp.int32),
    jax.ShapeDtypeStruct(shape, jnp.float32),
  )


def _model(size: str, **options) -> language_model.EncoderDecoder:
  return language_model.EncoderDecoder(
    t5.mt5(size, dtype="bfloat16", **options)
  )


def _scorer(size: str, **options) -> response_scorer.ResponseScorer:
  return response_scorer.ResponseScorer(
    model=_model(size, **options),
    tokenizer=None,
    max_input_length=INPUTS,
    max_response_length=TARGETS,
  )


def _training(model, loss_of, batch, mesh) -> device_memory.MemoryPlan:
  return training_memory.training_plan(
    training_memory.Planned(model, loss_of),
    optimizer=optimizers.adafactor(1e-3),
    batch=batch,
    mesh=mesh,
  )


def _sft_loss(model):
  return model.abstract(), sft.sft_loss(model, 1e-4)


def _reward_loss(scorer):
  return scorer.abstract(), reward.reward_loss(scorer)


def sft_plan(size: str, mesh) -> device_memory.MemoryPlan:
  model = _model(size, remat=True, dropout_rate=0.1)
  return _training(model, _sft_loss, _batch(ROWS), mesh)


def reward_plan(size: str, mesh) -> device_memory.MemoryPlan:
  ratings = types.Ratings(
    _batch(ROWS), jax.ShapeDtypeStruct((ROWS, 1), jnp.float32)
  )
  model = _scorer(size, remat=True, dropout_rate=0.1)
  return _training(model, _reward_loss, ratings, mesh)


def best_of_n_plan(size: str, mesh) -> device_memory.MemoryPlan:
  """The larger of drawing the pool and of scoring it."""
  sampling = sampling_memory.sampling_plan(
    _model(size),
    mesh,
    shape=batch_shapes.BatchShape(PROMPTS, SAMPLES),
    input_length=INPUTS,
    config=sampling_config.SamplingConfig(max_tokens=TARGETS),
  )
  scoring = sampling_memory.scoring_plan(
    _scorer(size), mesh, batch_size=PROMPTS, num_responses=SAMPLES
  )
  return max(sampling, scoring, key=lambda plan: plan.total)


def ppo_plan(size: str, mesh) -> device_memory.MemoryPlan:
  """Policy and value model in training, reference and reward in bfloat16."""
  policy, value = sft_plan(size, mesh), reward_plan(size, mesh)
  frozen = policy.bytes["parameters"] // 2 + value.bytes["parameters"] // 2
  held = {
    "parameters": policy.bytes["parameters"] + value.bytes["parameters"],
    "optimizer": policy.bytes["optimizer"] + value.bytes["optimizer"],
    "frozen": frozen,
  }
  # One of the two updates, or the rollouts, at a time.
  updates = [
    sum(plan.bytes.values())
    - plan.bytes["parameters"]
    - plan.bytes["optimizer"]
    for plan in (policy, value)
  ]
  rollout = sampling_memory.sampling_plan(
    _model(size),
    mesh,
    shape=batch_shapes.BatchShape(ROWS, 1),
    input_length=INPUTS,
    config=sampling_config.SamplingConfig(max_tokens=TARGETS),
  )
  working = rollout.total - rollout.bytes["parameters"]
  return device_memory.MemoryPlan({**held, "working": max(*updates, working)})


STAGES = {
  f"SFT, batch {ROWS}": sft_plan,
  f"Reward model, batch {ROWS}": reward_plan,
  f"Best-of-{SAMPLES}, {PROMPTS} prompts at a time": best_of_n_plan,
  f"PPO, batch {ROWS} (an estimate: policy and value model trained as above, "
  "reference and reward model in bfloat16; see ppo.md)": ppo_plan,
}


def _cell(plan: device_memory.MemoryPlan, on: device_memory.Devices) -> str:
  text = f"{plan.total / device_memory.GIB:.1f}"
  return text if plan.fits(on) else f"**{text}**"


def table(stage, sizes=SIZES, names=DEVICES) -> list[str]:
  """Rows of one stage's table, as Markdown."""
  rows = []
  for size in sizes:
    cells = []
    for name in names:
      on = device_memory.devices(name)
      mesh = meshes.MeshConfig().abstract(on.count)
      cells.append(_cell(stage(size, mesh), on))
    rows.append(f"| {size} | {' | '.join(cells)} |")
  return rows


def text() -> str:
  """The page."""
  devices = [device_memory.devices(name) for name in DEVICES]
  header = [
    "| mT5 | " + " | ".join(f"{x.name} ({x.gib:g})" for x in devices) + " |",
    "| --- " * (len(devices) + 1) + "|",
  ]
  parts = [HEAD]
  for title, stage in STAGES.items():
    parts.append("\n".join([f"## {title}", "", *header, *table(stage)]) + "\n")
  return "\n".join(parts) + METHOD


if __name__ == "__main__":
  for kind in (language_model.EncoderDecoder, response_scorer.ResponseScorer):
    kind.abstract = functools.cache(kind.abstract)  # asked for many times
  page = pathlib.Path(__file__).with_name("sizes.md")
  page.write_text(text(), encoding="utf-8")
