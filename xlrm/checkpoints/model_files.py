"""What a path to a model holds: ours, T5X's or Hugging Face's.

A MODEL_DIR of ours holds `model.json` (what the model is), `spiece.model` (its
vocabulary) and the checkpoints of training; a released model holds one
`params.npz` instead of checkpoints, and the name "nano" means the one that
ships with xlrm. The other two kinds are recognised by their files.
"""

from collections.abc import Callable, Sequence
import dataclasses
import hashlib

from etils import epath

from xlrm import types
from xlrm.checkpoints import adafactor_moments
from xlrm.checkpoints import file_marks
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import huggingface_config
from xlrm.checkpoints import model_description
from xlrm.checkpoints import native
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5_recognition
from xlrm.checkpoints import t5x
from xlrm.distributed import lazy_params as lazy_params_lib
from xlrm.models import t5
from xlrm.storage import files as files_lib
from xlrm.storage import package_data
from xlrm.text import tokenizer

ARCHIVE = "params.npz"
SHIPPED = ("nano",)
HUB_FIELD = "xlrm"  # in config.json: our description
T5X, HUGGING_FACE, XLRM = "t5x", "hf", "xlrm"  # kinds of source


@dataclasses.dataclass(frozen=True)
class ModelFiles:
  """What a path holds, not yet read.

  Attributes:
    path: the directory.
    source: XLRM, T5X or HUGGING_FACE.
    description: of the model.
    vocabulary: the sentencepiece file; "" if there is none.
    read: its parameters, array by array.
    marks: what tells the parameters that `read` reads from others.
  """

  path: epath.Path
  source: str
  description: model_description.Description
  vocabulary: str
  read: Callable[[], stored.Stored]
  marks: Callable[[], Sequence[str]]


def resolve(path: files_lib.Name) -> epath.Path:
  """The directory that a path or the name of a shipped model means."""
  if str(path) in SHIPPED:
    path = package_data.asset(str(path))
  return files_lib.path(path)


def model_directory(path: files_lib.Name) -> epath.Path:
  """The MODEL_DIR of a path that may name one checkpoint inside it.

  Raises:
    FileNotFoundError: there is no model.json; says what the folder holds.
  """
  directory = resolve(path)
  for candidate in (directory, directory.parent):
    if (candidate / model_description.FILE).exists():
      return candidate
  if not directory.is_dir():
    raise FileNotFoundError(
      f"no model directory {directory} (shipped models: {', '.join(SHIPPED)})"
    )
  held = [entry.name for entry in files_lib.listing(directory)][:8]
  raise FileNotFoundError(
    f"{directory} holds no {model_description.FILE}, so it is no model "
    f"directory; it holds: {', '.join(held) or 'nothing'}"
  )


def find(
  path: files_lib.Name, vocabulary: files_lib.Name | None = None
) -> ModelFiles:
  """Recognises a model by its files.

  Args:
    path: MODEL_DIR of ours or of T5X, one of its checkpoints, a Hugging Face
      directory, or the name of a shipped model.
    vocabulary: sentencepiece file, for a checkpoint that has none beside it.

  Raises:
    FileNotFoundError, ValueError: no model there; says what was found.
  """
  directory = resolve(path)
  given = "" if vocabulary is None else str(vocabulary)
  checkpoint = None if str(path) in SHIPPED else t5x.find(directory)
  if checkpoint is not None:
    return _t5x_files(directory, checkpoint, given)
  if files_lib.is_remote(directory):
    raise FileNotFoundError(
      f"{path} holds no T5X checkpoint, and only these are read from a bucket: "
      "mount it (gcsfuse BUCKET FOLDER), or copy the folder"
    )
  if (directory / huggingface_config.FILE).is_file():
    return _hub_files(directory, given)
  return _own_files(directory, given)


def fingerprint(path: files_lib.Name) -> str:
  """Changes when `load_language_model` or `load_scorer` would read another
  model: other parameters, another description or vocabulary.

  A model has the same one wherever it lies, so that a job that was begun can be
  resumed after a move. Parameters are told by the checksums that their format
  keeps: the manifest of the checkpoint in use, those inside .npz files and of
  T5X's chunks. Hugging Face's and Orbax's large files have none and count by
  size and time: a copy must keep the times (cp -a).

  Raises:
    FileNotFoundError, ValueError: no model there; says what was found.
  """
  found = find(path)
  described = dataclasses.replace(found.description, history=())
  digest = hashlib.sha256(repr(described).encode())
  if found.vocabulary:
    digest.update(files_lib.read_bytes(found.vocabulary))
  for mark in found.marks():
    digest.update(f"{mark}\n".encode())
  return digest.hexdigest()


def training_state(
  files: ModelFiles,
) -> tuple[int, dict[str, stored.StoredArray] | None] | None:
  """(step, Adafactor's moments as T5X names them) beside the parameters.

  Moments are None where another optimizer trained them; the whole is None
  where the files are of no training run.
  """
  if files.source == T5X:
    step, moments = t5x.read_optimizer(files.path)
    return step, moments or None
  if files.source != XLRM or (files.path / ARCHIVE).is_file():
    return None
  step, rest = native.read_rest(files.path)
  return step, adafactor_moments.of_stored(rest, files.read())


