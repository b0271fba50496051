"""Texts in, texts out: each prompt as if it were alone, in its place."""

import dataclasses
import zlib

import jax
import letters
import numpy as np
import pytest

from xlrm.distributed import meshes
from xlrm.sampling import decode_programs
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation

CONFIG = sampling_config.SamplingConfig(max_tokens=5)
PROMPTS = ["b c d", "c", "d " * 40, "a b", "c c c"]
IDS = ["one", "two", "three", "four", "five"]


@pytest.fixture(scope="module")
def tiny():
  return letters.model()


@pytest.fixture(scope="module")
def params(tiny):
  return jax.jit(tiny.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def generator(tiny):
  return text_generation.Generator(
    model=tiny,
    tokenizer=letters.LETTERS,
    config=CONFIG,
    max_input_length=40,
    batch_size=2,
    num_samples=3,
    seed=5,
  )


@pytest.fixture(scope="module")
def generations(generator, params):
  return generator.generate(params, PROMPTS, IDS)


def test_results_are_those_of_each_prompt_sampled_alone(
  tiny, params, generator, generations
):
  """In the order of the prompts, by a key of seed and example id."""

  @jax.jit
  def alone(params, inputs, key):
    return decoding.sample(
      tiny, params, inputs, key[None], CONFIG, 3, generator.support
    )

  for prompt, example_id, found in zip(PROMPTS, IDS, generations):
    ids = [*letters.LETTERS.encode(prompt)[:39], 1]
    key = jax.random.fold_in(
      jax.random.key(5), np.uint32(zlib.crc32(example_id.encode()))
    )
    inputs = np.array([ids + [0] * (40 - len(ids))], np.int32)
    samples = jax.device_get(alone(params, inputs, key))
    tokens = samples.tokens[0]
    assert found.texts == [
      letters.LETTERS.decode(row) for row in tokens.tolist()
    ]
    assert found.num_tokens == [np.count_nonzero(row) for row in tokens]
    assert found.finished == samples.finished[0].tolist()
    np.testing.assert_allclose(
      found.logprobs, samples.logprobs[0].sum(-1), atol=1e-4
    )


def test_truncation_is_counted_and_said_once(
  generator, params, generations, capsys
):
  assert [x.truncated for x in generations] == [
    False,
    False,
    True,
    False,
    False,
  ]
  again = generator.generate(params, PROMPTS, IDS)
  assert again == generations
  said = capsys.readouterr().out
  assert said.count("\n") == 1
  assert "1 of 5 prompts are longer than 40 tokens" in said
  assert "'three'" in said
  # 39 letters and EOS fit.
  assert not generator.generate(params, ["d " * 39], ["x"])[0].truncated
  assert capsys.readouterr().out == ""


def test_g01_batch_size_and_number_of_samples_change_no_sample(
  generator, params, generations
):
  one = dataclasses.replace(generator, batch_size=5, num_samples=2)
  for found, expected in zip(one.generate(params, PROMPTS, IDS), generations):
    assert found.texts == expected.texts[:2]
    np.testing.assert_allclose(found.logprobs, expected.logprobs[:2], atol=1e-4)
  other = dataclasses.replace(generator, seed=6)
  assert other.generate(params, PROMPTS, IDS) != generations


def test_a_mesh_changes_no_sample(generator, params, generations):
  mesh = meshes.MeshConfig(data=2).build(jax.devices()[:2])
  spread = dataclasses.replace(generator, mesh=mesh)
  found = spread.generate(params, PROMPTS[:2], IDS[:2])
  assert [x.texts for x in found] == [x.texts for x in generations[:2]]


def test_chunks_are_what_each_would_be_alone(generator, params):
  """Bit by bit, so that an interrupted job can go on with the next chunk."""
  chunks = list(generator.chunks(params, PROMPTS, IDS, 2))
  assert [len(chunk) for chunk in chunks] == [2, 2, 1]
  assert chunks[1] == generator.generate(params, PROMPTS[2:4], IDS[2:4])
  assert chunks[2] == generator.generate(params, PROMPTS[4:], IDS[4:])


def test_equal_shapes_are_compiled_once(generator, params, generations):
  compiled = decode_programs.advance._cache_size()
  again = dataclasses.replace(generator)  # another generator, equal shapes
  again.generate(params, PROMPTS, IDS)
  assert decode_programs.advance._cache_size() == compiled


def test_no_prompts(generator, params):
  assert generator.generate(params, [], []) == []


@pytest.mark.parametrize(
  ("prompts", "ids", "message"),
  [
    (["a", "  "], ["x", "y"], r"prompt 1 \(example id 'y'\) is empty"),
    (["a", "b"], ["x"], "2 prompts but 1 example ids"),
    (["a", "b", "c"], ["x", "y", "x"], "prompts 0 and 2 share .* 'x'"),
  ],
)
def test_bad_prompts(generator, params, prompts, ids, message):
  with pytest.raises(ValueError, match=message):
    generator.generate(params, prompts, ids)


@pytest.mark.parametrize("name", ["batch_size", "num_samples", "min_rows"])
def test_bad_counts(generator, name):
  with pytest.raises(ValueError, match=f"{name} 0 is below 1"):
    dataclasses.replace(generator, **{name: 0})
  with pytest.raises(ValueError, match="max_input_length 1 "):
    dataclasses.replace(generator, max_input_length=1)
