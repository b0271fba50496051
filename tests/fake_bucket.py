"""Buckets that are folders of this machine: epath's paths, and no network."""

import os
import pathlib
import shutil

from etils.epath import backend
from etils.epath import gpath


class FakeBackend(backend._OsPathBackend):
  """gs://bucket/x is `root`/bucket/x; a file's folders come with it."""

  def __init__(self, root: pathlib.Path):
    self._root = root

  def _here(self, path) -> str:
    scheme, _, rest = os.fspath(path).partition("://")
    assert scheme == "gs", path
    return os.path.join(self._root, rest)

  def open(self, path, mode):
    here = self._here(path)
    if "w" in mode:
      os.makedirs(os.path.dirname(here), exist_ok=True)
    return super().open(here, mode)

  def exists(self, path):
    return os.path.exists(self._here(path))

  def isdir(self, path):
    return os.path.isdir(self._here(path))

  def listdir(self, path):
    return os.listdir(self._here(path))

  def glob(self, path):
    start = os.path.join(self._root, "")
    found = super().glob(self._here(path))
    return [f"gs://{x.removeprefix(start)}" for x in found]

  def makedirs(self, path, *, exist_ok=False, mode=None):
    os.makedirs(self._here(path), exist_ok=exist_ok)

  def mkdir(self, path, *, exist_ok=False, mode=None):
    os.makedirs(self._here(path), exist_ok=exist_ok)

  def rmtree(self, path):
    shutil.rmtree(self._here(path))

  def remove(self, path):
    os.remove(self._here(path))

  def rename(self, path, dst):
    os.rename(self._here(path), self._here(dst))

  def replace(self, path, dst):
    os.replace(self._here(path), self._here(dst))

  def copy(self, path, dst, overwrite):
    shutil.copyfile(self._here(path), self._here(dst))

  def stat(self, path):
    return super().stat(self._here(path))


def install(monkeypatch, root: pathlib.Path) -> pathlib.Path:
  """Until the test ends; the folder of gs://bucket."""
  monkeypatch.setitem(gpath._PREFIX_TO_BACKEND, "gs", FakeBackend(root))
  monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)
  (root / "bucket").mkdir(parents=True)
  return root / "bucket"
