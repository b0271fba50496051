"""Responses to the rows of a job, drawn chunk by chunk into a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from xlrm.checkpoints import pretrained
from xlrm.distributed import device_memory
from xlrm.distributed import lazy_params
from xlrm.distributed import processes
from xlrm.distributed import row_shards
from xlrm.distributed import sharding
from xlrm.sampling import sampling_config
from xlrm.sampling import sampling_memory
from xlrm.sampling import scheduler
from xlrm.sampling import text_generation
from xlrm.storage import chunked_files

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
    batch_size=row_shards.batch_size(batch_size, mesh),
    num_samples=num_samples,
    seed=seed,
    mesh=mesh,
    truncate_inputs_from_left=policy.description.truncate_inputs_from_left,
  )


def plan_of(
  generator: text_generation.Generator,
  num_prompts: int,
  batch_size: int | None = None,
) -> device_memory.MemoryPlan:
  """The memory that drawing takes on each device.

  Args:
    generator: of the job.
    num_prompts: drawn for together.
    batch_size: in place of the generator's; None is the generator's.
  """
  return sampling_memory.sampling_plan(
    generator.model,
    generator.mesh,
    shape=generator.batch_shape(num_prompts, batch_size),
    input_length=generator.max_input_length,
    config=generator.config,
  )


def check_fits(generator: text_generation.Generator, num_prompts: int) -> None:
  """Raises ValueError with the largest batch_size that fits, if this does not.

  The number of samples is not limited by memory: they take turns.
  """
  device_memory.check_batch_fits(
    lambda size: plan_of(generator, num_prompts, size),
    generator.batch_size,
    device_memory.available_bytes(generator.mesh),
  )


def write(
  file: chunked_files.ChunkedFile,
  generator: text_generation.Generator,
  params: lazy_params.LazyParams,
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
  row_shards.write(
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
  usage = scheduler.Usage()
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
