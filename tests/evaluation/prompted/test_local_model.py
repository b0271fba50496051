"""A local model judges by its own probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.checkpoints import pretrained
from xlrm.evaluation.prompted import choices
from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import local_model


def next_token_logprobs(prompt, begun):
  """log p(token | prompt, begun) of the whole vocabulary, without a scorer."""
  loaded = pretrained.load_language_model("nano")

  @jax.jit
  def logprobs(params, inputs, targets):
    memory = loaded.model.encode(params, inputs)
    # The last position predicts the last target, whatever that target is.
    state = loaded.model.hidden(params, memory, targets)[0, 0, -1]
    return jax.nn.log_softmax(state @ loaded.model.output_matrix(params))

  ids = [*loaded.tokenizer.encode(prompt), 1]
  inputs = jnp.array([ids + [0] * (32 - len(ids))])  # one shape, compiled once
  return np.asarray(logprobs(loaded.params, inputs, jnp.array([[[*begun, 3]]])))


@pytest.fixture(scope="module")
def judge():
  return local_model.LocalBackend("nano", max_input_length=256)


def test_a_local_model_judges_by_the_first_token_that_tells(judge):
  """Against a dense softmax; both answers begin with the piece of a space."""
  tokenizer = pretrained.load_tokenizer("nano")
  (space, one), (same, two) = tokenizer.encode("1"), tokenizer.encode("2")
  assert space == same
  for prompt in ("Which is better, 1 or 2?", "35 дома {0} сгорели. 1 2"):
    answer = judge.complete(prompt)
    p = {key: np.exp(x) for key, x in answer.logprobs.items()}
    assert sum(p.values()) == pytest.approx(1.0)
    assert answer.input_tokens == len(tokenizer.encode(prompt)) + 1
    assert answer.output_tokens == 1
    expected = next_token_logprobs(prompt, [space])
    log_odds = answer.logprobs["1"] - answer.logprobs["2"]
    assert log_odds == pytest.approx(expected[one] - expected[two], abs=1e-4)
    found = choices.choose(answer)
    assert found.outcome == ("first" if p["1"] > p["2"] else "second")
    assert found.probability == pytest.approx(p["1"])


def test_a_local_model_is_another_judge_when_it_is_trained_again(
  judge, tmp_path
):
  loaded = pretrained.load_language_model("nano")
  paths = []
  for scale in (1.0, 2.0):
    params = jax.tree.map(lambda x, s=scale: s * x, loaded.params)
    pretrained.write_archive(
      tmp_path, params, loaded.description, loaded.vocabulary
    )
    paths.append(local_model.LocalBackend(str(tmp_path)).identity["model"])
  assert paths[0] != paths[1]


def test_g28_a_prompt_that_is_too_long_is_not_cut(judge):
  with pytest.raises(
    completions.BackendError, match="has .* tokens, and max_input_length is 256"
  ):
    judge.complete("word " * 400)
