"""Job: what reward models know of languages that they never saw.

Accuracy on the held-out ratings of every language, never without the majority
and the length baseline beside it; the length baseline's threshold and
direction are chosen on that language's training ratings, as in the paper.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

from xlrm import batches
from xlrm import pretrained
from xlrm import sharding
from xlrm import text_generation
from xlrm.evaluation import accuracy
from xlrm.models import scorer as scorer_lib

ACCURACY = "accuracy.json"
RANDOM_HEADS = 1000  # a tenth of 20 would be two


@dataclasses.dataclass(frozen=True)
class RandomHeads:
  """A language model under several random heads: what a base knows untrained.

  Attributes:
    scorer: reads the states.
    params: one tree per head, stacked in `head` only.
  """

  scorer: scorer_lib.ResponseScorer
  params: Any

  def scores(
    self, prompts: Sequence[str], texts: Sequence[str], batch_size: int
  ) -> np.ndarray:
    """[heads, texts]; the backbone runs once for all heads."""
    bare = dataclasses.replace(self.scorer, tokenizer=None)
    size = min(batch_size, len(texts))
    columns = np.zeros((self.params["head"]["bias"].shape[0], len(texts)))
    for first in range(0, len(texts), size):
      start = min(first, len(texts) - size)  # one shape: the last overlaps
      rows = slice(start, start + size)
      batch = self.scorer.prepare(
        list(prompts[rows]), [[text] for text in texts[rows]]
      )
      columns[:, rows] = _scores_of_heads(bare, self.params, batch)[..., 0]
    return columns


@functools.partial(jax.jit, static_argnums=0)
def _scores_of_heads(scorer, params, batch) -> jax.Array:
  """[heads B N]"""
  return jax.vmap(lambda head: scorer.scores({**params, "head": head}, batch))(
    params["head"]
  )


def load_scorer_or_base(
  path: str,
  lengths: Mapping[str, int],
  seed: int = 0,
  mesh: jax.sharding.Mesh | None = None,
) -> tuple[scorer_lib.Scorer, Any] | RandomHeads:
  """A reward model; of a language model the backbone under random heads,
  which show what a head without training scores."""
  verdict = str(path).startswith(pretrained.VERDICT)
  description = None if verdict else pretrained.read_description(path)
  if verdict or description.kind == pretrained.RESPONSE_SCORER:
    loaded = pretrained.load_scorer(path)
    return loaded.model, loaded.lazy_params.on(mesh, sharding.split_over_model)
  base = pretrained.load_language_model(path)
  description = dataclasses.replace(
    description,
    max_input_length=lengths["inputs"],
    max_response_length=lengths["targets"],
  )
  scorer = pretrained.scorer_of(base.model, base.tokenizer, description)
  base_params = base.lazy_params.on(mesh, sharding.split_over_model)
  keys = jax.random.split(jax.random.key(seed), RANDOM_HEADS)
  params = scorer.from_language_model(keys[0], base_params)
  heads = jax.vmap(
    lambda key: scorer.from_language_model(key, base_params)["head"]
  )(keys)
  return RandomHeads(scorer, {**params, "head": heads})


def accuracy_rows(
  scorers: Mapping[str, tuple[scorer_lib.Scorer, Any] | RandomHeads],
  sources: Mapping[str, batches.BatchSource],
  split: str,
  batch_size: int,
  mesh: jax.sharding.Mesh | None = None,
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
    documents = [row["reward_inputs"] for row in held_out]
    for name, scorer in scorers.items():
      if isinstance(scorer, RandomHeads):
        columns = scorer.scores(documents, texts, batch_size)
      else:
        groups = text_generation.score_texts(
          *scorer,
          documents,
          [[x] for x in texts],
          batch_size=batch_size,
          mesh=mesh,
        )
        columns = [[group[0] for group in groups]]
      found = [
        accuracy.accuracy_row(
          name,
          language,
          scores=scores,
          ratings=[row["rating"] for row in held_out],
          lengths=[len(text.split()) for text in texts],
          baseline=baseline,
          faults=[row["fault"] for row in held_out],
        )
        for scores in columns
      ]
      rows.append(accuracy.mean_row(found) if len(found) > 1 else found[0])
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
    fields["spread"] = tuple(fields.get("spread", ()))
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
  mesh: sharding.MeshConfig = sharding.MeshConfig(),
  dry_run: bool | str = False,
) -> list[accuracy.AccuracyRow]:
  """Writes `accuracy.json` and prints it as a table.

  Args:
    sources: language to its ratings.
    rewards: name to the directory of a reward model, or of a language model
      (it gets RANDOM_HEADS random heads, and the row is their mean).
    lengths: tokens that a random head's model reads.
    split: held-out split.
    seed: of random heads.
    mesh: spreads weights and rows.
    dry_run: print the plan, score nothing.
  """
  if dry_run:
    print(f"accuracy of {', '.join(rewards)} on {', '.join(sources)}")
    return []
  devices = mesh.build()
  scorers = {
    name: load_scorer_or_base(path, lengths, seed, devices)
    for name, path in rewards.items()
  }
  rows = accuracy_rows(scorers, sources, split, batch_size, devices)
  write_rows(pathlib.Path(model_dir) / ACCURACY, rows)
  print(accuracy.table(rows), flush=True)
  return rows
