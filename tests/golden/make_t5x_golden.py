"""Small golden files from a run of T5X itself, for the parity tests.

  python tests/golden/make_t5x_golden.py REFERENCE_FOLDER

The folder holds what T5X (commit cc342d4) wrote for a tiny mT5 on CPU in
float32: `checkpoint_20/` (legacy format: msgpack and zarr), `forward.npz` and
`adafactor.npz`. Written beside this file:

  t5x_forward.npz    params/<path>, and for the batches `rand` and `task`:
                     inputs, targets, weights, logits, encoded, loss, z_loss,
                     token_scores, greedy_tokens
  t5x_adafactor.npz  params_before/<path>, then for the updates i = 0, 1:
                     grads_i/<path>, params_after_i/<path>,
                     opt_after_i/<path>/{v, v_row, v_col}
"""

import argparse
import gzip
import json
import pathlib
import re

from flax import serialization
from flax import traverse_util
import numpy as np

HERE = pathlib.Path(__file__).parent
FORWARD_FIELDS = {
  "batch/encoder_input_tokens": "inputs",
  "batch/decoder_target_tokens": "targets",
  "batch/decoder_loss_weights": "weights",
  "logits": "logits",
  "encoded": "encoded",
  "loss": "loss",
  "z_loss": "z_loss",
  "token_scores": "token_scores",
  "greedy_tokens": "greedy_tokens",
}


def read_zarr(folder: pathlib.Path) -> np.ndarray:
  """A gzip-compressed zarr (version 2) array of any number of chunks."""
  meta = json.loads((folder / ".zarray").read_text())
  array = np.zeros(meta["shape"], meta["dtype"])
  for file in folder.iterdir():
    if file.name.startswith("."):
      continue
    chunk = np.frombuffer(gzip.decompress(file.read_bytes()), meta["dtype"])
    index = map(int, file.name.split(meta["dimension_separator"]))
    place = tuple(
      slice(i * size, (i + 1) * size)
      for i, size in zip(index, meta["chunks"], strict=True)
    )
    room = array[place].shape
    chunk = chunk.reshape(meta["chunks"])
    array[place] = chunk[tuple(map(slice, room))]
  return array


def read_params(checkpoint: pathlib.Path) -> dict[str, np.ndarray]:
  """Parameters of a legacy T5X checkpoint by 'a/b/c' path."""
  state = serialization.msgpack_restore(
    (checkpoint / "checkpoint").read_bytes()
  )
  leaves = traverse_util.flatten_dict(
    state["optimizer"]["target"],
    sep="/",
    is_leaf=lambda _, node: "kvstore" in node or "driver" in node,
  )
  params = {}
  for name, leaf in leaves.items():
    if isinstance(leaf, dict):
      path = leaf.get("path") or leaf["kvstore"]["path"]
      leaf = read_zarr(checkpoint / path)
    params[name] = np.asarray(leaf)
  return params


def forward(reference: pathlib.Path) -> dict[str, np.ndarray]:
  params = read_params(reference / "checkpoint_20")
  arrays = {f"params/{name}": value for name, value in params.items()}
  with np.load(reference / "forward.npz") as source:
    for batch in ("rand", "task"):
      for old, new in FORWARD_FIELDS.items():
        arrays[f"{batch}/{new}"] = source[f"{batch}/{old}"]
  return arrays


def adafactor(reference: pathlib.Path) -> dict[str, np.ndarray]:
  wanted = r"params_before/|grads_[01]/|params_after_[01]/|opt_after_[01]/"
  with np.load(reference / "adafactor.npz") as source:
    return {
      name: source[name]
      for name in source.files
      if re.match(wanted, name) and not name.endswith("/m")
    }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("reference", type=pathlib.Path)
  reference = parser.parse_args().reference
  np.savez_compressed(HERE / "t5x_forward.npz", **forward(reference))
  np.savez_compressed(HERE / "t5x_adafactor.npz", **adafactor(reference))


if __name__ == "__main__":
  main()
