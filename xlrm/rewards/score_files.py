"""Scores of a reward model, written chunk by chunk into a file."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

from xlrm.distributed import processes
from xlrm.distributed import row_shards
from xlrm.rewards import reward_models
from xlrm.storage import chunked_files


def write_scores(
  folder: pathlib.Path,
  name: str,
  reward: reward_models.RewardModel,
  rows: Sequence[Mapping[str, Any]],
  texts: Sequence[Sequence[str]],
  *,
  identity: str,
  chunk_size: int,
  batch_size: int,
) -> list[list[float]]:
  """Scores what is not yet in `folder/scores.NAME.jsonl`; returns all scores.

  Args:
    folder: of the job.
    name: of the reward model.
    reward: on the mesh of the job.
    rows: with `reward_inputs`.
    texts: a group of responses per row.
    identity: changes when the scores would.
    chunk_size: prompts between two writes.
    batch_size: prompts scored together.
  """
  file = chunked_files.ChunkedFile(
    folder / f"scores.{name}.jsonl", identity, len(rows), keep=True
  )
  prompts = [row["reward_inputs"] for row in rows]

  def make(part, own):
    if all(processes.gather(part.complete)):
      return
    reward.read()
    of_reward, of_texts = prompts[own], texts[own]
    with part, part.progress(f"reward model {name}", "prompt") as bar:
      for chunk in part.chunks(chunk_size):
        found = reward.score(
          of_reward[chunk], of_texts[chunk], batch_size=batch_size
        )
        part.append([{"scores": scores} for scores in found])
        bar.update(len(found))

  batch_size = row_shards.batch_size(batch_size, reward.mesh)
  row_shards.write(file, make)
  return [line["scores"] for line in file.rows()]
