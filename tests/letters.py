"""A tokenizer of single letters, and models of its vocabulary."""

from xlrm.models import language_model
from xlrm.models import t5
from xlrm.text import tokenizer


class Letters(tokenizer.Tokenizer):
  """A tokenizer of single letters between spaces: ids 3 to 28."""

  vocab_size = 29
  unk_id = 2

  def encode(self, text):
    return [ord(letter) - ord("a") + 3 for letter in text.split()]

  def decode(self, ids):
    ids = list(ids)
    ids = ids[: ids.index(1)] if 1 in ids else ids
    return " ".join(chr(i - 3 + ord("a")) for i in ids if i >= 3)


LETTERS = Letters("letters")


def model() -> language_model.EncoderDecoder:
  """One layer each, which compiles fast; its last rows are no letters."""
  config = t5.T5Config(
    vocab_size=32,
    emb_dim=16,
    num_heads=2,
    head_dim=4,
    mlp_dim=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
  )
  return language_model.EncoderDecoder(config)
