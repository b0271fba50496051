"""Job: a reward model's scores for a file of prompts and responses.

Scores are written chunk by chunk to a file beside the output, which takes its
name when it is complete: a job that was killed goes on after its last complete
chunk, and ends with the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import hashlib
import json
import os
import pathlib
import sys
from typing import Any

import tqdm

from xlrm import files
from xlrm import model_files
from xlrm import pretrained
from xlrm import scorer as scorer_lib
from xlrm import sharding

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ScoreConfig:
  """Where a row has what, and how many are scored together.

  Attributes:
    prompt_field: column of the prompt; a file without it gives the reward
      model the bare response.
    response_field: column of a response, or of a list of them.
    score_field: column that is added: a number, or a list of them.
    batch_size: prompts scored together.
    chunk_size: batches between two writes.
  """

  prompt_field: str = "prompt"
  response_field: str = "response"
  score_field: str = "score"
  batch_size: int = 32
  chunk_size: int = 16

  def __post_init__(self):
    for name in ("batch_size", "chunk_size"):
      if getattr(self, name) < 1:
        raise ValueError(f"{name} {getattr(self, name)} is below 1")


def _texts(place: str, row: Row, config: ScoreConfig) -> tuple[str, list[str]]:
  """Prompt and responses of a row."""
  value = files.column(place, row, config.response_field)
  texts = value if isinstance(value, list) else [value]
  if not texts or not all(isinstance(text, str) for text in texts):
    raise ValueError(
      f"{place}: a text or a list of texts was expected in "
      f"{config.response_field!r}, not {value!r}"
    )
  if config.score_field in row:
    raise ValueError(
      f"{place}: the row has a column {config.score_field!r} already; choose "
      "another score_field"
    )
  prompt = ""
  if config.prompt_field:
    prompt = files.text(place, row, config.prompt_field)
  return prompt, texts


def _read(
  pattern: str, config: ScoreConfig
) -> list[tuple[Row, str, list[str]]]:
  """All rows, all of them checked before the first is scored."""
  return [
    (row, *_texts(place, row, config)) for place, row in files.rows(pattern)
  ]


def _weights(path: str) -> str:
  """Changes when a model is trained again under the same name.

  Descriptions and manifests (they hold the checksums of checkpoints) by their
  content, archives by size and time.
  """
  folder = pathlib.Path(
    model_files.resolve(path.removeprefix(pretrained.VERDICT))
  )
  digest = hashlib.sha256()
  for file in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
    digest.update(file.read_bytes())
  for file in sorted([*folder.glob("*.npz"), *folder.glob("*.safetensors")]):
    found = file.stat()
    digest.update(f"{file.name} {found.st_size} {found.st_mtime_ns}".encode())
  return digest.hexdigest()


def _identity(
  rows: Sequence[tuple], rewards: scorer_lib.Spec, config: ScoreConfig
) -> str:
  """Changes when the output would."""
  combine = ""
  if isinstance(rewards, scorer_lib.Ensemble):
    combine = getattr(rewards.combine, "__qualname__", repr(rewards.combine))
    rewards = rewards.paths
  paths = [rewards] if isinstance(rewards, str | os.PathLike) else rewards
  models = [(str(path), _weights(str(path))) for path in paths]
  digest = hashlib.sha256(repr((models, combine, config)).encode())
  for row, *_ in rows:
    digest.update(json.dumps(row, sort_keys=True).encode())
  return digest.hexdigest()


def _continue(partial: pathlib.Path, state: pathlib.Path, identity: str) -> int:
  """Complete rows of an interrupted job; what comes after them is cut off.

  Raises:
    ValueError: the files beside the output belong to another job.
  """
  if not partial.exists() or not state.exists():
    return 0
  kept = json.loads(state.read_text(encoding="utf-8"))
  if kept["identity"] != identity:
    raise ValueError(
      f"{partial} was begun with another model, other options or other rows; "
      f"finish that job, or remove it and {state.name}"
    )
  with open(partial, "r+b") as file:
    file.truncate(kept["bytes"])
  return kept["rows"]


def _keep(state: pathlib.Path, identity: str, rows: int, size: int) -> None:
  temporary = state.with_name(f"{state.name}.new")
  text = json.dumps({"identity": identity, "rows": rows, "bytes": size})
  temporary.write_text(text, encoding="utf-8")
  os.replace(temporary, state)


def _scored(
  row: Row, texts: Sequence[str], scores: Sequence[float], config: ScoreConfig
) -> str:
  several = isinstance(row[config.response_field], list)
  value = list(scores) if several else scores[0]
  line = json.dumps({**row, config.score_field: value}, ensure_ascii=False)
  return f"{line}\n"


def _chunks(start: int, stop: int, size: int) -> Iterator[slice]:
  for first in range(start, stop, size):
    yield slice(first, min(first + size, stop))


def run(
  *,
  input: str,
  output: str,
  rewards: scorer_lib.Spec,
  config: ScoreConfig = ScoreConfig(),
  dtype: str = "float32",
  mesh: sharding.MeshConfig = sharding.MeshConfig(),
  dry_run: bool | str = False,
) -> str:
  """Writes every row of `input` with its score to `output`, as JSON lines.

  Args:
    input: .jsonl, .jsonl.gz or .parquet, path or glob; rows have the columns
      that `config` names.
    output: .jsonl file.
    rewards: a reward model or an ensemble, see `scorer.load`.
    mesh: spreads weights and prompts.
    dry_run: read and check everything, score nothing.

  Raises:
    ValueError: a row lacks a column, or `output` is begun by another job.
  """
  rows = _read(input, config)
  reward = scorer_lib.load(rewards, dtype=dtype)
  if dry_run:
    print(f"{len(rows)} rows of {input} for {rewards}; into {output}")
    return output
  target = pathlib.Path(output)
  target.parent.mkdir(parents=True, exist_ok=True)
  partial = target.with_name(f"{target.name}.partial")
  state = target.with_name(f"{target.name}.partial.json")
  identity = _identity(rows, rewards, config)
  done = _continue(partial, state, identity)
  if done:
    print(f"score: continues at row {done} of {len(rows)}", flush=True)
  reward = reward.on(mesh.build())
  size = config.batch_size * config.chunk_size
  bar = tqdm.tqdm(
    total=len(rows),
    initial=done,
    desc="score",
    unit="row",
    disable=not sys.stderr.isatty(),
  )
  with open(partial, "ab" if done else "wb") as file, bar:
    for chunk in _chunks(done, len(rows), size):
      prompts = [prompt for _, prompt, _ in rows[chunk]]
      texts = [group for _, _, group in rows[chunk]]
      scores = reward.score(prompts, texts, batch_size=config.batch_size)
      for (row, _, group), own in zip(rows[chunk], scores):
        file.write(_scored(row, group, own, config).encode("utf-8"))
      file.flush()
      os.fsync(file.fileno())
      _keep(state, identity, chunk.stop, file.tell())
      bar.update(chunk.stop - chunk.start)
  os.replace(partial, target)
  state.unlink(missing_ok=True)
  print(f"{len(rows)} rows scored: {output}", flush=True)
  return output
