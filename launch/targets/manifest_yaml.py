"""Kubernetes objects as YAML: texts of several lines stand as blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
  """Texts of several lines as blocks."""


_Dumper.add_representer(
  str,
  lambda dumper, text: dumper.represent_scalar(
    "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
  ),
)


def dump(objects: Sequence[Mapping[str, Any]]) -> str:
  """The objects as one YAML stream, in the order of their keys."""
  return yaml.dump_all(
    objects,
    Dumper=_Dumper,
    sort_keys=False,
    width=200,
    allow_unicode=True,
  )
