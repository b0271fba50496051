"""Reward models: one number per response.

`ResponseScorer` reads the prompt in the encoder and the response in the
decoder. The score is a linear function of the state AFTER the response's last
real token, so that changing only that token changes the score; the encoder
runs once for all N responses of a prompt.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, Protocol, runtime_checkable

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from xlrm import types
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.text import token_lengths
from xlrm.text import tokenizer as tokenizer_lib


@runtime_checkable
class Scorer(Protocol):
  """A reward model."""

  def prepare(
    self, reward_inputs: Sequence[str], responses: Sequence[Sequence[str]]
  ) -> types.Batch:
    """Texts to a batch, on the host, with the scorer's own tokenizer."""

  def scores(
    self,
    params: types.Params,
    batch: types.Batch,
    *,
    dropout_key: jax.Array | None = None,
  ) -> Float[types.Array, "B N"]:
    """One float32 score per response."""


def check_texts(
  tokenizer: tokenizer_lib.Tokenizer | None,
  reward_inputs: Sequence[str],
  responses: Sequence[Sequence[str]],
) -> None:
  """Checks the arguments of a `prepare`.

  Raises:
    ValueError: no tokenizer, or another number of prompts than of groups.
  """
  if tokenizer is None:
    raise ValueError("prepare needs a tokenizer; this scorer has none")
  if len(reward_inputs) != len(responses):
    raise ValueError(
      f"{len(reward_inputs)} reward_inputs for {len(responses)} groups of "
      "responses"
    )


@dataclasses.dataclass(frozen=True)
class ResponseScorer(Scorer):
  """An encoder-decoder without output matrix, with a scalar head.

  Attributes:
    model: the backbone.
    tokenizer: used by `prepare` only; None where token ids are given.
    max_input_length: tokens of a prompt, EOS included.
    max_response_length: tokens of a response, EOS included.
    layer: read the state after this many decoder layers; None means all.
    truncate_inputs_from_left: prompts that are too long lose their beginning.
  """

  model: language_model.EncoderDecoder
  tokenizer: tokenizer_lib.Tokenizer | None
  max_input_length: int
  max_response_length: int
  layer: int | None = None
  truncate_inputs_from_left: bool = False

  def init(self, key: jax.Array) -> types.Params:
    """Fresh parameters `{"backbone": T5X's tree, "head": ...}`."""
    backbone_key, head_key = jax.random.split(key)
    return self.from_language_model(head_key, self.model.init(backbone_key))

  def abstract(self) -> types.Params:
    """The parameters' shapes and dtypes, without the parameters."""
    return jax.eval_shape(self.init, jax.random.key(0))

  @property
  def config(self) -> t5.T5Config:
    """The configuration of the backbone."""
    return self.model.config

  def rows_read(self, num_responses: int) -> list[tuple[int, int]]:
    """The (rows, tokens) that each stack reads for one prompt."""
    responses = (num_responses, self.max_response_length + 1)
    return [(1, self.max_input_length), responses]

  def part_of(self, parts: int, **changes: Any) -> "ResponseScorer":
    """The part of one device, see `EncoderDecoder.part_of`."""
    part = self.model.part_of(parts, **changes)
    layer = None if "num_decoder_layers" in changes else self.layer
    return dataclasses.replace(self, model=part, layer=layer)

  def from_language_model(
    self, key: jax.Array, params: types.Params
  ) -> types.Params:
    """The parameters of a language model under a fresh head.

    The output matrix is left out: a scorer reads no logits.
    """
    backbone = self.model.without_output_matrix(params)
    width = self.model.config.emb_dim
    kernel = nn.initializers.lecun_normal()(key, (width, 1), jnp.float32)
    head = {"kernel": kernel, "bias": jnp.zeros((1,), jnp.float32)}
    return {"backbone": backbone, "head": head}

  def scores(
    self,
    params: types.Params,
    batch: types.Batch,
    *,
    dropout_key: jax.Array | None = None,
  ) -> Float[types.Array, "B N"]:
    """The scores: the head after each response's last token of weight > 0.

    A response without such a token gets the score of the start id alone.
    """
    # One more position: the state after token T-1 stands at position T.
    targets = jnp.pad(batch.targets, ((0, 0), (0, 0), (0, 1)))
    hidden = self._hidden(params, batch.inputs, targets, dropout_key)
    positions = jnp.arange(1, targets.shape[-1])[None, None]
    read_at = jnp.max(jnp.where(batch.weights > 0, positions, 0), axis=-1)
    state = jnp.take_along_axis(hidden, read_at[..., None, None], axis=2)
    return self._head(params, state)[..., 0]

  def token_values(
    self,
    params: types.Params,
    batch: types.Batch,
    *,
    dropout_key: jax.Array | None = None,
  ) -> Float[types.Array, "B N T"]:
    """The values: the head BEFORE each token, V_t having read tokens < t."""
    hidden = self._hidden(params, batch.inputs, batch.targets, dropout_key)
    return self._head(params, hidden)

  def _hidden(self, params, inputs, targets, dropout_key) -> jax.Array:
    encoder_key, decoder_key = (
      (None, None) if dropout_key is None else jax.random.split(dropout_key)
    )
    backbone = params["backbone"]
    memory = self.model.encode(backbone, inputs, dropout_key=encoder_key)
    return self.model.hidden(
      backbone, memory, targets, dropout_key=decoder_key, layer=self.layer
    )

  def _head(self, params, hidden) -> jax.Array:
    """[.. D] -> [..] in float32."""
    kernel, bias = params["head"]["kernel"], params["head"]["bias"]
    return jnp.dot(hidden.astype(jnp.float32), kernel[:, 0]) + bias[0]

  def prepare(
    self, reward_inputs: Sequence[str], responses: Sequence[Sequence[str]]
  ) -> types.Batch:
    """Texts to a batch of this scorer's ids, right-padded to its lengths.

    Every text ends in EOS, a truncated one too. A prompt with fewer responses
    than another is completed with responses of zero weight.

    Raises:
      ValueError: no tokenizer, or another number of prompts than of groups.
    """
    check_texts(self.tokenizer, reward_inputs, responses)
    group = max(map(len, responses), default=0)
    shape = (len(responses), group, self.max_response_length)
    targets = np.zeros(shape, np.int32)
    for i, texts in enumerate(responses):
      for j, text in enumerate(texts):
        targets[i, j] = self._ids(text, self.max_response_length, False)
    inputs = np.zeros((len(responses), self.max_input_length), np.int32)
    for i, text in enumerate(reward_inputs):
      inputs[i] = self._ids(
        text, self.max_input_length, self.truncate_inputs_from_left
      )
    weights = (targets != types.PAD_ID).astype(np.float32)
    return types.check_shapes(types.Batch(inputs, targets, weights))

  def _ids(self, text: str, length: int, from_left: bool) -> np.ndarray:
    ids = np.asarray([*self.tokenizer.encode(text), types.EOS_ID], np.int32)
    ids = token_lengths.clip(ids, length, from_left=from_left)
    return np.pad(ids, (0, length - len(ids)))
