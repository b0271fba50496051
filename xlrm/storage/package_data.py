"""Files that ship inside the package: models, templates, pages, scripts."""

import pathlib

PACKAGE = pathlib.Path(__file__).parents[1]


def asset(*parts: str) -> pathlib.Path:
  """A file or folder below `xlrm/assets`, there or not."""
  return PACKAGE.joinpath("assets", *parts)
