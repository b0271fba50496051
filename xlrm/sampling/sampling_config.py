"""How a token is drawn, and which tokens can be."""

import dataclasses
import math
import re

import numpy as np

from xlrm import types
from xlrm.text import tokenizer as tokenizer_lib
from xlrm.types import checks

SENTINEL = re.compile(r"\s*<extra_id_\d+>\s*")


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
  """How a token is drawn from softmax(logits / temperature).

  Top-k and top-p (in this order, top-p of what top-k left) restrict the draw
  and nothing else: log-probabilities are always those of the whole
  temperature distribution on the support. Ties with the last token that they
  keep are kept too. PPO refuses both (`restricted`).

  Attributes:
    max_tokens: of a response, EOS included; None is what the job says, see
      `of_at_most`.
    temperature: > 0.
    top_k: the k likeliest tokens; 0 is off.
    top_p: the fewest likeliest tokens with at least this mass; 1 is off.
    greedy: take the likeliest token, the lowest id of equal ones.
    int8_output_matrix: keep the output matrix in int8 with one scale per
      token: a quarter of its memory; log-probabilities are those of the rounded
      matrix and differ from the model's (docs/sampling.md has by how much).
  """

  max_tokens: int | None = None
  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0
  greedy: bool = False
  int8_output_matrix: bool = False

  def __post_init__(self):
    if self.max_tokens is not None:
      checks.at_least("max_tokens", self.max_tokens, 1)
    if not 0 < self.temperature < math.inf:
      raise ValueError(
        f"temperature {self.temperature} is not a positive number; for the "
        "likeliest token at every step use greedy=True"
      )
    checks.at_least("top_k", self.top_k, 0)
    if not 0 < self.top_p <= 1:
      raise ValueError(f"top_p {self.top_p} is not in (0, 1]; 1 is off")
    if self.greedy and self.restricted:
      raise ValueError(
        f"greedy decoding draws nothing that top_k {self.top_k} or top_p "
        f"{self.top_p} could restrict"
      )

  @property
  def restricted(self) -> bool:
    """Whether top-k or top-p is on."""
    return self.top_k > 0 or self.top_p < 1

  def of_at_most(self, max_tokens: int) -> "SamplingConfig":
    """The same with this max_tokens, if it has none."""
    if self.max_tokens is not None:
      return self
    return dataclasses.replace(self, max_tokens=max_tokens)


def support_mask(
  vocab_size: int, tokenizer: tokenizer_lib.Tokenizer
) -> np.ndarray:
  """The mask [V] of the tokens that a response may hold (G4).

  Left out: padding, sentinels (as extra ids or as pieces `<extra_id_0>`), the
  rows of the output matrix behind the tokenizer's pieces, and `unk`, which
  stands for no text.

  Args:
    vocab_size: rows of the output matrix.
    tokenizer: of the model's vocabulary.

  Raises:
    ValueError: the tokenizer has more pieces than the model has rows.
  """
  num_pieces = tokenizer.vocab_size
  if num_pieces > vocab_size:
    raise ValueError(
      f"the tokenizer has {num_pieces} pieces, the model only {vocab_size} "
      "rows: this is the vocabulary of another model"
    )
  mask = np.arange(vocab_size) < num_pieces
  mask[[types.PAD_ID, tokenizer.unk_id]] = False
  ids = [i for i in range(num_pieces) if mask[i] and i != types.EOS_ID]
  if "<extra_id_" in tokenizer.decode(ids):
    for i in ids:
      if SENTINEL.fullmatch(tokenizer.decode([i])):
        mask[i] = False
  return mask
