"""Names of parameters in T5X and in Hugging Face's T5.

Kernels and relative biases are transposed there; embeddings and norms are not.
"""

from collections.abc import Iterator
import re

from xlrm.checkpoints import checkpoint_errors

_ENCODER = {
  "attention/query/kernel": "layer.0.SelfAttention.q.weight",
  "attention/key/kernel": "layer.0.SelfAttention.k.weight",
  "attention/value/kernel": "layer.0.SelfAttention.v.weight",
  "attention/out/kernel": "layer.0.SelfAttention.o.weight",
  "relpos_bias/rel_embedding": (
    "layer.0.SelfAttention.relative_attention_bias.weight"
  ),
  "pre_attention_layer_norm/scale": "layer.0.layer_norm.weight",
  "pre_mlp_layer_norm/scale": "layer.1.layer_norm.weight",
}
_DECODER = {
  "self_attention/query/kernel": "layer.0.SelfAttention.q.weight",
  "self_attention/key/kernel": "layer.0.SelfAttention.k.weight",
  "self_attention/value/kernel": "layer.0.SelfAttention.v.weight",
  "self_attention/out/kernel": "layer.0.SelfAttention.o.weight",
  "relpos_bias/rel_embedding": (
    "layer.0.SelfAttention.relative_attention_bias.weight"
  ),
  "pre_self_attention_layer_norm/scale": "layer.0.layer_norm.weight",
  "encoder_decoder_attention/query/kernel": "layer.1.EncDecAttention.q.weight",
  "encoder_decoder_attention/key/kernel": "layer.1.EncDecAttention.k.weight",
  "encoder_decoder_attention/value/kernel": "layer.1.EncDecAttention.v.weight",
  "encoder_decoder_attention/out/kernel": "layer.1.EncDecAttention.o.weight",
  "pre_cross_attention_layer_norm/scale": "layer.1.layer_norm.weight",
  "pre_mlp_layer_norm/scale": "layer.2.layer_norm.weight",
}
_TOP = {
  "token_embedder/embedding": "shared.weight",
  "encoder/encoder_norm/scale": "encoder.final_layer_norm.weight",
  "decoder/decoder_norm/scale": "decoder.final_layer_norm.weight",
  "decoder/logits_dense/kernel": "lm_head.weight",
  "head/kernel": "score.weight",
  "head/bias": "score.bias",
}
# Copies of `shared.weight`, and what T5 1.0's first files hold for no use.
IGNORED = re.compile(
  r"(encoder|decoder)\.embed_tokens\.weight$|"
  r".*\.EncDecAttention\.relative_attention_bias\.weight$"
)


def hub_name(path: str) -> str:
  """T5X's path of a parameter -> its name in Hugging Face's files.

  A scorer's 'backbone/..' loses that prefix; its head is 'score'.
  """
  path = path.removeprefix("backbone/")
  if path in _TOP:
    return _TOP[path]
  if match := re.fullmatch(r"(encoder|decoder)/(relpos_bias/.+)", path):
    block = _ENCODER[match[2]]
    return f"{match[1]}.block.0.{block}"
  match = re.fullmatch(r"(encoder|decoder)/layers_(\d+)/(.+)", path)
  if match:
    stack, number, name = match.groups()
    if mlp := re.fullmatch(r"mlp/(wi|wi_0|wi_1|wo)/kernel", name):
      place = 1 if stack == "encoder" else 2
      name = f"layer.{place}.DenseReluDense.{mlp[1]}.weight"
      return f"{stack}.block.{number}.{name}"
    names = _ENCODER if stack == "encoder" else _DECODER
    if name in names:
      return f"{stack}.block.{number}.{names[name]}"
  raise checkpoint_errors.CheckpointError(
    f"the parameter {path} has no name in Hugging Face's T5"
  )


def is_transposed(path: str) -> bool:
  """Whether Hugging Face stores a parameter the other way round."""
  return path.endswith(("kernel", "rel_embedding"))


def paths(
  num_encoder_layers: int,
  num_decoder_layers: int,
  gates: int,
  rel_bias_per_layer: bool,
) -> Iterator[str]:
  """T5X's paths of every parameter that such a model may have."""
  mlp = ["wi"] if gates == 1 else [f"wi_{i}" for i in range(gates)]
  for stack, count, names in (
    ("encoder", num_encoder_layers, _ENCODER),
    ("decoder", num_decoder_layers, _DECODER),
  ):
    for number in range(count):
      for name in [*names, *(f"mlp/{x}/kernel" for x in (*mlp, "wo"))]:
        if name.startswith("relpos_bias"):
          if not rel_bias_per_layer:
            if number == 0:
              yield f"{stack}/{name}"
            continue
        yield f"{stack}/layers_{number}/{name}"
  yield from _TOP