def _own_files(path: epath.Path, vocabulary: str) -> ModelFiles:
  directory, archive = model_directory(path), path / ARCHIVE
  read, marks = lambda: native.read(path), lambda: native.marks(path)
  if archive.exists():
    read = lambda: stored.read_archive(archive)
    marks = lambda: file_marks.of_archive(archive)
  return ModelFiles(
    path,
    XLRM,
    model_description.read(directory / model_description.FILE),
    vocabulary or str(directory / model_description.VOCABULARY),
    read,
    marks,
  )


def _extra_ids(vocabulary: str, rows: int) -> int:
  """Sentinels behind the pieces: none if the file has its own, else up to 100.

  Raises:
    ValueError: the file has more pieces than the model has rows.
  """
  if not vocabulary:
    return 0
  plain = tokenizer.Tokenizer.load(vocabulary)
  if plain.vocab_size > rows:
    raise ValueError(
      f"{vocabulary} has {plain.vocab_size} pieces, the model only {rows} "
      "rows: it is another model's vocabulary"
    )
  return 0 if plain.sentinel_ids else min(100, rows - plain.vocab_size)


def _foreign(
  config: t5.T5Config, vocabulary: str, history: str
) -> model_description.Description:
  """Of a language model that others made: it names no lengths."""
  extra_ids = _extra_ids(vocabulary, config.vocab_size)
  return model_description.Description(
    model_description.LANGUAGE_MODEL, config, 0, 0, extra_ids, (history,)
  )


def _beside(folders: Sequence[epath.Path], name: str) -> str:
  return next((str(x / name) for x in folders if (x / name).exists()), "")


def _t5x_files(
  path: epath.Path, checkpoint: epath.Path, vocabulary: str
) -> ModelFiles:
  arrays = t5x.read(checkpoint)
  folders = (checkpoint, checkpoint.parent)
  vocabulary = vocabulary or _beside(folders, model_description.VOCABULARY)
  own = _beside(folders, model_description.FILE)
  if own:
    description = model_description.read(own)
  else:
    config = t5_recognition.recognise(arrays, checkpoint)
    description = _foreign(config, vocabulary, f"T5X checkpoint {path.name}")
  return ModelFiles(
    path,
    T5X,
    description,
    vocabulary,
    lambda: arrays,
    lambda: t5x.marks(checkpoint),
  )


def _hub_files(directory: epath.Path, vocabulary: str) -> ModelFiles:
  arrays = dict(huggingface.read(directory))
  vocabulary = vocabulary or _beside([directory], model_description.VOCABULARY)
  own = huggingface_config.read(directory).get(HUB_FIELD)
  if own is not None:
    description = model_description.of_fields(own)
  else:
    config = huggingface_config.config_of(directory, arrays)
    history = f"Hugging Face directory {directory.name}"
    description = _foreign(config, vocabulary, history)
  if description.kind == model_description.RESPONSE_SCORER:
    arrays = {
      name if name.startswith("head/") else f"backbone/{name}": array
      for name, array in arrays.items()
    }
  return ModelFiles(
    directory,
    HUGGING_FACE,
    description,
    vocabulary,
    lambda: arrays,
    lambda: huggingface.marks(directory),
  )


def read_description(path: files_lib.Name) -> model_description.Description:
  """What a path holds; of our own directories nothing but `model.json` is read.

  Raises:
    FileNotFoundError, ValueError: no model there; says what was found.
  """
  return find(path).description


def vocabulary_path(
  path: files_lib.Name, vocabulary: files_lib.Name | None = None
) -> str:
  """The sentencepiece file of a model.

  Raises:
    FileNotFoundError: it has none and none was given.
  """
  return require_vocabulary(find(path, vocabulary))


def require_vocabulary(files: ModelFiles) -> str:
  """See `vocabulary_path`."""
  if not files.vocabulary:
    raise FileNotFoundError(
      f"{files.path} has no {model_description.VOCABULARY} beside it: name the "
      "sentencepiece file (gin: load_language_model.vocabulary, "
      "load_tokenizer.vocabulary)"
    )
  return files.vocabulary


def lazy_params(
  files: ModelFiles, abstract: types.Params
) -> lazy_params_lib.LazyParams:
  """Parameters to be put on devices, each of which reads only its slices.

  Args:
    files: of `find`.
    abstract: shapes and dtypes.

  Raises:
    CheckpointError: another model's; damage shows when they are read.
  """
  own = files.source == XLRM and not (files.path / ARCHIVE).is_file()
  if not own:
    stored.check(files.read(), abstract, files.path)

  def make(there):
    if own:
      return native.load_params(str(files.path), there)
    return stored.place(files.read(), there, files.path)

  return lazy_params_lib.LazyParams(abstract, make)
