"""What a path to a model holds: ours, T5X's or Hugging Face's.

A MODEL_DIR of ours holds `model.json` (what the model is), `spiece.model` (its
vocabulary) and the checkpoints of training; a released model holds one
`params.npz` instead of checkpoints, and the name "nano" means the one that
ships with xlrm. The other two kinds are recognised by their files.
"""

from collections.abc import Callable
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

from xlrm import types
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import native
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.distributed import lazy_params as lazy_params_lib
from xlrm.distributed import processes
from xlrm.models import t5
from xlrm.storage import package_data
from xlrm.text import tokenizer

DESCRIPTION = "model.json"
VOCABULARY = "spiece.model"
ARCHIVE = "params.npz"
SHIPPED = ("nano",)
HUB_FIELD = "xlrm"  # in config.json: our description
LANGUAGE_MODEL = "language_model"
RESPONSE_SCORER = "response_scorer"
T5X, HUGGING_FACE, XLRM = "t5x", "hf", "xlrm"  # kinds of source


@dataclasses.dataclass(frozen=True)
class Description:
  """What `model.json` says.

  Attributes:
    kind: LANGUAGE_MODEL or RESPONSE_SCORER.
    config: sizes and flags of the backbone.
    max_input_length: tokens of a prompt, EOS included.
    max_response_length: tokens of a response, EOS included.
    extra_ids: sentinel ids behind the pieces of the vocabulary.
    history: one sentence per stage of training, oldest first.
    scorer_layer: decoder layer that a scorer reads, None is the last.
    truncate_inputs_from_left: prompts that are too long lose their beginning,
      as in the model's training.
  """

  kind: str
  config: t5.T5Config
  max_input_length: int
  max_response_length: int
  extra_ids: int
  history: tuple[str, ...] = ()
  scorer_layer: int | None = None
  truncate_inputs_from_left: bool = False

  def __post_init__(self):
    if self.kind not in (LANGUAGE_MODEL, RESPONSE_SCORER):
      raise ValueError(
        f"model kind {self.kind!r} is neither {LANGUAGE_MODEL!r} nor "
        f"{RESPONSE_SCORER!r}"
      )


@dataclasses.dataclass(frozen=True)
class ModelFiles:
  """What a path holds, not yet read.

  Attributes:
    path: the directory.
    source: XLRM, T5X or HUGGING_FACE.
    description: of the model.
    vocabulary: the sentencepiece file; "" if there is none.
    read: its parameters, array by array.
  """

  path: pathlib.Path
  source: str
  description: Description
  vocabulary: str
  read: Callable[[], stored.Stored]


def resolve(path: str | os.PathLike) -> pathlib.Path:
  """The directory that a path or the name of a shipped model means."""
  if str(path) in SHIPPED:
    return package_data.asset(str(path))
  return pathlib.Path(path)


def model_directory(path: str | os.PathLike) -> pathlib.Path:
  """The MODEL_DIR of a path that may name one checkpoint inside it.

  Raises:
    FileNotFoundError: there is no model.json; says what the folder holds.
  """
  directory = resolve(path)
  for candidate in (directory, directory.parent):
    if (candidate / DESCRIPTION).is_file():
      return candidate
  if not directory.is_dir():
    raise FileNotFoundError(
      f"no model directory {directory} (shipped models: {', '.join(SHIPPED)})"
    )
  held = sorted(entry.name for entry in directory.iterdir())[:8]
  raise FileNotFoundError(
    f"{directory} holds no {DESCRIPTION}, so it is no model directory; "
    f"it holds: {', '.join(held) or 'nothing'}"
  )


def fingerprint(path: str | os.PathLike) -> str:
  """Changes when a model is trained or written again under its name.

  Descriptions and manifests (they hold the checksums of checkpoints) by their
  content, archives by size and time.
  """
  folder = resolve(path)
  digest = hashlib.sha256(str(path).encode())
  for file in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
    digest.update(file.read_bytes())
  for pattern in ("*.npz", "*.safetensors", "checkpoint"):
    for file in sorted(folder.glob(pattern)):
      found = file.stat()
      digest.update(f"{file.name} {found.st_size} {found.st_mtime_ns}".encode())
  return digest.hexdigest()


def write_description(
  model_dir: str | os.PathLike, description: Description, vocabulary: str
) -> None:
  """Writes `model.json` and copies the vocabulary beside it, once."""
  processes.on_first(_write_description, model_dir, description, vocabulary)


