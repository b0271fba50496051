"""What a result depends on beside the code: the packages, and the CPU."""

from collections.abc import Sequence
import importlib.metadata
import platform

PACKAGES = (
  "xlrm",
  "jax",
  "jaxlib",
  "flax",
  "optax",
  "orbax-checkpoint",
  "numpy",
  "gin-config",
  "sentencepiece",
  "seqio",
  "tensorflow",
  "matplotlib",
)
NOT_INSTALLED = "not installed"


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
  """Of Python and of packages, by name."""
  found = {"python": platform.python_version()}
  for name in packages:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      found[name] = NOT_INSTALLED
  return found


def cpu_name() -> str:
  """As the operating system calls it."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      for line in file:
        if line.startswith("model name"):
          return line.partition(":")[2].strip()
  except OSError:
    pass
  return platform.processor() or platform.machine()
