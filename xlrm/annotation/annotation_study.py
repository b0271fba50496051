"""A study in a folder: begun once, resumed by the same command.

answers.sqlite   tasks (texts, opaque ids), links, answers
key.json         which text is whose, which task is an attention check
lock             held by the server
"""

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import fcntl
import pathlib
import secrets

from xlrm.annotation import answers
from xlrm.annotation import design
from xlrm.annotation import pairs as pairs_lib
from xlrm.annotation import store as store_lib
from xlrm.annotation import study_key
from xlrm.evaluation import pairing
from xlrm.evaluation import records as records_lib
from xlrm.storage import files

ANSWERS, KEY, LOCK = "answers.sqlite", "key.json", "lock"


def _tokens(annotators: Sequence[str]) -> dict[str, str]:
  return {name: secrets.token_urlsafe(24) for name in annotators}


def _check_folder(directory: pathlib.Path) -> None:
  """Raises ValueError if the folder holds anything but a study's files."""
  names = [path.name for path in files.listing(directory)]
  others = [name for name in names if name not in (ANSWERS, KEY, LOCK)]
  if others:
    raise ValueError(
      f"{directory} is not empty ({others[0]}): choose another --output"
    )


def read_pairs(path: str, settings: design.Settings) -> list[pairing.Pair]:
  """The pairs of a file of records that a study's settings ask for."""
  return pairs_lib.of_records(
    records_lib.read(path, records_lib.EvalRecord),
    method=settings.method,
    source=settings.source,
    baseline=settings.baseline,
    language=settings.language,
  )


def begin(
  directory: pathlib.Path,
  pairs: Sequence[pairing.Pair],
  settings: design.Settings,
  annotators: Sequence[str],
  page_language: str,
) -> None:
  """Draws the tasks and writes the folder; a kill leaves no study.

  Args:
    directory: exists, and is `locked`.
    pairs: of `pairs.of_records`.
    settings: of the study.
    annotators: names.
    page_language: one of `annotation_page.languages`.

  Raises:
    ValueError: the settings ask for what the pairs do not have.
  """
  _check_folder(directory)
  drawn = design.tasks(pairs, settings, annotators)
  study = secrets.token_hex(8)
  study_key.write(
    directory / KEY,
    study_key.StudyKey(
      study=study,
      settings=settings,
      digest=pairs_lib.digest(pairs),
      pairs=len(pairs),
      identical=sum(map(pairs_lib.look_alike, pairs)),
      keys=[key for _, key in drawn],
    ),
  )
  page = answers.Page(
    study=study,
    language=page_language,
    kind=settings.kind,
    ties=settings.ties,
    instructions=settings.instructions,
  )
  tasks = [task for task, _ in drawn]
  store_lib.create(directory / ANSWERS, page, _tokens(annotators), tasks)


def resume(
  directory: pathlib.Path,
  pairs: Sequence[pairing.Pair],
  settings: design.Settings,
  annotators: Sequence[str],
) -> None:
  """Checks that it is the same study; adds annotators who are new to it.

  Raises:
    ValueError: other settings, or records that have changed.
  """
  key = read_key(directory)
  for field in dataclasses.fields(design.Settings):
    old, new = (getattr(x, field.name) for x in (key.settings, settings))
    if old != new:
      raise ValueError(
        f"{directory} was begun with {field.name} {old!r}, not {new!r}: give "
        "it as it was, or begin another --output"
      )
  if pairs_lib.digest(pairs) != key.digest:
    raise ValueError(
      f"the outputs in the records have changed since {directory} was begun: "
      "give the file as it was, or begin another --output; the answers so far "
      "are safe"
    )
  _join(directory, key, pairs, annotators)


def _join(
  directory: pathlib.Path,
  key: study_key.StudyKey,
  pairs: Sequence[pairing.Pair],
  annotators: Sequence[str],
) -> None:
  with opened(directory) as store:
    new = [name for name in annotators if name not in store.tokens]
    if not new:
      return
    drawn = design.tasks(pairs, key.settings, new, joining=True)
    # The key first: killed between the two, it names tasks that nobody has.
    keys = [x for x in key.keys if x.annotator not in new]
    keys += [x for _, x in drawn]
    study_key.write(directory / KEY, dataclasses.replace(key, keys=keys))
    store.join(_tokens(new), [task for task, _ in drawn])


def begun(directory: pathlib.Path) -> bool:
  """Whether a folder holds a study."""
  return (directory / ANSWERS).exists()


@contextlib.contextmanager
def opened(directory: pathlib.Path) -> Iterator[store_lib.Store]:
  """A context that holds the answers of a study open.

  Raises:
    FileNotFoundError: there is no study.
  """
  if not begun(directory):
    raise FileNotFoundError(
      f"{directory} holds no study of people: `xlrm annotate RECORDS "
      f"--output={directory} ...` begins one"
    )
  store = store_lib.Store(directory / ANSWERS)
  try:
    yield store
  finally:
    store.close()


def read_key(directory: pathlib.Path) -> study_key.StudyKey:
  """The key of a study, which must be that of the answers beside it."""
  key = study_key.read(directory / KEY)
  with opened(directory) as store:
    if store.page.study != key.study:
      raise ValueError(
        f"{directory / KEY} is the key of another study than {ANSWERS} there"
      )
  return key


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> Iterator[None]:
  """A context that one server holds at a time; one that dies lets it go.

  If no study came of it, nothing is left behind.

  Raises:
    ValueError: another server has it.
  """
  made = not directory.exists()
  directory.mkdir(parents=True, exist_ok=True)
  with open(directory / LOCK, "w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise ValueError(
        f"{directory} is served by another xlrm annotate: use its links, or "
        "end it first"
      ) from error
    try:
      yield
    finally:
      if not begun(directory):
        (directory / LOCK).unlink()
        if made:
          directory.rmdir()
