"""T5X's layout, made with NumPy, gzip and msgpack alone."""

import gzip
import json
import math
import pathlib

import jax
import ml_dtypes
import msgpack
import numpy as np
import optax

from xlrm.models import language_model
from xlrm.models import t5

NAMES = {"<f4": "float32", "<u2": "uint16", "bfloat16": "bfloat16"}


def write_zarr(folder: pathlib.Path, array, chunks, code) -> None:
  """zarr version 2, from its specification."""
  folder.mkdir(parents=True)
  metadata = {
    "chunks": list(chunks),
    "compressor": {"id": "gzip", "level": 1},
    "dimension_separator": ".",
    "dtype": code,
    "fill_value": None,
    "filters": None,
    "order": "C",
    "shape": list(array.shape),
    "zarr_format": 2,
  }
  (folder / ".zarray").write_text(json.dumps(metadata))
  counts = [math.ceil(n / c) for n, c in zip(array.shape, chunks)]
  for place in np.ndindex(*counts):
    part = np.zeros(chunks, array.dtype)
    found = array[
      tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, chunks))
    ]
    part[tuple(slice(0, n) for n in found.shape)] = found
    name = ".".join(map(str, place))
    (folder / name).write_bytes(gzip.compress(part.tobytes()))


def read_zarr(folder: pathlib.Path) -> np.ndarray:
  metadata = json.loads((folder / ".zarray").read_text())
  dtype = metadata["dtype"]
  dtype = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
  array = np.zeros(metadata["shape"], dtype)
  chunks = metadata["chunks"]
  for file in folder.iterdir():
    if file.name != ".zarray":
      raw = file.read_bytes()
      part = np.frombuffer(gzip.decompress(raw), dtype).reshape(chunks)
      place = tuple(
        slice(int(i) * c, (int(i) + 1) * c)
        for i, c in zip(file.name.split("."), chunks)
      )
      target = array[place]
      target[...] = part[tuple(slice(0, n) for n in target.shape)]
  return array


def pack(array: np.ndarray) -> msgpack.ExtType:
  """An array as Flax writes it into msgpack."""
  fields = (array.shape, array.dtype.name, array.tobytes())
  return msgpack.ExtType(1, msgpack.packb(fields))


def spec(name, array, chunks, *, driver="file", top=False, code="<f4"):
  kvstore = {"driver": driver}
  if driver == "gcs":
    kvstore["bucket"] = "t5x-dummy-bucket"
  made = {
    "driver": "zarr",
    "dtype": "bfloat16" if code == "<u2" else NAMES[code],
    "kvstore": kvstore,
    "metadata": {"chunks": list(chunks), "shape": list(array.shape)},
  }
  (made if top else kvstore)["path"] = f"{name}/"
  return made


KERNEL = np.arange(15 * 8, dtype=np.float32).reshape(15, 8) / 7


def legacy(folder, *, version=3, code="<f4", driver="file", top=False):
  """One zarr kernel in several chunks, one small array inside the file."""
  kernel = KERNEL
  if code != "<f4":
    kernel = KERNEL.astype(ml_dtypes.bfloat16)
    kernel = kernel.view(np.uint16) if code == "<u2" else kernel
  name = "target.decoder.logits_dense.kernel"
  write_zarr(folder / name, kernel, (4, 8), code)
  leaf = spec(name, kernel, (4, 8), driver=driver, top=top, code=code)
  scale = np.linspace(0, 1, 8, dtype=np.float32)
  target = {
    "decoder": {
      "logits_dense": {"kernel": leaf},
      "decoder_norm": {"scale": pack(scale)},
    }
  }
  state = {"step": pack(np.array(7, np.int32)), "param_states": {}}
  content = {
    "version": version,
    "optimizer": {"target": target, "state": state},
  }
  (folder / "checkpoint").write_bytes(msgpack.packb(content))
  return folder


def legacy_version(folder, version) -> None:
  content = msgpack.unpackb((folder / "checkpoint").read_bytes())
  content["version"] = version
  (folder / "checkpoint").write_bytes(msgpack.packb(content))


def trained():
  """A tiny model's parameters and an Adafactor state after one step."""
  config = t5.T5Config(130, 128, 2, 64, 136, 1, 2)
  model = language_model.EncoderDecoder(config)
  params = jax.jit(model.init)(jax.random.key(0))
  optimizer = optax.adafactor(1e-3)

  @jax.jit
  def moments(params):
    return optimizer.update(params, optimizer.init(params), params)[1]

  return model, params, moments(params)
