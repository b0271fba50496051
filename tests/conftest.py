"""The suite's machine: 8 fake CPU devices, checked shapes."""

from collections.abc import Iterator
import os
import pathlib
import signal

# A shell that starts the suite in the background has SIGINT ignored, and so
# would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
  signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["JAX_PLATFORMS"] = "cpu"
# Most of the suite's time went into LLVM: the programs stay the same, their
# machine code is not optimized. Timings and the demo are not made this way.
os.environ["XLA_FLAGS"] = (
  os.environ.get("XLA_FLAGS", "")
  + " --xla_force_host_platform_device_count=8"
  + " --xla_backend_optimization_level=0"
)

import fake_bucket
import jax
from jax.experimental.compilation_cache import compilation_cache
import jaxtyping
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

# Shapes and types of every annotated function of the numeric modules. (Not of
# miniworld and the like: they hold no arrays, and checks cost time.)
CHECKED = [
  "xlrm.losses",
  "xlrm.models.attention",
  "xlrm.models.kv_cache",
  "xlrm.models.language_model",
  "xlrm.models.response_scorer",
  "xlrm.models.t5",
  "xlrm.models.t5_layers",
  "xlrm.models.verdict_scorer",
  "xlrm.sampling.batch_shapes",
  "xlrm.sampling.decode_programs",
  "xlrm.sampling.decode_state",
  "xlrm.sampling.decoding",
  "xlrm.sampling.sampling_config",
  "xlrm.sampling.scheduler",
  "xlrm.sampling.token_sampling",
  "xlrm.best_of_n.estimators",
  "xlrm.ppo.advantages",
  "xlrm.ppo.objective",
  "xlrm.ppo.ppo_step",
  "xlrm.training.optimizers",
  "xlrm.distributed.sharding",
  "xlrm.evaluation",
]
_hook = jaxtyping.install_import_hook(CHECKED, "beartype.beartype")


def pytest_addoption(parser):
  parser.addoption(
    "--slow", action="store_true", help="run the tests marked slow, too"
  )


def pytest_collection_modifyitems(config, items):
  if config.getoption("--slow"):
    return
  skip = pytest.mark.skip(reason="slow: run `make test-all` (--slow)")
  for item in items:
    if "slow" in item.keywords:
      item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
  """The folder of real multilingual text that XLRM_REAL_DATA names."""
  folder = os.environ.get("XLRM_REAL_DATA")
  if not folder:
    pytest.skip("real data: set XLRM_REAL_DATA to its folder")
  return pathlib.Path(folder)


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> pathlib.Path:
  """The folder of gs://bucket, in an empty working directory."""
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  return fake_bucket.install(monkeypatch, tmp_path / "buckets")


@pytest.fixture(scope="module")
def speck_size() -> Iterator[str]:
  """The name of the smallest mT5 that knows nano's vocabulary."""
  from xlrm.models import t5

  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(t5.SIZES, "speck", (1600, 16, 2, 8, 24, 1, 2))
    yield "speck"


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> pathlib.Path:
  """A folder with the smallest policy, its reward model and 24 prompts."""
  import specks

  folder = tmp_path_factory.mktemp("specks")
  specks.prepare(folder, 24)
  return folder


@pytest.fixture(scope="session")
def speck(place):
  return str(place / "speck")


@pytest.fixture(scope="session")
def speck_reward(place):
  return str(place / "speck_rm")


@pytest.fixture(scope="module")
def compile_once(tmp_path_factory):
  """A folder of compiled programs, for a module and the processes it starts.

  JAX compiles a function anew for every closure: a job that is run twice, a dry
  run and the run after it.
  """
  folder = str(tmp_path_factory.getbasetemp() / "compilations")
  jax.config.update("jax_compilation_cache_dir", folder)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
  compilation_cache.reset_cache()
  yield folder
  jax.config.update("jax_compilation_cache_dir", None)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 1)
  compilation_cache.reset_cache()
