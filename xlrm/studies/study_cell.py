"""A cell of a study: one gin job in one folder, and how it is named.

A folder's name says where its cell stands on the axes, except for an axis'
first value: `rm_en`, `rm_en_seed1`. So values are added at the end.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

from etils import epath

from xlrm.storage import files
from xlrm.studies import study as study_lib

Folder = pathlib.PurePosixPath  # in settings: a folder of the study
_WANTED = ("VERDICTS", "evaluate.run.swept")  # settings of a report


@dataclasses.dataclass(frozen=True)
class StudyCell:
  """A cell of a study: one gin job in one folder.

  Attributes:
    kind: a key of study.JOBS.
    name: unique in the study; its folder there, unless it is the report.
    title: for people.
    gin_file: of the job.
    settings: macro or parameter -> value; a Folder in it is one of the study.
    needs: names of cells that must be complete before.
    root: folder of the study.
    wants: names of cells whose folders it takes, in its settings, if they are
      complete.
  """

  kind: str
  name: str
  title: str
  gin_file: str
  settings: study_lib.Settings
  needs: tuple[str, ...]
  root: epath.Path
  wants: tuple[str, ...] = ()

  def without(self, missing: Collection[str]) -> "StudyCell":
    """The cell when some that it wants are not complete."""
    gone = set(map(Folder, missing))
    settings = {
      name: [x for x in value if _folder_of(x) not in gone]
      if name in _WANTED
      else value
      for name, value in self.settings.items()
    }
    return dataclasses.replace(self, settings=settings)

  @property
  def folder(self) -> epath.Path:
    """The folder of its job."""
    own = self.settings.get("MODEL_DIR", Folder(self.name))
    return self.root / own

  @property
  def bindings(self) -> list[str]:
    """The lines 'NAME = VALUE' that `xlrm run` needs to run this cell alone."""
    return [
      f"{name} = {_placed(value, self.root)!r}"
      for name, value in self.settings.items()
    ]


def _folder_of(entry: Any) -> Any:
  """Of an entry of a setting in _WANTED; a swept point is [folder, values]."""
  return entry[0] if isinstance(entry, list) else entry


def _placed(value: Any, root: epath.Path) -> Any:
  """The value with the study's folders as paths."""
  if isinstance(value, Folder):
    return str(root / value)
  if isinstance(value, Mapping):
    return {key: _placed(x, root) for key, x in value.items()}
  if isinstance(value, list | tuple):
    return type(value)(_placed(x, root) for x in value)
  return value


def told(study: study_lib.Study, axes: study_lib.Settings) -> str:
  """The words for axes of several values: ', seed 1, kl 0.2'."""
  return "".join(
    f", {study_lib.AXES[axis]} {value}"
    for axis, value in axes.items()
    if len(study.axis(axis)) > 1
  )


def suffix(study: study_lib.Study, axes: study_lib.Settings) -> str:
  """The end of a folder's name, by axes not at their first value: '_seed1'."""
  return "".join(
    f"_{study_lib.AXES[axis]}{value}"
    for axis, value in axes.items()
    if value != study.axis(axis)[0]
  )


def name_of(
  study: study_lib.Study, kind: str, axes: study_lib.Settings, **places: str
) -> str:
  """The folder of a cell, from the study's pattern for its kind.

  Raises:
    ValueError: the pattern has a place that this kind does not.
  """
  pattern = study.folders.get(kind, study_lib.FOLDERS[kind])
  try:
    return str(Folder(pattern.format(**places) + suffix(study, axes)))
  except (KeyError, IndexError) as error:
    raise ValueError(
      f"folders: {kind!r}: {pattern!r} has the place {error}; it may have "
      f"{', '.join(f'{{{x}}}' for x in places) or 'none'}"
    ) from error


def make(
  study: study_lib.Study,
  kind: str,
  name: str,
  title: str,
  settings: study_lib.Settings,
  needs: Sequence[str] = (),
) -> StudyCell:
  """A cell with the user's settings added.

  Raises:
    ValueError: these are what the study decides.
  """
  own = study.settings.get(kind, {})
  for key in own:
    if key in settings:
      raise ValueError(
        f"settings: {kind!r} has {key}, which the study sets itself (to "
        f"{settings[key]!r} in {title})"
      )
  gin_file = study.jobs.get(kind, study_lib.JOBS[kind])
  root = files.path(study.model_dir)
  needs = tuple(dict.fromkeys(needs))
  return StudyCell(
    kind, name, title, gin_file, {**settings, **own}, needs, root
  )
