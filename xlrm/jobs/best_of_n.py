"""Job: best-of-n. One pool of samples per prompt, chosen from by every
reward model at once.

For each prompt the policy draws n samples (the pool), one further sample at
the same temperature (the baseline that win rates are measured against) and
its greedy output. Every reward model scores every text; the record of a
reward model's choice is `best_of_n` with that model's language as source.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np

from xlrm import batches
from xlrm import best_of_n
from xlrm import memory_plan
from xlrm import pretrained
from xlrm import records
from xlrm import sampling
from xlrm import scorer as scorer_lib
from xlrm import sharding
from xlrm import text_generation

RECORDS = "records.jsonl"
POOLS = "pools.jsonl"


@dataclasses.dataclass(frozen=True)
class BestOfNConfig:
  """How samples are drawn.

  Attributes:
    num_samples: n, the size of the pool.
    max_prompts: prompts used, the first ones; None is all.
    batch_size: prompts decoded together.
    score_batch_size: prompts whose pools are scored together.
    seed: of the samples; a sample depends on it and on its example id only.
  """

  num_samples: int = 16
  max_prompts: int | None = None
  batch_size: int = 32
  score_batch_size: int = 32
  seed: int = 0

  def __post_init__(self):
    for name in ("num_samples", "batch_size", "score_batch_size"):
      if getattr(self, name) < 1:
        raise ValueError(f"{name} {getattr(self, name)} is below 1")
    if self.max_prompts is not None and self.max_prompts < 1:
      raise ValueError(f"max_prompts {self.max_prompts} is below 1")


def _write_pools(path: pathlib.Path, pools: Sequence[dict[str, Any]]) -> None:
  temporary = path.with_suffix(".partial")
  with open(temporary, "w", encoding="utf-8") as file:
    for pool in pools:
      file.write(json.dumps(pool, ensure_ascii=False, sort_keys=True) + "\n")
  os.replace(temporary, path)


def _record(row, method, source, study, policy, seed, **fields):
  return records.EvalRecord(
    study=study,
    method=method,
    source=source,
    target=row["language"],
    seed=seed,
    task=row.get("task", ""),
    dataset=row["dataset"],
    language=row["language"],
    example_id=row["id"],
    input=row["reward_inputs"],
    reference=row["targets_pretokenized"],
    policy=policy,
    **fields,
  )


def _prompt_records(row, texts, logprobs, scores, rewards, common):
  """Records of one prompt; `texts` is the pool, the baseline, the greedy."""
  num_samples = len(texts) - 2

  def scored(index):
    return {f"reward/{name}": float(scores[name][index]) for name in rewards}

  def record(method, source, index, **fields):
    return _record(
      row,
      method,
      source,
      *common,
      sample=index,
      output=texts[index],
      logprob=float(logprobs[index]),
      scores=scored(index),
      **fields,
    )

  yield record("sample", "", num_samples, rank=None, pool={})
  yield record("greedy", "", num_samples + 1, rank=None, pool={})
  for name in rewards:
    pool = np.asarray(scores[name][:num_samples])
    statistics = {
      "n": num_samples,
      "distinct": len(set(texts[:num_samples])),
      "mean": float(pool.mean()),
      "max": float(pool.max()),
    }
    chosen = int(best_of_n.select(pool))
    yield record("best_of_n", name, chosen, rank=0, pool=statistics)


def run(
  *,
  source: batches.BatchSource,
  policy: str,
  rewards: Mapping[str, scorer_lib.Spec],
  model_dir: str,
  config: BestOfNConfig = BestOfNConfig(),
  sampler: sampling.SamplingConfig = sampling.SamplingConfig(),
  lengths: Mapping[str, int],
  split: str = "test",
  study: str = "best_of_n",
  dtype: str = "float32",
  mesh: sharding.MeshConfig = sharding.MeshConfig(),
  dry_run: bool | str = False,
) -> list[records.EvalRecord]:
  """Samples, scores, chooses; writes `records.jsonl` and `pools.jsonl`.

  Args:
    source: prompts: rows of its split `split`.
    policy: model directory of the SFT model.
    rewards: name of a reward model (in a study its source language) to its
      model directory, or to an ensemble, see `scorer.load`.
    study: written into every record.
    mesh: spreads weights and prompts; each reward model is on it only while
      it scores.
    dry_run: print the plan, draw nothing; a name such as 'v4-32' says whether
      it fits there.
  """
  loaded = pretrained.load_language_model(policy, dtype=dtype)
  scorers = {
    name: scorer_lib.load(spec, dtype=dtype) for name, spec in rewards.items()
  }
  rows = source.examples(split)[: config.max_prompts]
  if not rows:
    raise ValueError(f"the split {split!r} has no prompts to sample for")
  devices = mesh.build()
  batch_size, score_batch_size = (
    sharding.fitting_batch_size(size, len(rows), devices)
    for size in (config.batch_size, config.score_batch_size)
  )
  if dry_run:
    print(
      f"best-of-{config.num_samples} of {policy}: {len(rows)} prompts x "
      f"{config.num_samples + 2} texts of at most {sampler.max_tokens} tokens,"
      f" scored by {', '.join(scorers)}; into {model_dir}"
    )
    named = memory_plan.devices(dry_run) if isinstance(dry_run, str) else None
    sampling_plan = memory_plan.sampling_plan(
      loaded.model,
      devices,
      batch_size=batch_size,
      num_samples=config.num_samples + 1,
      input_length=lengths["inputs"],
      max_tokens=sampler.max_tokens,
    )
    print(f"sampling: {sampling_plan.text(named)}")
    for name, scorer in scorers.items():
      for member in scorer.members:
        scoring_plan = memory_plan.scoring_plan(
          member.model,
          devices,
          batch_size=score_batch_size,
          num_responses=config.num_samples + 2,
        )
        print(f"reward model {name}: {scoring_plan.text(named)}")
    return []
  prompts = [row["inputs_pretokenized"] for row in rows]
  ids = [row["id"] for row in rows]
  params = loaded.lazy_params.on(devices, sharding.split_over_model)
  drawn, greedy = (
    text_generation.Generator(
      model=loaded.model,
      tokenizer=loaded.tokenizer,
      config=sampler_config,
      max_input_length=lengths["inputs"],
      batch_size=batch_size,
      num_samples=num_samples,
      seed=config.seed,
      mesh=devices,
      truncate_inputs_from_left=loaded.description.truncate_inputs_from_left,
    ).generate(params, prompts, ids)
    for sampler_config, num_samples in (
      (sampler, config.num_samples + 1),
      (sampling.SamplingConfig(max_tokens=sampler.max_tokens, greedy=True), 1),
    )
  )
  del params
  texts = [a.texts + b.texts for a, b in zip(drawn, greedy)]
  logprobs = [a.logprobs + b.logprobs for a, b in zip(drawn, greedy)]
  scores = {
    name: scorer.on(devices).score(
      [row["reward_inputs"] for row in rows],
      texts,
      batch_size=score_batch_size,
    )
    for name, scorer in scorers.items()
  }
  result, pools = [], []
  for index, row in enumerate(rows):
    own = {name: values[index] for name, values in scores.items()}
    common = (study, policy, config.seed)
    result += _prompt_records(
      row, texts[index], logprobs[index], own, scorers, common
    )
    pools.append(
      {
        "example_id": row["id"],
        "language": row["language"],
        # The baseline is one more draw of the same kind: with it an unbiased
        # estimate reaches k = n.
        "texts": texts[index][: config.num_samples + 1],
        "scores": {
          f"reward/{name}": [float(x) for x in values[: config.num_samples + 1]]
          for name, values in own.items()
        },
      }
    )
  directory = pathlib.Path(model_dir)
  directory.mkdir(parents=True, exist_ok=True)
  records.write(directory / RECORDS, result)
  _write_pools(directory / POOLS, pools)
  return result
