"""T5X's layout, made here with NumPy, gzip and msgpack alone, and read back."""

import gzip
import json
import math
import pathlib

import jax
import ml_dtypes
import msgpack
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.distributed import meshes
from xlrm.distributed import sharding
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


@pytest.mark.parametrize(
  "layout",
  [
    {},
    {"top": True},
    {"driver": "gfile"},
    {"driver": "gcs"},
    {"driver": "gcs", "top": True},
    {"code": "bfloat16"},
    {"code": "<u2", "version": 2},
  ],
)
def test_every_legacy_layout_is_read(layout, tmp_path):
  (tmp_path / "checkpoint_7").mkdir()
  legacy(tmp_path / "checkpoint_7", **layout)
  found = t5x.read(tmp_path)
  kernel = found["decoder/logits_dense/kernel"]
  expected = KERNEL
  if "code" in layout:
    assert kernel.dtype == ml_dtypes.bfloat16
    expected = KERNEL.astype(ml_dtypes.bfloat16)
  np.testing.assert_array_equal(kernel.whole(), expected)
  part = kernel.read((slice(3, 9), slice(2, 5)))
  np.testing.assert_array_equal(part, expected[3:9, 2:5])
  scale = found["decoder/decoder_norm/scale"].whole()
  np.testing.assert_array_equal(scale, np.linspace(0, 1, 8, dtype=np.float32))
  assert t5x.read_optimizer(tmp_path) == (7, {})


def test_the_latest_checkpoint_of_a_model_directory_is_read(tmp_path):
  for step in (3, 20, 100):
    (tmp_path / f"checkpoint_{step}").mkdir()
    legacy(tmp_path / f"checkpoint_{step}")
  assert t5x.find(tmp_path).name == "checkpoint_100"
  assert t5x.find(tmp_path / "checkpoint_3").name == "checkpoint_3"


@pytest.fixture(scope="module")
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


def test_what_is_written_is_the_layout_of_t5x(trained, tmp_path):
  model, params, state = trained
  arrays = stored.of_tree(params)
  made = t5x.write(
    tmp_path, arrays, step=20, moments=t5x.adafactor_moments(state)
  )
  assert made.name == "checkpoint_20"
  content = msgpack.unpackb((made / "checkpoint").read_bytes())
  assert content["version"] == 3
  leaf = content["optimizer"]["target"]["token_embedder"]["embedding"]
  name = "target.token_embedder.embedding"
  assert leaf == {
    "driver": "zarr",
    "dtype": "float32",
    "kvstore": {"driver": "file", "path": f"{name}/"},
    "metadata": {
      "chunks": [130, 128],
      "compressor": {"id": "gzip", "level": 1},
      "shape": [130, 128],
    },
  }
  for path, array in arrays.items():
    folder = pathlib.Path(made) / f"target.{path.replace('/', '.')}"
    np.testing.assert_array_equal(read_zarr(folder), array.whole())
  states = content["optimizer"]["state"]["param_states"]
  assert states["token_embedder"]["embedding"].keys() == set(t5x.MOMENTS)
  assert t5x.recognise(t5x.read(made), made) == model.config


def test_moments_and_step_come_back(trained, tmp_path):
  _, params, state = trained
  moments = t5x.adafactor_moments(state)
  t5x.write(tmp_path, stored.of_tree(params), step=20, moments=moments)
  step, found = t5x.read_optimizer(tmp_path)
  assert step == 20 and found.keys() == moments.keys()
  for name, array in moments.items():
    np.testing.assert_array_equal(found[name].whole(), array.whole())
  factored = found["token_embedder/embedding/v_row"]
  assert factored.shape == (128,) and factored.whole().any()


def test_bfloat16_is_written_natively(trained, tmp_path):
  _, params, _ = trained
  made = t5x.write(tmp_path, stored.of_tree(params), dtype="bfloat16")
  name = "decoder/logits_dense/kernel"
  folder = pathlib.Path(made) / f"target.{name.replace('/', '.')}"
  expected = np.asarray(params["decoder"]["logits_dense"]["kernel"])
  expected = expected.astype(ml_dtypes.bfloat16)
  np.testing.assert_array_equal(read_zarr(folder), expected)
  np.testing.assert_array_equal(t5x.read(made)[name].whole(), expected)


