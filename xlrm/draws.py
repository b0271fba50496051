"""Responses to the rows of a job, drawn chunk by chunk into a file."""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import json
import pathlib
from typing import Any

import jax

from xlrm import chunked_files
from xlrm import memory_plan
from xlrm import pretrained
from xlrm import processes
from xlrm import sample_stream
from xlrm import sampling_config
from xlrm import scorer as scorer_lib
from xlrm import sharding
from xlrm import shares
from xlrm import text_generation

Row = Mapping[str, Any]
Line = Callable[[Row, text_generation.Generation], dict[str, Any]]


def generator_of(
  policy: pretrained.Pretrained,
  sampler: sampling_config.SamplingConfig,
  lengths: Mapping[str, int],
  *,
  batch_size: int,
  num_samples: int,
  seed: int,
  mesh: jax.sharding.Mesh,
) -> text_generation.Generator:
  """The generator of a job.

  Args:
    policy: the model.
    sampler: how a token is drawn, and the longest response.
    lengths: tokens of a prompt ('inputs').
    batch_size: responses under way together, in all processes.
    num_samples: per prompt.
    seed: of the draws.
    mesh: of this process.
  """
  return text_generation.Generator(
    model=policy.model,
    tokenizer=policy.tokenizer,
    config=sampler,
    max_input_length=lengths["inputs"],
    batch_size=shares.batch_size(batch_size, mesh),
    num_samples=num_samples,
    seed=seed,
    mesh=mesh,
    truncate_inputs_from_left=policy.description.truncate_inputs_from_left,
  )


def plan_of(
  generator: text_generation.Generator,
  num_prompts: int,
  batch_size: int | None = None,
) -> memory_plan.Plan:
  """What drawing takes on each device; another batch_size if one is given."""
  return memory_plan.sampling_plan(
    generator.model,
    generator.mesh,
    grid=generator.grid(num_prompts, batch_size),
    input_length=generator.max_input_length,
    max_tokens=generator.config.max_tokens,
  )


def check_fits(generator: text_generation.Generator, num_prompts: int) -> None:
  """Raises ValueError with the largest batch_size that fits, if this does not.

  The number of samples is not limited by memory: they take turns.
  """
  memory_plan.check_batch_fits(
    lambda size: plan_of(generator, num_prompts, size),
    generator.batch_size,
    memory_plan.available_bytes(generator.mesh),
  )


def identity(*parts: Any, rows: Sequence[Row] = ()) -> str:
  """Changes when any of the parts or of the rows does."""
  digest = hashlib.sha256(repr(parts).encode())
  for row in rows:
    digest.update(json.dumps(row, sort_keys=True, default=str).encode())
  return digest.hexdigest()


def write(
  file: chunked_files.ChunkedFile,
  generator: text_generation.Generator,
  params: sharding.LazyParams,
  rows: Sequence[Row],
  line: Line,
  *,
  chunk_size: int,
  description: str,
) -> None:
  """Draws what is not yet in the file.

  Args:
    file: one line per row, in their order.
    generator: of `generator_of`.
    params: of its model; not read if the file is complete.
    rows: with `id` and `inputs_pretokenized`.
    line: a row and its responses -> what is written.
    chunk_size: prompts between two writes.
    description: of the progress bar.
  """
  shares.write(
    file,
    lambda part, own: _write(
      part,
      generator,
      params,
      rows[own],
      line,
      chunk_size=chunk_size,
      description=description,
    ),
  )


def _write(file, generator, params, rows, line, *, chunk_size, description):
  if all(processes.gather(file.complete)):
    print(f"{description}: {file.path} is complete", flush=True)
    return
  if rows:
    check_fits(generator, min(chunk_size, len(rows)))
  usage = sample_stream.Usage()
  left = rows[file.done :]
  with file, file.progress(description, "prompt") as bar:
    chunks = generator.chunks(
      params.on(generator.mesh, sharding.split_over_model),
      [row["inputs_pretokenized"] for row in left],
      [row["id"] for row in left],
      chunk_size,
      usage,
    )
    for chunk, generations in zip(file.chunks(chunk_size), chunks, strict=True):
      file.append(list(map(line, rows[chunk], generations)))
      bar.update(len(generations))
  if usage.row_steps:
    print(
      f"{description}: {usage.useful} tokens, {usage.share:.0%} of the "
      "computed rows drew one",
      flush=True,
    )


def write_scores(
  folder: pathlib.Path,
  name: str,
  reward: scorer_lib.RewardModel,
  rows: Sequence[Row],
  texts: Sequence[Sequence[str]],
  *,
  identity: str,
  chunk_size: int,
  batch_size: int,
) -> list[list[float]]:
  """Scores what is not yet in `folder/scores.NAME.jsonl`; returns all scores.

  Args:
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

  batch_size = shares.batch_size(batch_size, reward.mesh)
  shares.write(file, make)
  return [line["scores"] for line in file.rows()]
