"""Directories of Hugging Face's T5 family, from golden files."""

import json
import pathlib

import numpy as np
import safetensors.numpy

GOLDEN = pathlib.Path(__file__).parent / "golden"
FAMILIES = ("mt5", "t5", "t5_1_1", "umt5")


def golden(name: str):
  with np.load(GOLDEN / f"hf_{name}.npz") as arrays:
    return {key: arrays[key] for key in arrays.files}


def weights_of(made) -> dict[str, np.ndarray]:
  prefix = "weights/"
  return {
    key.removeprefix(prefix): value
    for key, value in made.items()
    if key.startswith(prefix)
  }


def write(root: pathlib.Path) -> pathlib.Path:
  """The four families as transformers left them, by its own library."""
  for name in FAMILIES:
    made = golden(name)
    (root / name).mkdir(parents=True)
    safetensors.numpy.save_file(
      weights_of(made), root / name / "model.safetensors"
    )
    (root / name / "config.json").write_text(str(made["config"]))
  return root


def change_config(directory, tmp_path, **changes) -> pathlib.Path:
  copied = tmp_path / "copy"
  copied.mkdir()
  for file in directory.iterdir():
    (copied / file.name).write_bytes(file.read_bytes())
  fields = json.loads((copied / "config.json").read_text())
  (copied / "config.json").write_text(json.dumps({**fields, **changes}))
  return copied
