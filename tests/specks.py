"""The smallest models and prompts that a job runs with.

For fixtures, and for programs that tests start as processes of their own: those
find them in one folder, under the names below.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
import pathlib

import jax

from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.miniworld import world_rows
from xlrm.text import tokenizer

POLICY, REWARD, PROMPTS = "speck", "speck_rm", "prompts.jsonl"
LENGTHS = {"inputs": 64, "targets": 32}  # of reward models


def write_policy(folder: str | os.PathLike) -> str:
  """A policy with nano's vocabulary and one layer, which compiles fast."""
  base = pretrained.load_language_model("nano")
  config = dataclasses.replace(
    base.model.config,
    emb_dim=32,
    num_heads=2,
    head_dim=8,
    mlp_dim=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
  )
  made = pretrained.new_language_model(
    config, base.vocabulary, base.description.extra_ids, seed=3
  )
  pretrained.write_archive(
    folder, made.params, made.description, made.vocabulary
  )
  return str(folder)


def write_reward(
  folder: str | os.PathLike,
  policy: str,
  vocabulary: str | None = None,
  lengths: Mapping[str, int] = LENGTHS,
  factor: float = 1.0,
  **changes: int,
) -> str:
  """A random head on a policy's weights; after changes of its config, on random
  weights.

  Args:
    vocabulary: another one than the policy's.
    factor: of the head: a fresh one says hardly anything.
  """
  base = pretrained.load_language_model(policy)
  config = dataclasses.replace(base.model.config, **changes)
  model = dataclasses.replace(base.model, config=config)
  description = dataclasses.replace(
    base.description,
    kind=model_description.RESPONSE_SCORER,
    config=config,
    max_input_length=lengths["inputs"],
    max_response_length=lengths["targets"],
  )
  vocabulary = vocabulary or base.vocabulary
  tokens = tokenizer.Tokenizer.load(vocabulary, base.description.extra_ids)
  made = pretrained.scorer_of(model, tokens, description)
  params = base.params if not changes else model.init(jax.random.key(1))
  params = made.from_language_model(jax.random.key(0), params)
  params["head"]["kernel"] *= factor
  pretrained.write_archive(folder, params, description, vocabulary)
  return str(folder)


def write_prompts(path: pathlib.Path, number: int) -> str:
  """Spanish documents of miniworld."""
  made = [
    {"prompt": row.document, "id": row.id, "language": "es"}
    for row in world_rows.summary_rows("es", "train", 0, number)
  ]
  text = "".join(json.dumps(x) + "\n" for x in made)
  path.write_text(text, encoding="utf-8")
  return str(path)


def prepare(
  place: pathlib.Path, number: int, **options: float | Mapping[str, int]
) -> None:
  """All of them in `place`.

  Args:
    number: of prompts.
    options: of `write_reward`.
  """
  policy = write_policy(place / POLICY)
  write_reward(place / REWARD, policy, **options)
  write_prompts(place / PROMPTS, number)
