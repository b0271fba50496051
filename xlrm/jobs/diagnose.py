"""Job: what reward models know of languages that they never saw.

Accuracy on the held-out ratings of every language, never without the majority
and the length baseline beside it; the length baseline's threshold and
direction are chosen on that language's training ratings, as in the paper.
"""

from collections.abc import Mapping
import json
import os
import pathlib
from typing import Any

import dataclasses
import jax

from xlrm import batches
from xlrm import pretrained
from xlrm import text_generation
from xlrm.evaluation import accuracy
from xlrm.models import scorer as scorer_lib

ACCURACY = "accuracy.json"


def load_scorer_or_base(
  path: str, lengths: Mapping[str, int], seed: int = 0
) -> tuple[scorer_lib.Scorer, Any]:
  """A reward model; of a language model the backbone under a random head,
  which shows what a head without training scores."""
  if str(path).startswith(pretrained.VERDICT):
    loaded = pretrained.load_scorer(path)
    return loaded.model, loaded.params
  description = pretrained.read_description(path)
  if description.kind == pretrained.RESPONSE_SCORER:
    loaded = pretrained.load_scorer(path)
    return loaded.model, loaded.params
  base = pretrained.load_language_model(path)
  scorer = scorer_lib.ResponseScorer(
    model=base.model,
    tokenizer=base.tokenizer,
    max_input_length=lengths["inputs"],
    max_response_length=lengths["targets"],
    layer=description.scorer_layer,
  )
  key = jax.random.key(seed)
  return scorer, scorer.from_language_model(key, base.params)


def accuracy_rows(
  scorers: Mapping[str, tuple[scorer_lib.Scorer, Any]],
  sources: Mapping[str, batches.BatchSource],
  split: str,
  batch_size: int,
) -> list[accuracy.AccuracyRow]:
  """One row per reward model and language."""
  rows = []
  for language, source in sources.items():
    training = source.examples("train")
    held_out = source.examples(split)
    if not training or not held_out:
      raise ValueError(
        f"{language}: {len(training)} training and {len(held_out)} {split} "
        "ratings; both are needed"
      )
    baseline = accuracy.fit_length_baseline(
      [len(row["targets_pretokenized"].split()) for row in training],
      [row["rating"] for row in training],
    )
    texts = [row["targets_pretokenized"] for row in held_out]
    for name, (scorer, params) in scorers.items():
      scores = text_generation.score_texts(
        scorer,
        params,
        [row["reward_inputs"] for row in held_out],
        [[text] for text in texts],
        batch_size=batch_size,
      )
      rows.append(
        accuracy.accuracy_row(
          name,
          language,
          scores=[group[0] for group in scores],
          ratings=[row["rating"] for row in held_out],
          lengths=[len(text.split()) for text in texts],
          baseline=baseline,
          faults=[row["fault"] for row in held_out],
        )
      )
  return rows


def write_rows(path: pathlib.Path, rows: list[accuracy.AccuracyRow]) -> None:
  """Writes rows as JSON, atomically."""
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_suffix(".partial")
  values = [dataclasses.asdict(row) for row in rows]
  temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
  os.replace(temporary, path)


def read_rows(path: str | os.PathLike) -> list[accuracy.AccuracyRow]:
  """Reads what `write_rows` wrote."""
  rows = []
  for fields in json.loads(pathlib.Path(path).read_text(encoding="utf-8")):
    faults = fields.pop("by_fault")
    rows.append(
      accuracy.AccuracyRow(
        **fields,
        by_fault={
          name: accuracy.FaultAccuracy(**value)
          for name, value in faults.items()
        },
      )
    )
  return rows


def run(
  *,
  sources: Mapping[str, batches.BatchSource],
  rewards: Mapping[str, str],
  model_dir: str,
  lengths: Mapping[str, int],
  split: str = "test",
  batch_size: int = 64,
  seed: int = 0,
  dry_run: bool = False,
) -> list[accuracy.AccuracyRow]:
  """Writes `accuracy.json` and prints it as a table.

  Args:
    sources: language to its ratings.
    rewards: name to the directory of a reward model, or of a language model
      (it gets a random head).
    lengths: tokens that a random head's model reads.
    split: held-out split.
    seed: of random heads.
    dry_run: print the plan, score nothing.
  """
  if dry_run:
    print(f"accuracy of {', '.join(rewards)} on {', '.join(sources)}")
    return []
  scorers = {
    name: load_scorer_or_base(path, lengths, seed)
    for name, path in rewards.items()
  }
  rows = accuracy_rows(scorers, sources, split, batch_size)
  write_rows(pathlib.Path(model_dir) / ACCURACY, rows)
  print(accuracy.table(rows), flush=True)
  return rows
