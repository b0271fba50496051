"""The key of a study: kept beside the answers, in a file of its own.

Only beginning a study and reading its verdicts open it. Whoever has the
answers without this file cannot say which text was whose.
"""

from collections.abc import Sequence
import dataclasses
import json
import pathlib

from xlrm.annotation import design
from xlrm.storage import files


@dataclasses.dataclass(frozen=True)
class StudyKey:
  """The tasks of a study as they were drawn, and what unblinds them.

  Attributes:
    study: random id that the database carries, too.
    settings: of the study.
    digest: of the pairs, see `pairs.digest`.
    pairs: prompts that both sides answered.
    identical: how many of them have the same output twice.
    keys: one per task.
  """

  study: str
  settings: design.Settings
  digest: str
  pairs: int
  identical: int
  keys: Sequence[design.Key]


def write(path: pathlib.Path, key: StudyKey) -> None:
  """Writes the key, readable by its owner only: complete, or not at all."""
  text = json.dumps(dataclasses.asdict(key), ensure_ascii=False, indent=1)
  files.write_bytes(path, text.encode(), mode=0o600)


def read(path: pathlib.Path) -> StudyKey:
  """The key in a file.

  Raises:
    FileNotFoundError: there is none; says what it is for.
    ValueError: the file holds no key.
  """
  if not path.is_file():
    raise FileNotFoundError(
      f"{path}: the key of the study is missing; without it nobody can say "
      "which text was whose. Put it back where it was"
    )
  try:
    fields = json.loads(files.read_text(path))
    settings = design.Settings(**fields.pop("settings"))
    keys = [design.Key(**x) for x in fields.pop("keys")]
    return StudyKey(settings=settings, keys=keys, **fields)
  except (ValueError, TypeError, KeyError, AttributeError) as error:
    raise ValueError(f"{path}: no key of a study ({error})") from error
