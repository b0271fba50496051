"""A policy in two lines of a notebook."""

import dataclasses

import pytest
import specks

from xlrm import sampling
from xlrm.sampling import text_sampler

TEXTS = ["<es> Nam vive cerca.", "<es> Llovió toda la noche en Hanói."]


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
  path = specks.write_policy(tmp_path_factory.mktemp("policy"))
  return sampling.load(path, batch_size=4)


def test_a_text_gives_texts_and_a_list_gives_groups(sampler):
  one = sampler(TEXTS[0], n=3, max_tokens=5)
  both = sampler(TEXTS, n=3, max_tokens=5)
  assert len(one) == 3 and [len(group) for group in both] == [3, 3]
  # A response depends on the prompt's place, not on what else is asked.
  assert both[0] == one
  assert sampler(TEXTS[0], n=3, max_tokens=5) == one
  assert sampler(TEXTS[0], n=3, max_tokens=5, seed=1) != one


def test_responses_come_with_what_was_measured(sampler):
  (found,) = sampler.generate(TEXTS[:1], n=2, max_tokens=5)
  assert found.texts == sampler(TEXTS[0], n=2, max_tokens=5)
  assert len(found.logprobs) == 2 and max(found.logprobs) < 0
  assert all(1 <= n <= 5 for n in found.num_tokens)


@pytest.mark.parametrize(
  ("trained", "asked", "expected"),
  [
    ((96, 40), 0, {"inputs": 96, "targets": 40}),
    ((96, 40), 12, {"inputs": 12, "targets": 40}),
    ((0, 0), 0, {"inputs": 1024, "targets": 512}),
  ],
)
def test_lengths_are_as_asked_as_trained_or_the_papers(
  sampler, trained, asked, expected
):
  description = dataclasses.replace(
    sampler.policy.description,
    max_input_length=trained[0],
    max_response_length=trained[1],
  )
  assert text_sampler.lengths_of(description, asked) == expected
