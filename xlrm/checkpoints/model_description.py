"""What a model directory of ours says of its model, in `model.json`."""

import dataclasses
import json
from typing import Any

from xlrm.distributed import processes
from xlrm.models import t5
from xlrm.storage import files

FILE = "model.json"
VOCABULARY = "spiece.model"
LANGUAGE_MODEL = "language_model"
RESPONSE_SCORER = "response_scorer"


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


def write(
  model_dir: files.Name, description: Description, vocabulary: files.Name
) -> None:
  """Writes `model.json` and copies the vocabulary beside it, once."""
  processes.on_first(_write, model_dir, description, vocabulary)


def _write(model_dir, description, vocabulary) -> None:
  directory = files.path(model_dir)
  files.write_bytes(directory / VOCABULARY, files.read_bytes(vocabulary))
  text = json.dumps(dataclasses.asdict(description), indent=1)
  files.write_text(directory / FILE, f"{text}\n")


def read(file: files.Name) -> Description:
  """Reads `model.json`.

  Raises:
    ValueError: the file is no description; names it and what is wrong.
  """
  try:
    return of_fields(json.loads(files.read_text(file)))
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f"{file} describes no model: {error}") from error


def of_fields(fields: dict[str, Any]) -> Description:
  """The inverse of `dataclasses.asdict`, of what JSON kept."""
  fields = dict(fields)
  config = dict(fields.pop("config"))
  config["mlp_activations"] = tuple(config["mlp_activations"])
  fields["history"] = tuple(fields.get("history", ()))
  return Description(config=t5.T5Config(**config), **fields)
