"""What PPO draws: random numbers per prompt, and samplers that it refuses."""

import numpy as np
import pytest

from xlrm.ppo import rollouts
from xlrm.sampling import sampling_config


def test_a_prompt_that_occurs_twice_in_a_batch_is_drawn_for_twice():
  rows = [{"id": name} for name in ("a", "b", "a", "c", "a")]
  found = rollouts.prompt_hashes(rows)
  assert found.dtype == np.uint32 and len(set(found.tolist())) == 5
  # Otherwise they belong to the prompt, not to its place in the batch.
  np.testing.assert_array_equal(rollouts.prompt_hashes(rows[1:2]), found[1])
  np.testing.assert_array_equal(rollouts.prompt_hashes(rows[2:3]), found[0])


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"top_k": 5}, "top_k 5 would .* set top_k = 0"),
    ({"top_p": 0.9}, "top_p 0.9 would .* set top_p = 1.0"),
    ({"greedy": True}, "greedy True would .* set greedy = False"),
    ({"int8_output_matrix": True}, "int8_output_matrix True would"),
  ],
)
def test_g04_ppo_refuses_draws_that_are_not_the_policys(options, message):
  rollouts.RolloutConfig(
    sampler=sampling_config.SamplingConfig(temperature=0.7)
  )
  sampler = sampling_config.SamplingConfig(**options)
  with pytest.raises(ValueError, match=f"PPO draws from the whole .*{message}"):
    rollouts.RolloutConfig(sampler=sampler)


def test_a_group_size_that_does_not_divide_the_batch():
  with pytest.raises(
    ValueError, match="9 responses cannot be 4 .* valid: 8, 12"
  ):
    rollouts.RolloutConfig(batch_size=9, num_samples=4)
  assert rollouts.RolloutConfig(batch_size=12, num_samples=4).num_prompts == 3


def test_facts_of_texts_are_sums_and_counts():
  rows = [{"reward_inputs": "x"}, {"reward_inputs": "y", "language": "tr"}]
  texts = [["one", "two"], ["one", "three"]]
  seen = []

  def facts(text, prompt, language):
    seen.append((text, prompt, language))
    return {"letters": float(len(text))}

  found = rollouts.text_facts(rows, texts, facts)
  assert found == {"letters": (14.0, 4.0), "response/unique": (3.0, 4.0)}
  assert seen[0] == ("one", "x", "") and seen[3] == ("three", "y", "tr")
