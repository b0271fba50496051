"""Versions and devices, for bug reports."""

import argparse
from collections.abc import Sequence
import os
import platform

from xlrm.distributed import machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  del parser


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  del options
  import jax

  found = machine.versions()
  print(f"python {found.pop('python')} on {platform.platform()}")
  print(f"CPU {machine.cpu_name()}, {os.cpu_count()} cores")
  for name, version in found.items():
    print(f"{name} {version}")
  for device in jax.devices():
    print(f"device {device.id}: {device.device_kind} ({device.platform})")
  return 0
