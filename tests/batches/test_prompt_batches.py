"""Batches of prompts: their order, and who is held out of them."""

import itertools

import numpy as np
import pytest

from xlrm.batches import prompt_batches
from xlrm.batches import prompt_files


class Letters:
  """A letter is a token."""

  vocab_size = 200

  def encode(self, text):
    return [ord(x) for x in text]


def rows(names):
  return [
    {"id": x, "inputs_pretokenized": f"{x} says", "reward_inputs": x}
    for x in names
  ]


def batches(names, **changes):
  options = {
    "tokenizer": Letters(),
    "max_input_length": 5,
    "batch_size": 2,
    "seed": 3,
    **changes,
  }
  return prompt_batches.PromptBatches(rows(names), **options)


def ids(found):
  return [row["id"] for batch in found for row in batch.rows]


def test_an_epoch_has_every_prompt_once_and_the_next_another_order():
  found = ids(itertools.islice(batches("abcdefgh").train_batches(0), 8))
  assert sorted(found[:8]) == sorted(found[8:]) == list("abcdefgh")
  assert found[:8] != found[8:]


def test_g18_a_batch_is_a_function_of_its_number():
  whole = list(itertools.islice(batches("abcde").train_batches(0), 7))
  (later,) = itertools.islice(batches("abcde").train_batches(6), 1)
  assert later.number == 6 and later.rows == whole[6].rows
  np.testing.assert_array_equal(later.inputs, whole[6].inputs)
  other = itertools.islice(batches("abcde", seed=4).train_batches(0), 7)
  assert ids(other) != ids(whole)


def test_long_prompts_lose_the_end_that_is_asked_for_and_keep_eos():
  made = batches("a", batch_size=1)
  (right,) = itertools.islice(made.train_batches(0), 1)
  assert right.inputs[0].tolist() == [*map(ord, "a sa"), 1]
  made = batches("a", batch_size=1, truncate_inputs_from_left=True)
  (left,) = itertools.islice(made.train_batches(0), 1)
  assert left.inputs[0].tolist() == [*map(ord, "says"), 1]


def test_the_fingerprint_knows_prompts_and_their_order():
  known = batches("abc").fingerprint()
  assert known == batches("abc").fingerprint()
  for other in (batches("abd"), batches("acb"), batches("abc", seed=1)):
    assert other.fingerprint() != known


def test_no_prompts_are_refused():
  with pytest.raises(ValueError, match="the training split is empty"):
    batches("")
  with pytest.raises(ValueError, match="0 prompts per batch is below 1"):
    batches("abc", batch_size=0)


def test_a_source_with_a_validation_split_gives_its_first_prompts():
  found = prompt_batches.split(rows("abc"), rows("wxyz"), 2, seed=0)
  assert [row["id"] for row in found.training] == list("abc")
  assert [row["id"] for row in found.validation] == ["w", "x"]
  # Ids may count anew in every split: other prompts, for all that.
  numbered = [{**row, "inputs_pretokenized": "else"} for row in rows("abc")]
  found = prompt_batches.split(rows("abc"), numbered, 2, seed=0)
  assert found.training == rows("abc") and found.validation == numbered[:2]


def test_what_is_validated_on_a_file_is_not_learnt_from(tmp_path):
  path = tmp_path / "prompts.txt"
  path.write_text("".join(f"prompt {i}\n" for i in range(20)))
  source = prompt_files.PromptFile(str(path))
  both = source.examples("train"), source.examples("validation")
  found = prompt_batches.split(*both, 6, seed=0)
  numbers = [
    [int(row["id"]) for row in part]
    for part in (found.training, found.validation)
  ]
  assert sorted(numbers[0] + numbers[1]) == list(range(20))
  assert len(numbers[1]) == 6 and numbers[1] != list(range(6))
  assert numbers[1] == sorted(numbers[1])
  assert "6 of the 20 prompts, chosen by seed 0, are held out" in found.words
  other = prompt_batches.split(*both, 6, seed=1)
  assert other.validation != found.validation
  with pytest.raises(ValueError, match="the 20 prompts have no validation"):
    prompt_batches.split(*both, 20, seed=0)