def test_an_orbax_checkpoint_of_t5x_is_read(trained, tmp_path, monkeypatch):
  _, params, _ = trained
  host = jax.device_get(params)
  state = {"step": np.array(5), "param_states": {"a": {"v": np.ones(3)}}}
  with ocp.PyTreeCheckpointer() as writer:
    writer.save(
      tmp_path / "checkpoint_5" / "state", {"target": host, "state": state}
    )
  found = t5x.read(tmp_path)
  expected = stored.of_tree(host)
  assert found.keys() == expected.keys()
  for name, array in expected.items():
    np.testing.assert_array_equal(found[name].whole(), array.whole())
  step, moments = t5x.read_optimizer(tmp_path)
  assert step == 5 and moments["a/v"].whole().tolist() == [1, 1, 1]
  monkeypatch.chdir(tmp_path)
  assert t5x.read("checkpoint_5").keys() == expected.keys()


def test_a_large_array_has_several_chunks():
  assert t5x._chunks((250_112, 512), 4) == [31_264, 512]
  for shape in ((250_112, 4096), (1000, 7, 100_003)):
    chunks = t5x._chunks(shape, 4)
    assert math.prod(chunks) * 4 <= t5x.CHUNK
    assert all(n % c == 0 for n, c in zip(shape, chunks))


def test_every_device_reads_only_its_slice(trained, tmp_path):
  model, params, _ = trained
  t5x.write(tmp_path, stored.of_tree(params))
  mesh = meshes.MeshConfig(data=4, model=2).build()
  abstract = model.abstract()
  shardings = sharding.tree_shardings(abstract, mesh)
  abstract = jax.tree.map(
    lambda x, y: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=y),
    abstract,
    shardings,
  )
  sizes = []

  def watched(array):
    def read(index):
      values = array.read(index)
      sizes.append((values.size, math.prod(array.shape)))
      return values

    return stored.StoredArray(array.shape, array.dtype, read)

  arrays = {name: watched(x) for name, x in t5x.read(tmp_path).items()}
  loaded = stored.place(arrays, abstract, tmp_path)
  table = loaded["token_embedder"]["embedding"]
  assert table.sharding.shard_shape(table.shape) == (65, 32)
  read_of_table = {size for size, whole in sizes if whole == table.size}
  assert read_of_table == {table.size // 8}
  jax.tree.map(np.testing.assert_array_equal, loaded, params)


@pytest.mark.parametrize(
  ("damage", "said"),
  [
    (lambda d: (d / "checkpoint").write_bytes(b"12"), "or a damaged one"),
    (
      lambda d: (d / "checkpoint").write_bytes(
        (d / "checkpoint").read_bytes()[:-9]
      ),
      "or a damaged one",
    ),
    (
      lambda d: (d / "target.decoder.logits_dense.kernel/.zarray").unlink(),
      "was the checkpoint copied whole",
    ),
    (lambda d: legacy_version(d, 1), "is of version 1"),
  ],
)
def test_a_damaged_checkpoint_is_one_message(damage, said, tmp_path):
  legacy(tmp_path)
  damage(tmp_path)
  with pytest.raises(t5x.CheckpointError, match=said):
    t5x.read(tmp_path)


def legacy_version(folder, version) -> None:
  content = msgpack.unpackb((folder / "checkpoint").read_bytes())
  content["version"] = version
  (folder / "checkpoint").write_bytes(msgpack.packb(content))


def test_no_checkpoint_and_no_t5_are_named(tmp_path):
  with pytest.raises(t5x.CheckpointError, match="is no T5X checkpoint"):
    t5x.read(tmp_path)
  legacy(tmp_path)
  with pytest.raises(t5x.CheckpointError, match="no encoder-decoder of the T5"):
    t5x.recognise(t5x.read(tmp_path), tmp_path)


def test_nothing_stands_where_writing_failed(trained, tmp_path):
  _, params, _ = trained

  def fail(count):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    t5x.write(tmp_path, stored.of_tree(params), step=3, progress=fail)
  assert t5x.find(tmp_path) is None
  t5x.write(tmp_path, stored.of_tree(params), step=3)
  assert [x.name for x in tmp_path.iterdir()] == ["checkpoint_3"]
  with pytest.raises(t5x.CheckpointError, match="exists already"):
    t5x.write(tmp_path, stored.of_tree(params), step=3)
