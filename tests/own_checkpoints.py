"""Small checkpoints of our own, and harm to them."""

import pathlib

import jax
import jax.numpy as jnp

from xlrm.checkpoints import manifest
from xlrm.checkpoints import run_checkpoints
from xlrm.distributed import meshes
from xlrm.distributed import sharding


def params(value: float = 0.0):
  return {
    "token_embedder": {"embedding": jnp.full((512, 16), float(value))},
    "encoder": {"encoder_norm": {"scale": jnp.full((16,), value + 0.5)}},
  }


def rest(step: int):
  return {"step": jnp.int32(step), "opt_state": [jnp.ones((2,))]}


def abstract(tree, mesh=None):
  mesh = mesh or meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    tree,
    sharding.tree_shardings(tree, mesh),
  )


def write_three(folder: pathlib.Path) -> pathlib.Path:
  """Checkpoints 1, 2, 3 whose parameters are their step."""
  checkpointer = run_checkpoints.Checkpointer(folder, keep=3)
  for step in (1, 2, 3):
    checkpointer.save(step, params(step), rest(step), {"note": step})
  checkpointer.close()
  return folder


def damage(path: pathlib.Path) -> str:
  """Flips one bit in the largest file; returns its name."""
  files = [p for p in path.rglob("*") if p.is_file()]
  largest = max(
    (p for p in files if p.name != manifest.NAME),
    key=lambda p: p.stat().st_size,
  )
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 1
  largest.write_bytes(bytes(content))
  return largest.name
