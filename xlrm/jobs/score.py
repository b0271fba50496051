"""Job: a reward model's scores for a file of prompts and responses.

Scores are written chunk by chunk to a file beside the output, which takes its
name when it is complete: a job that was killed goes on after its last complete
chunk, and ends with the same bytes.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import hashlib
import json
from typing import Any

from xlrm.distributed import meshes
from xlrm.distributed import row_shards
from xlrm.jobs import job
from xlrm.rewards import reward_models
from xlrm.storage import chunked_files
from xlrm.storage import row_files
from xlrm.types import checks

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
      checks.at_least(name, getattr(self, name), 1)


def _texts(place: str, row: Row, config: ScoreConfig) -> tuple[str, list[str]]:
  """Prompt and responses of a row."""
  value = row_files.column(place, row, config.response_field)
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
    prompt = row_files.text(place, row, config.prompt_field)
  return prompt, texts


def _read(
  pattern: str, config: ScoreConfig
) -> list[tuple[Row, str, list[str]]]:
  """All rows, all of them checked before the first is scored."""
  return [
    (row, *_texts(place, row, config)) for place, row in row_files.rows(pattern)
  ]


def _identity(
  rows: Sequence[tuple], rewards: reward_models.Spec, config: ScoreConfig
) -> str:
  """Changes when the output would."""
  digest = hashlib.sha256(
    repr((reward_models.identity(rewards), config)).encode()
  )
  for row, *_ in rows:
    digest.update(json.dumps(row, sort_keys=True).encode())
  return digest.hexdigest()


def _scored(
  row: Row, scores: Sequence[float], config: ScoreConfig
) -> dict[str, Any]:
  several = isinstance(row[config.response_field], list)
  return {**row, config.score_field: list(scores) if several else scores[0]}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scoring:
  """Every row of a file with its score.

  Attributes:
    input: .jsonl, .jsonl.gz or .parquet, path or glob; rows have the columns
      that `config` names.
    output: .jsonl file: the rows with their score.
    rewards: a reward model or an ensemble, see `reward_models.load`.
    config: where a row has what, and how many are scored together.
    dtype: of the computation, 'float32' or 'bfloat16'.
    mesh: spreads weights and prompts.
  """

  input: str
  output: str
  rewards: reward_models.Spec
  config: ScoreConfig = ScoreConfig()
  dtype: str = "float32"
  mesh: meshes.MeshConfig = meshes.MeshConfig()

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """Reads and checks every row; says how many there are."""
    del devices  # no memory is planned
    rows = _read(self.input, self.config)
    reward_models.load(self.rewards, dtype=self.dtype)
    return job.JobPlan(
      f"{len(rows)} rows of {self.input} for {self.rewards}; into "
      f"{self.output}",
    )

  def run(self) -> str:
    """Writes `output`, which is returned.

    Raises:
      ValueError: a row lacks a column, or `output` is begun by another job.
    """
    config, rows = self.config, _read(self.input, self.config)
    reward = reward_models.load(self.rewards, dtype=self.dtype)
    identity = _identity(rows, self.rewards, config)
    file = chunked_files.ChunkedFile(self.output, identity, len(rows))
    reward = reward.on(self.mesh.build_own())
    row_shards.write(
      file, lambda part, own: _score(part, reward, rows[own], config)
    )
    print(f"{len(rows)} rows scored: {self.output}", flush=True)
    return self.output


def _score(
  part: chunked_files.ChunkedFile,
  reward: reward_models.RewardModel,
  rows: Sequence[tuple[Row, str, list[str]]],
  config: ScoreConfig,
) -> None:
  """Scores what of these rows is not yet in the file."""
  reward.read()
  batch_size = row_shards.batch_size(config.batch_size, reward.mesh)
  with part, part.progress("score", "row") as bar:
    for chunk in part.chunks(config.batch_size * config.chunk_size):
      scores = reward.score(
        [prompt for _, prompt, _ in rows[chunk]],
        [group for _, _, group in rows[chunk]],
        batch_size=batch_size,
      )
      part.append(
        [
          _scored(row, values, config)
          for (row, *_), values in zip(rows[chunk], scores, strict=True)
        ]
      )
      bar.update(chunk.stop - chunk.start)