def _write_description(
  model_dir: str | os.PathLike, description: Description, vocabulary: str
) -> None:
  directory = pathlib.Path(model_dir)
  directory.mkdir(parents=True, exist_ok=True)
  target = directory / VOCABULARY
  if pathlib.Path(vocabulary).resolve() != target.resolve():
    temporary = target.with_suffix(".partial")
    shutil.copyfile(vocabulary, temporary)
    os.replace(temporary, target)
  temporary = directory / (DESCRIPTION + ".partial")
  text = json.dumps(dataclasses.asdict(description), indent=1)
  temporary.write_text(text + "\n", encoding="utf-8")
  os.replace(temporary, directory / DESCRIPTION)


def _own_description(file: pathlib.Path) -> Description:
  """Reads `model.json`.

  Raises:
    ValueError: the file is no description; names it and what is wrong.
  """
  try:
    return description_of(json.loads(file.read_text(encoding="utf-8")))
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f"{file} describes no model: {error}") from error


def description_of(fields: dict[str, Any]) -> Description:
  """The inverse of `dataclasses.asdict`, of what JSON kept."""
  fields = dict(fields)
  config = dict(fields.pop("config"))
  config["mlp_activations"] = tuple(config["mlp_activations"])
  fields["history"] = tuple(fields.get("history", ()))
  return Description(config=t5.T5Config(**config), **fields)


def find(
  path: str | os.PathLike, vocabulary: str | os.PathLike | None = None
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
  checkpoint = None if str(path) in SHIPPED else t5x.find(str(path))
  if checkpoint is not None:
    return _t5x_files(pathlib.Path(str(path)), checkpoint, given)
  if (directory / huggingface.CONFIG).is_file():
    return _hub_files(directory, given)
  directory = model_directory(path)
  return ModelFiles(
    resolve(path),
    XLRM,
    _own_description(directory / DESCRIPTION),
    given or str(directory / VOCABULARY),
    lambda: _own_parameters(resolve(path)),
  )


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
  return step, t5x.moments_of(rest, files.read())


def _own_parameters(path: pathlib.Path) -> stored.Stored:
  if (path / ARCHIVE).is_file():
    return stored.read_archive(path / ARCHIVE)
  return native.read(path)


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


def _foreign(config: t5.T5Config, vocabulary: str, history: str) -> Description:
  """Of a language model that others made: it names no lengths."""
  extra_ids = _extra_ids(vocabulary, config.vocab_size)
  return Description(LANGUAGE_MODEL, config, 0, 0, extra_ids, (history,))


def _beside(names: list[pathlib.Path]) -> str:
  return next((str(x) for x in names if x.is_file()), "")


def _t5x_files(path: pathlib.Path, checkpoint, vocabulary: str) -> ModelFiles:
  arrays = t5x.read(checkpoint)
  folders = (
    pathlib.Path(str(checkpoint)),
    pathlib.Path(str(checkpoint)).parent,
  )
  vocabulary = vocabulary or _beside([x / VOCABULARY for x in folders])
  own = _beside([x / DESCRIPTION for x in folders])
  if own:
    description = _own_description(pathlib.Path(own))
  else:
    config = t5x.recognise(arrays, checkpoint)
    description = _foreign(config, vocabulary, f"T5X checkpoint {path.name}")
  return ModelFiles(path, T5X, description, vocabulary, lambda: arrays)


def _hub_files(directory: pathlib.Path, vocabulary: str) -> ModelFiles:
  arrays = dict(huggingface.read(directory))
  vocabulary = vocabulary or _beside([directory / VOCABULARY])
  own = huggingface.read_config(directory).get(HUB_FIELD)
  if own is not None:
    description = description_of(own)
  else:
    config = huggingface.model_config(directory, arrays)
    history = f"Hugging Face directory {directory.name}"
    description = _foreign(config, vocabulary, history)
  if description.kind == RESPONSE_SCORER:
    arrays = {
      name if name.startswith("head/") else f"backbone/{name}": array
      for name, array in arrays.items()
    }
  return ModelFiles(
    directory, HUGGING_FACE, description, vocabulary, lambda: arrays
  )


def read_description(path: str | os.PathLike) -> Description:
  """What a path holds; of our own directories nothing but `model.json` is read.

  Raises:
    FileNotFoundError, ValueError: no model there; says what was found.
  """
  return find(path).description


def vocabulary_path(
  path: str | os.PathLike, vocabulary: str | os.PathLike | None = None
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
      f"{files.path} has no {VOCABULARY} beside it: name the sentencepiece "
      "file (gin: load_language_model.vocabulary, load_tokenizer.vocabulary)"
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
