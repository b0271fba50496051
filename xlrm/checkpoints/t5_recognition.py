"""Which model of the T5 family parameters are of, from names and shapes."""

import re
from typing import Any

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.models import t5


def recognise(parameters: stored.Stored, where: Any) -> t5.T5Config:
  """The model whose parameters these are, from names and shapes alone.

  T5X stores no configuration. What shapes do not tell is assumed: 128 as
  relative distance, and gated GELU where there are two `wi`.

  Raises:
    CheckpointError: they are no encoder-decoder's of the T5 family.
  """
  shapes = {name: array.shape for name, array in parameters.items()}

  def layers(stack: str) -> int:
    found = {
      int(match[1])
      for name in shapes
      if (match := re.match(rf"{stack}/layers_(\d+)/", name))
    }
    return len(found)

  per_layer = "encoder/layers_0/relpos_bias/rel_embedding" in shapes
  table = "encoder/relpos_bias/rel_embedding"
  if per_layer:
    table = "encoder/layers_0/relpos_bias/rel_embedding"
  gated = "encoder/layers_0/mlp/wi_0/kernel" in shapes
  try:
    rows, width = shapes["token_embedder/embedding"]
    heads, buckets = shapes[table]
    joined = shapes["encoder/layers_0/attention/query/kernel"][1]
    mlp = shapes["encoder/layers_0/mlp/wo/kernel"][0]
  except KeyError as error:
    some = ", ".join(sorted(shapes)[:3])
    raise checkpoint_errors.CheckpointError(
      f"{where} holds no encoder-decoder of the T5 family: no parameter "
      f"{error}; it has {some} .."
    ) from error
  return t5.T5Config(
    vocab_size=rows,
    emb_dim=width,
    num_heads=heads,
    head_dim=joined // heads,
    mlp_dim=mlp,
    num_encoder_layers=layers("encoder"),
    num_decoder_layers=layers("decoder"),
    mlp_activations=("gelu", "linear") if gated else ("relu",),
    tie_embeddings="decoder/logits_dense/kernel" not in shapes,
    rel_buckets=buckets,
    rel_bias_per_layer=per_layer,
  )
