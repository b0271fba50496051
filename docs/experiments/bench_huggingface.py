"""Speed of Hugging Face's generate() on mt5-small's shape, to compare with.

In an environment with torch and transformers (not one of xlrm's dependencies):

  python bench_huggingface.py sample --prompts=4 --inputs=128 --targets=32
  python bench_huggingface.py sample --prompts=64 --targets=64 --mean_length=24
  python bench_huggingface.py score --inputs=512 --targets=32 --samples=16

Random weights, float32, every option as a user gets it: generate(do_sample,
num_return_sequences=n) on batches of 4 prompts. With --mean_length a response
ends by chance after every token, told to generate() as a stopping criterion,
which costs nothing and knows no text. `score` is teacher forcing: the
log-probabilities of each candidate, with its own copy of the prompt. Prints one
JSON line: median over calls.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import transformers

BATCH = 4  # prompts of one call of generate()


class ByChance(transformers.StoppingCriteria):
  """Ends each response with the same probability at every token."""

  def __init__(self, mean_length: float):
    self.probability = 1 / mean_length

  def __call__(self, input_ids, scores, **_):
    return torch.rand(len(input_ids)) < self.probability


def small() -> transformers.MT5ForConditionalGeneration:
  config = transformers.MT5Config(
    vocab_size=250112,
    d_model=512,
    d_kv=64,
    d_ff=1024,
    num_layers=8,
    num_heads=6,
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
  )
  model = transformers.MT5ForConditionalGeneration(config).eval()
  # Without this the output matrix is the embedding, whatever the config says.
  weight = torch.randn(config.vocab_size, config.d_model)
  model.lm_head.weight = torch.nn.Parameter(weight * config.d_model**-0.5)
  return model


def generate(model, prompts, options) -> int:
  """Tokens drawn, without what follows the end of a response."""
  criteria = transformers.StoppingCriteriaList()
  if options.mean_length:
    criteria.append(ByChance(options.mean_length))
  tokens = 0
  for batch in prompts.split(BATCH):
    found = model.generate(
      batch,
      attention_mask=torch.ones_like(batch),
      do_sample=True,
      num_return_sequences=options.samples,
      max_new_tokens=options.targets,
      # Random weights hardly draw EOS; full length is asked for.
      min_new_tokens=None if options.mean_length else options.targets,
      stopping_criteria=criteria,
      top_k=0,
    )
    tokens += int((found[:, 1:] != model.config.pad_token_id).sum())
  return tokens


def score(model, prompts, options) -> int:
  rows = prompts.repeat_interleave(options.samples, 0)
  targets = torch.randint(3, 250000, (len(rows), options.targets))
  logits = model(input_ids=rows, labels=targets).logits
  torch.log_softmax(logits, -1).gather(-1, targets[..., None]).sum()
  return len(rows)


@torch.inference_mode()
def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("kind", choices=("sample", "score"))
  parser.add_argument("--prompts", type=int, default=4)
  parser.add_argument("--samples", type=int, default=8)
  parser.add_argument("--inputs", type=int, default=128)
  parser.add_argument("--targets", type=int, default=32)
  parser.add_argument("--mean_length", type=float)
  parser.add_argument("--calls", type=int, default=3)
  options = parser.parse_args()
  torch.manual_seed(0)
  model = small()
  prompts = torch.randint(3, 250000, (options.prompts, options.inputs))
  run = {"sample": generate, "score": score}[options.kind]
  run(model, prompts[:BATCH], options)  # warm-up
  rates = []
  for _ in range(options.calls):
    start = time.perf_counter()
    count = run(model, prompts, options)
    rates.append(count / (time.perf_counter() - start))
  print(
    json.dumps(
      {
        **vars(options),
        "per_second": round(statistics.median(rates), 2),
        "unit": "new tokens" if options.kind == "sample" else "pairs",
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * 1024,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
      }
    )
  )


if __name__ == "__main__":
  main()
