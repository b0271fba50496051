"""Span corruption and word labels lose nothing and hide what they say."""

import types as python_types

import numpy as np
import pytest

from xlrm.batches import denoising

SENTINELS = [99, 98, 97, 96]


def restore(inputs, targets):
  """Puts the hidden spans back where their sentinels stand."""
  spans, current = {}, None
  for token in targets[:-1]:
    if token in SENTINELS:
      current = spans.setdefault(token, [])
    else:
      current.append(token)
  text = []
  for token in inputs[:-1]:
    text += spans[token] if token in spans else [token]
  return text


@pytest.mark.parametrize("length", [2, 3, 10, 64])
@pytest.mark.parametrize("density", [0.15, 0.5])
def test_hidden_spans_put_back_give_the_text(length, density):
  ids = list(range(10, 10 + length))
  config = denoising.SpanCorruption(density=density)
  for index in range(20):
    rng = denoising.generator(0, index)
    inputs, targets = denoising.corrupt_spans(ids, SENTINELS, config, rng)
    assert inputs[-1] == targets[-1] == 1
    assert restore(inputs, targets) == ids
    used = [token for token in targets if token in SENTINELS]
    assert used == SENTINELS[: len(used)] and used
    assert [token for token in inputs if token in SENTINELS] == used


def test_the_hidden_share_is_the_density():
  ids = list(range(100, 300))
  sentinels = list(range(1000, 1100))
  config = denoising.SpanCorruption(density=0.15, mean_span=3.0)
  inputs, targets = denoising.corrupt_spans(
    ids, sentinels, config, denoising.generator(0, 0)
  )
  hidden = [token for token in targets if 100 <= token < 300]
  assert len(hidden) == 30
  assert len([token for token in inputs if token >= 1000]) == 10


def test_an_example_is_a_pure_function_of_seed_and_index():
  draws = [
    denoising.generator(seed, index).integers(2**31)
    for seed, index in ((0, 5), (0, 5), (0, 6), (1, 5))
  ]
  assert draws[0] == draws[1]
  assert len(set(draws)) == 3


def test_a_text_too_short_says_so():
  with pytest.raises(ValueError, match="1 tokens is too short"):
    denoising.corrupt_spans(
      [5], SENTINELS, denoising.SpanCorruption(), denoising.generator(0, 0)
    )


@pytest.mark.parametrize("field", [{"density": 1.0}, {"mean_span": 0.5}])
def test_config_names_the_offending_value(field):
  with pytest.raises(ValueError, match=str(*field.values())):
    denoising.SpanCorruption(**field)


def test_labels_of_words_become_labels_of_pieces():
  pieces = ["\u2581the", "\u2581ca", "t", "\u2581", "4", "2"]
  assert denoising.word_labels(pieces, [0, 1, 0, 1]) == [0, 1, 1, 0, 0, 0, 1]
  with pytest.raises(ValueError, match="3 words"):
    denoising.word_labels(pieces, [0, 1, 0])


def test_detection_rows_are_asked_about_and_others_are_not():
  vocabulary = {"a": ["\u2581a"], "b c": ["\u2581b", "\u2581c"]}
  tokenizer = python_types.SimpleNamespace(
    encode=lambda text: [ord(piece[-1]) for piece in vocabulary[text]],
    pieces=vocabulary.get,
    sentinel_ids=SENTINELS,
  )
  rows = [
    python_types.SimpleNamespace(
      kind=kind, inputs="a", targets="b c", replaced=replaced
    )
    for kind, replaced in (("detect", [1, 0, 1]), ("translate", None))
  ]
  rng = denoising.generator(0, 0)
  asked, other = (
    denoising.example(row, tokenizer, denoising.SpanCorruption(), rng)
    for row in rows
  )
  np.testing.assert_array_equal(asked["targets"], [98, 99, 1])
  np.testing.assert_array_equal(asked["replaced"], [1, 0, 1])
  np.testing.assert_array_equal(other["replaced"], [-1, -1, -1])
