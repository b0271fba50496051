"""Writes t5_trees.json: path -> [shape, dtype] of the nano and small trees.

  python tests/golden/make_t5_trees.py

A checkpoint in the world outside depends on each line of `small`; rerun this
only after a wanted change of `nano`.
"""

import json
import pathlib

from flax import traverse_util

from xlrm.models import language_model
from xlrm.models import t5


def tree(size: str) -> dict[str, list]:
  leaves = traverse_util.flatten_dict(
    language_model.EncoderDecoder(t5.mt5(size)).abstract(), sep="/"
  )
  return {
    name: [list(leaf.shape), str(leaf.dtype)]
    for name, leaf in sorted(leaves.items())
  }


if __name__ == "__main__":
  lines = {
    size: [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in tree(size).items()]
    for size in ("nano", "small")
  }
  blocks = [
    f'"{size}": {{\n' + ",\n".join(rows) + "\n}" for size, rows in lines.items()
  ]
  text = "{" + ",\n".join(blocks) + "}"
  path = pathlib.Path(__file__).with_name("t5_trees.json")
  path.write_text(text + "\n", encoding="utf-8")
