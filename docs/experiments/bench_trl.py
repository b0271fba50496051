"""Speed of one PPO iteration of TRL 0.11.4, to compare with `xlrm bench ppo`.

TRL 0.11.4 is the last with PPO for encoder-decoders. In an environment of its
own (not one of xlrm's dependencies):

  pip install torch==2.13.0 trl==0.11.4 transformers==4.45.2 sentencepiece rich
  python bench_trl.py --vocabulary=xlrm/assets/nano/spiece.model

The shape of `xlrm bench ppo --size=tiny`: width 256, 4 + 4 layers, 32,000
rows, random weights, float32; 16 prompts of 128 tokens, 32 out, one epoch, one
minibatch. PPOTrainer as its documentation uses it, with what makes it faster:
all prompts in one call of generate() (its default is 4), no dropout, rewards by
token ids and not by texts. The reward model is another model of this size,
whose decoder reads the response. Its value head shares the policy's layers;
xlrm's value model is one of its own, which is more work. Prints one JSON line:
medians over iterations; with --turns one line an iteration, each when a line is
read (docs/experiments/bench_ppo.py asks for them between its own).
"""

import argparse
import json
import resource
import statistics
import sys
import time
import warnings

import torch
import transformers
import trl

warnings.simplefilter("ignore", FutureWarning)


def config() -> transformers.MT5Config:
  return transformers.MT5Config(
    vocab_size=32000,
    d_model=256,
    d_kv=64,
    d_ff=1024,
    num_layers=4,
    num_heads=4,
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
    dropout_rate=0.0,
  )


class Reward(torch.nn.Module):
  """A number for each response, read after its last token."""

  def __init__(self):
    super().__init__()
    self.backbone = transformers.MT5Model(config())
    self.head = torch.nn.Linear(256, 1)

  @torch.inference_mode()
  def forward(self, inputs, responses):
    found = self.backbone(input_ids=inputs, decoder_input_ids=responses)
    last = (responses != 0).sum(1)  # the start id is 0, too
    rows = torch.arange(len(last))
    return self.head(found.last_hidden_state[rows, last])[:, 0]


def iteration(trainer, reward, prompts, options) -> dict[str, float]:
  """Seconds of its three parts."""
  start, worked = time.perf_counter(), time.process_time()
  responses = trainer.generate(
    list(prompts),
    batch_size=options.generate_batch or len(prompts),
    max_new_tokens=options.targets,
    do_sample=True,
    top_k=0,
    top_p=1.0,
    pad_token_id=0,
  )
  drawn = time.perf_counter()
  padded = torch.nn.utils.rnn.pad_sequence(responses, batch_first=True)
  scores = list(reward(prompts, padded).clone())
  judged = time.perf_counter()
  told = trainer.step(list(prompts), responses, scores)
  end = time.perf_counter()
  forward = told["time/ppo/forward_pass"]  # log-probabilities and values
  return {
    "seconds_per_call": end - start,
    "rollout_seconds": drawn - start,
    "score_seconds": judged - drawn + forward,
    "update_seconds": end - judged - forward,
    "core_seconds": time.process_time() - worked,
    "tokens": float(sum(len(x) - 1 for x in responses)),
  }


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("--vocabulary", required=True)
  parser.add_argument("--batch", type=int, default=16)
  parser.add_argument("--inputs", type=int, default=128)
  parser.add_argument("--targets", type=int, default=32)
  parser.add_argument("--steps", type=int, default=5)
  parser.add_argument(
    "--generate_batch", type=int, help="TRL's own default is 4"
  )
  parser.add_argument("--turns", action="store_true", help="when asked")
  options = parser.parse_args()
  torch.manual_seed(0)
  policy = transformers.MT5ForConditionalGeneration(config())
  model = trl.AutoModelForSeq2SeqLMWithValueHead.from_pretrained(policy)
  # The value head has a dropout of its own.
  model.v_head.dropout = torch.nn.Identity()
  trainer = trl.PPOTrainer(
    trl.PPOConfig(
      batch_size=options.batch,
      mini_batch_size=options.batch,
      ppo_epochs=1,
      init_kl_coef=0.1,
      adap_kl_ctrl=False,
    ),
    model,
    trl.create_reference_model(model),
    transformers.T5Tokenizer(options.vocabulary, legacy=False),
  )
  reward = Reward().eval()
  prompts = torch.randint(3, 32000, (options.batch, options.inputs))
  prompts[:, -1] = 1
  for _ in range(2):  # warm-up
    iteration(trainer, reward, prompts, options)
  if options.turns:
    print("ready", flush=True)
    for _ in sys.stdin:
      found = iteration(trainer, reward, prompts, options)
      print(json.dumps(found), flush=True)
    return
  found = [
    iteration(trainer, reward, prompts, options) for _ in range(options.steps)
  ]
  print(
    json.dumps(
      {
        **{
          name: round(statistics.median(x[name] for x in found), 5)
          for name in found[0]
        },
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * 1024,
        "trl": trl.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
      }
    )
  )


if __name__ == "__main__":
  main()
