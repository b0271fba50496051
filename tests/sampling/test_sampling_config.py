"""Options of sampling, and the tokens that a response may hold."""

import dataclasses

import numpy as np
import pytest

from xlrm.sampling import sampling_config
from xlrm.text import tokenizer


@dataclasses.dataclass(frozen=True)
class Pieces(tokenizer.Tokenizer):
  """A tokenizer of given pieces."""

  pieces: tuple[str, ...] = (
    *("<pad>", "</s>", "<unk>", "<extra_id_0>"),
    *("a", "<extra_id_", "b"),
  )
  unk_id = 2

  @property
  def vocab_size(self):
    return len(self.pieces)

  def decode(self, ids):
    return " ".join(self.pieces[i] for i in ids)


def test_g04_support_leaves_out_what_is_no_text():
  pieces = Pieces("pieces")
  mask = sampling_config.support_mask(10, pieces)
  np.testing.assert_array_equal(np.flatnonzero(mask), [1, 4, 5, 6])
  assert mask.dtype == bool and mask.shape == (10,)
  with pytest.raises(ValueError, match="7 pieces, the model only 6 rows"):
    sampling_config.support_mask(6, pieces)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"temperature": 0.0}, "temperature 0.0 .* greedy=True"),
    ({"temperature": -1.0}, "temperature -1.0"),
    ({"temperature": float("nan")}, "temperature nan"),
    ({"max_tokens": 0}, "max_tokens 0"),
    ({"top_k": -1}, "top_k -1"),
    ({"top_p": 0.0}, "top_p 0.0"),
    ({"top_p": 1.5}, "top_p 1.5"),
    ({"greedy": True, "top_k": 5}, "greedy .* top_k 5"),
  ],
)
def test_bad_options(options, message):
  with pytest.raises(ValueError, match=message):
    sampling_config.SamplingConfig(**options)


def test_a_job_says_how_long_responses_are_where_the_options_do_not():
  config = sampling_config.SamplingConfig(temperature=0.5)
  assert config.of_at_most(9).max_tokens == 9
  assert config.of_at_most(9).temperature == 0.5
  assert config.of_at_most(9).of_at_most(4).max_tokens == 9


@pytest.mark.parametrize(
  ("options", "expected"),
  [({}, False), ({"top_k": 3}, True), ({"top_p": 0.9}, True)],
)
def test_top_k_and_top_p_restrict(options, expected):
  assert sampling_config.SamplingConfig(**options).restricted == expected
