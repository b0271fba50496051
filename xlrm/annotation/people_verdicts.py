"""The verdicts of a study of people, from its folder."""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import pathlib

from xlrm.annotation import annotation_study
from xlrm.annotation import answers as answers_lib
from xlrm.annotation import design
from xlrm.annotation import study_key
from xlrm.annotation import unblinding
from xlrm.evaluation import records


@dataclasses.dataclass(frozen=True)
class PeopleVerdicts:
  """What people have said so far, unblinded.

  Attributes:
    key: which text was whose.
    tasks: what was shown.
    answers: item -> answer.
    verdicts: by annotator and pair.
  """

  key: study_key.StudyKey
  tasks: Sequence[design.Task]
  answers: Mapping[str, answers_lib.Answer]
  verdicts: Sequence[records.Verdict]

  def text(self) -> str:
    """What they say together, for the terminal."""
    return unblinding.summary(self.key, self.answers)

  def write(self, path: str | os.PathLike) -> None:
    """The verdicts as JSON lines."""
    records.write(path, self.verdicts)


def read(directory: pathlib.Path) -> PeopleVerdicts:
  """Reads a study, which may still be served.

  Raises:
    FileNotFoundError: there is no study.
    ValueError: nobody has judged a pair yet.
  """
  with annotation_study.opened(directory) as store:
    answers, tasks = store.answers(), store.tasks()
  key = annotation_study.read_key(directory)
  verdicts = unblinding.verdicts(key, answers)
  if not verdicts:
    raise ValueError(f"{directory}: nobody has judged a pair yet")
  return PeopleVerdicts(key, tasks, answers, verdicts)
