"""Responses drawn into a file: chunk by chunk, whatever interrupts them."""

import json
import types

import jax
import letters
import pytest

from xlrm.distributed import device_memory
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.sampling import sample_files
from xlrm.sampling import sampling_config
from xlrm.storage import chunked_files

ROWS = [
  {"id": f"row {i}", "inputs_pretokenized": text}
  for i, text in enumerate(["b c d", "c", "a b", "c c c", "d d"])
]


@pytest.fixture(scope="module")
def policy():
  model = letters.model()
  params = jax.jit(model.init)(jax.random.key(0))
  return types.SimpleNamespace(
    model=model,
    tokenizer=letters.LETTERS,
    description=types.SimpleNamespace(truncate_inputs_from_left=False),
    lazy_params=lazy_params.LazyParams.given(params),
  )


@pytest.fixture(scope="module")
def generator(policy):
  return sample_files.generator_of(
    policy,
    sampling_config.SamplingConfig(max_tokens=5),
    {"inputs": 8},
    batch_size=4,
    num_samples=2,
    seed=5,
    mesh=meshes.MeshConfig(1, 1).build(jax.devices()[:1]),
  )


def line(row, generation):
  return {"id": row["id"], "texts": generation.texts}


def write(folder, generator, params, line=line) -> bytes:
  file = chunked_files.ChunkedFile(folder / "x.jsonl", "job", 5, keep=True)
  sample_files.write(
    file,
    generator,
    params,
    ROWS,
    line,
    chunk_size=2,
    description="samples",
  )
  return (folder / "x.jsonl").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, generator, policy):
  folder = tmp_path_factory.mktemp("whole")
  return write(folder, generator, policy.lazy_params)


def test_there_is_a_line_per_row_in_their_order(whole, generator, policy):
  found = [json.loads(x) for x in whole.decode().splitlines()]
  assert [x["id"] for x in found] == [row["id"] for row in ROWS]
  alone = generator.generate(policy.lazy_params.on(None), ["a b"], ["row 2"])
  assert found[2]["texts"] == alone[0].texts and len(alone[0].texts) == 2


def test_what_was_interrupted_goes_on_with_the_next_chunk(
  tmp_path, whole, generator, policy, capsys
):
  class Full(Exception):
    pass

  def fails(row, generation):
    if row["id"] == "row 2":
      raise Full
    return line(row, generation)

  with pytest.raises(Full):
    write(tmp_path, generator, policy.lazy_params, fails)
  assert write(tmp_path, generator, policy.lazy_params) == whole
  assert "samples: continues at prompt 2 of 5" in capsys.readouterr().out


def test_a_complete_file_reads_no_parameters(tmp_path, generator, policy):
  made = write(tmp_path, generator, policy.lazy_params)
  nobody = lazy_params.LazyParams(
    policy.lazy_params.abstract, lambda there: pytest.fail()
  )
  assert write(tmp_path, generator, nobody) == made


def test_a_batch_that_does_not_fit_is_told_the_largest_that_does(
  generator, monkeypatch
):
  held = sample_files.plan_of(generator, 5, batch_size=2).total
  assert held < sample_files.plan_of(generator, 5).total
  monkeypatch.setattr(device_memory, "available_bytes", lambda mesh: held)
  with pytest.raises(ValueError, match="batch_size 4 .* that fits is [23]$"):
    sample_files.check_fits(generator, 5)
