"""Makes hf_*.npz with transformers on torch; neither is needed to test.

  pip install torch==2.13.0 transformers safetensors
  python tests/golden/make_hf_golden.py

Each file holds a tiny model of one family: `config` (the JSON that
transformers wrote), `weights/<name>`, `inputs` [B S] (0 pads), `targets`
[B T], `logits` [B T V] under teacher forcing, and `greedy` [B T] as generated.
Untied models get an output matrix of their own: transformers 5 ties every T5
that it makes, whatever its config says.
"""

import pathlib
import sys
import tempfile

import numpy as np
from safetensors import numpy as files
import torch
import transformers as hf

HERE = pathlib.Path(__file__).parent
SIZES = {
  "vocab_size": 64,
  "d_model": 24,
  "d_kv": 8,
  "d_ff": 40,
  "num_layers": 2,
  "num_decoder_layers": 3,
  "num_heads": 2,
  "dropout_rate": 0.0,
}
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
FAMILIES = {
  "mt5": (hf.MT5Config, hf.MT5ForConditionalGeneration, GATED),
  "t5": (
    hf.T5Config,
    hf.T5ForConditionalGeneration,
    {"feed_forward_proj": "relu"},
  ),
  "t5_1_1": (hf.T5Config, hf.T5ForConditionalGeneration, GATED),
  "umt5": (hf.UMT5Config, hf.UMT5ForConditionalGeneration, GATED),
}
LENGTH = 10


def main() -> None:
  for name, (config_class, model_class, options) in FAMILIES.items():
    torch.manual_seed(0)
    config = config_class(**SIZES, **options, decoder_start_token_id=0)
    model = model_class(config).eval()
    with torch.no_grad():
      for key, value in model.named_parameters():
        if "layer_norm" in key:
          value.mul_(1 + 0.2 * torch.randn_like(value))
      if options is GATED:
        own = torch.nn.Parameter(0.3 * torch.randn(64, 24))
        model.lm_head.weight = own
        # Forced to True in transformers 5, where umT5 still scales by it.
        model.config.tie_word_embeddings = False
    rng = np.random.default_rng(0)
    inputs = rng.integers(3, 64, (4, 12))
    inputs[1, 7:], inputs[2, 3:] = 0, 0
    targets = rng.integers(3, 64, (4, LENGTH))
    start = np.concatenate([np.zeros((4, 1), int), targets[:, :-1]], axis=1)
    mask = torch.tensor(inputs > 0).long()
    with torch.no_grad():
      logits = model(
        input_ids=torch.tensor(inputs),
        attention_mask=mask,
        decoder_input_ids=torch.tensor(start),
      ).logits.numpy()
      greedy = model.generate(
        input_ids=torch.tensor(inputs),
        attention_mask=mask,
        max_new_tokens=LENGTH,
        do_sample=False,
        num_beams=1,
        use_cache=False,  # transformers 5.23 sizes it by the encoder
      ).numpy()[:, 1:]
    with tempfile.TemporaryDirectory() as folder:
      model.save_pretrained(folder)
      place = pathlib.Path(folder)
      weights = files.load_file(place / "model.safetensors")
      text = (place / "config.json").read_text()
    padded = np.zeros((4, LENGTH), np.int32)
    padded[:, : greedy.shape[1]] = greedy
    np.savez_compressed(
      HERE / f"hf_{name}.npz",
      config=np.array(text),
      inputs=inputs.astype(np.int32),
      targets=targets.astype(np.int32),
      logits=logits.astype(np.float32),
      greedy=padded,
      **{f"weights/{key}": value for key, value in weights.items()},
    )
    print(name, hf.__version__, "lm_head.weight" in weights, file=sys.stderr)


if __name__ == "__main__":
  main()
