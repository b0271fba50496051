"""Versions and devices, for bug reports."""

import argparse
from collections.abc import Sequence
import importlib.metadata
import os
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
  del parser


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  return parser.parse_args(arguments)


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


def main(options: argparse.Namespace) -> int:
  del options
  import jax

  print(f"python {platform.python_version()} on {platform.platform()}")
  print(f"CPU {cpu_name()}, {os.cpu_count()} cores")
  for name in PACKAGES:
    try:
      version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      version = "not installed"
    print(f"{name} {version}")
  for device in jax.devices():
    print(f"device {device.id}: {device.device_kind} ({device.platform})")
  return 0
