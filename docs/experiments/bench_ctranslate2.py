"""Speed of CTranslate2 on mt5-small's shape, beside `bench_huggingface.py`.

In an environment with torch, transformers and ctranslate2:

  python bench_ctranslate2.py --folder=some_folder

Writes the random model of `bench_huggingface.small` there, converts it to
float32 and to int8, and draws 8 hypotheses of 32 tokens for 4 prompts of 128
from the whole vocabulary. Prints new tokens per second of each call.
"""

import argparse
import os
import time

import bench_huggingface
import ctranslate2
from ctranslate2 import converters
import numpy as np
import torch

PROMPTS, SAMPLES, INPUTS, TARGETS = 4, 8, 128, 32
VOCABULARY = 250112


class Pieces:
  """As much of a tokenizer as the converter asks for."""

  pad_token, eos_token, unk_token, bos_token = "t0", "t1", "t2", None
  pad_token_id, eos_token_id, unk_token_id = 0, 1, 2

  def get_vocab(self):
    return {f"t{i}": i for i in range(VOCABULARY)}

  def convert_ids_to_tokens(self, i):
    return f"t{i}"

  def __len__(self):
    return VOCABULARY


class Converter(converters.TransformersConverter):
  def load_tokenizer(self, *_, **__):
    return Pieces()


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("--folder", required=True)
  folder = parser.parse_args().folder
  if not os.path.exists(folder):
    torch.manual_seed(0)
    model = f"{folder}/model"
    bench_huggingface.small().save_pretrained(model)
    Converter(model).convert(f"{folder}/float32")
    Converter(model).convert(f"{folder}/int8", quantization="int8")
  ids = np.random.default_rng(0).integers(3, VOCABULARY, (PROMPTS, INPUTS))
  prompts = [[f"t{i}" for i in row] for row in ids]
  for kind in ("float32", "int8"):
    model = ctranslate2.Translator(f"{folder}/{kind}", intra_threads=2)
    rates = []
    for _ in range(4):
      start = time.perf_counter()
      found = model.translate_batch(
        prompts,
        beam_size=1,
        sampling_topk=0,
        num_hypotheses=SAMPLES,
        max_decoding_length=TARGETS,
        min_decoding_length=TARGETS,
      )
      tokens = sum(len(y) for x in found for y in x.hypotheses)
      rates.append(round(tokens / (time.perf_counter() - start), 1))
    print(kind, rates, f"ctranslate2 {ctranslate2.__version__}")


if __name__ == "__main__":
  main()
