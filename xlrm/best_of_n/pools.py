"""Pools of samples: what reward models choose from them, and what it is worth.

A pool is the n samples drawn for one prompt. It serves every k <= n: averages
over all subsets of a pool have closed forms, see `best_of_n`.
"""

from collections.abc import Iterator, Mapping, Sequence
import csv
import dataclasses
import glob
import io
import json
import os
import pathlib
from typing import Any
import zlib

import numpy as np

from xlrm.best_of_n import estimators
from xlrm.evaluation import records as records_lib
from xlrm.storage import files

FILE = "pools.jsonl"  # in the MODEL_DIR of a best-of-n run
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Pool:
  """All texts drawn for one prompt, and all scores of them.

  Attributes:
    example_id: of the prompt.
    language: asked of the responses.
    dataset: part of the task.
    task: of the prompt.
    inputs: what the policy read.
    reward_inputs: what the reward models read.
    reference: a person's response, or empty.
    texts: the n samples and one more, the baseline of win rates.
    logprobs: of each of them, in nats.
    scores: 'reward/NAME' -> score of each of them.
    greedy: the policy's greedy output: text, logprob and scores.
  """

  example_id: str
  language: str
  dataset: str
  task: str
  inputs: str
  reward_inputs: str
  reference: str
  texts: Sequence[str]
  logprobs: Sequence[float]
  scores: Mapping[str, Sequence[float]]
  greedy: Mapping[str, Any]

  @classmethod
  def of(
    cls, row: Row, samples: Row, greedy: Row, scores: Mapping[str, Sequence]
  ) -> "Pool":
    """From a prompt, what was drawn for it, and the scores of all texts, the
    greedy output's last."""
    for drawn in (samples, greedy):
      if drawn["example_id"] != row["id"]:
        raise ValueError(
          f"texts of {drawn['example_id']!r} stand where those of "
          f"{row['id']!r} were expected"
        )
    return cls(
      example_id=row["id"],
      language=row["language"],
      dataset=row["dataset"],
      task=row.get("task", ""),
      inputs=row["inputs_pretokenized"],
      reward_inputs=row["reward_inputs"],
      reference=row["targets_pretokenized"],
      texts=samples["texts"],
      logprobs=samples["logprobs"],
      scores={f"reward/{name}": x[:-1] for name, x in scores.items()},
      greedy={
        "text": greedy["texts"][0],
        "logprob": greedy["logprobs"][0],
        "scores": {f"reward/{name}": x[-1] for name, x in scores.items()},
      },
    )

  @property
  def num_samples(self) -> int:
    """n: the baseline is not chosen from."""
    return len(self.texts) - 1

  @property
  def rewards(self) -> list[str]:
    return [name.removeprefix("reward/") for name in self.scores]

  def scores_by(self, reward: str) -> np.ndarray:
    """[n] scores of the samples.

    Raises:
      ValueError: the pool was not scored by it; names those that did.
    """
    name = f"reward/{reward}"
    if name not in self.scores:
      raise ValueError(
        f"the pool of {self.example_id!r} has no scores of a reward model "
        f"{reward!r}; it has {', '.join(self.rewards)}"
      )
    return np.asarray(self.scores[name][: self.num_samples], np.float64)


@dataclasses.dataclass(frozen=True)
class Choice:
  """How records are made of pools.

  Attributes:
    study: written into every record.
    policy: the model that drew.
    seed: of the draws.
    soft_scale: lambda of soft best-of-n; None leaves it out.
    restricted: drawn under top-k or top-p: then the KL estimate is left out,
      as the log-probabilities are not those of the draws.
  """

  study: str
  policy: str
  seed: int
  soft_scale: float | None = None
  restricted: bool = False

  def records(self, pool: Pool) -> Iterator[records_lib.EvalRecord]:
    """The baseline, the greedy output, and each reward model's choice."""
    n = pool.num_samples
    yield self._record(pool, "sample", "", n)
    greedy = self._record(pool, "greedy", "", n)
    yield dataclasses.replace(
      greedy,
      sample=n + 1,
      output=pool.greedy["text"],
      logprob=float(pool.greedy["logprob"]),
      scores=dict(pool.greedy["scores"]),
    )
    for reward in pool.rewards:
      scores = pool.scores_by(reward)
      best = int(estimators.select(scores))
      yield self._chosen(pool, "best_of_n", reward, best)
      if self.soft_scale is not None:
        weights = estimators.soft_best_of_n(scores, self.soft_scale)
        key = [self.seed, zlib.crc32(pool.example_id.encode())]
        draw = np.random.Generator(np.random.Philox(key=key)).random()
        chosen = int(np.searchsorted(np.cumsum(weights), draw, side="right"))
        yield self._chosen(pool, "soft_best_of_n", reward, min(chosen, n - 1))

  def _chosen(self, pool: Pool, method: str, reward: str, index: int):
    scores = pool.scores_by(reward)
    n = pool.num_samples
    statistics = {
      "n": n,
      "distinct": len(set(pool.texts[:n])),
      "mean": float(scores.mean()),
      "std": float(scores.std()),
      "max": float(scores.max()),
      "kl_bound": estimators.kl_bound(n),
    }
    if not self.restricted and method == "best_of_n":
      estimate = estimators.kl_estimate(np.asarray(pool.logprobs[index]), n)
      statistics["kl_estimate"] = float(estimate)
    rank = int((scores > scores[index]).sum())
    return self._record(pool, method, reward, index, rank=rank, pool=statistics)

  def _record(
    self, drawn: Pool, method: str, source: str, index: int, **fields
  ):
    return records_lib.EvalRecord(
      study=self.study,
      method=method,
      source=source,
      target=drawn.language,
      seed=self.seed,
      task=drawn.task,
      dataset=drawn.dataset,
      language=drawn.language,
      example_id=drawn.example_id,
      sample=index,
      input=drawn.reward_inputs,
      reference=drawn.reference,
      output=drawn.texts[index],
      policy=self.policy,
      logprob=float(drawn.logprobs[index]),
      scores={name: float(x[index]) for name, x in drawn.scores.items()},
      **fields,
    )


def write(path: str | os.PathLike, pools: Sequence[Pool]) -> None:
  """Writes one JSON object per pool."""
  lines = [
    json.dumps(dataclasses.asdict(pool), ensure_ascii=False, sort_keys=True)
    for pool in pools
  ]
  files.write_text(path, "".join(f"{line}\n" for line in lines))


def read(path: str | os.PathLike) -> list[Pool]:
  """Reads what `write` wrote.

  Raises:
    ValueError: a line is no pool; names file, line and field.
  """
  names = {field.name for field in dataclasses.fields(Pool)}
  pools = []
  for place, row in files.rows(glob.escape(str(path))):
    for name in sorted(names - row.keys()):
      raise files.missing(place, name, list(row))
    pools.append(Pool(**{name: row[name] for name in names}))
  return pools


def curve_rows(
  pools: Sequence[Pool], restricted: bool = False
) -> Iterator[dict[str, Any]]:
  """What best-of-k is worth, for every chooser, judge and k <= n.

  `score` is the judge's mean score of the best of k, `win_rate` how often it
  beats one more sample (ties one half), both the mean over all subsets of the
  pools; `kl_bound` is an upper bound, `kl_estimate` an estimate.
  """
  logprobs = np.asarray([pool.logprobs for pool in pools])
  scores = {
    name: np.asarray([pool.scores[name] for pool in pools])
    for name in pools[0].scores
  }
  for chooser, chosen_by in scores.items():
    kl = estimators.expected_kl_estimate(chosen_by, logprobs).mean(axis=0)
    for judge, judged_by in scores.items():
      wins = estimators.best_of_k_win_rate(chosen_by, judged_by).mean(axis=0)
      values = estimators.expected_best_of_k(chosen_by, judged_by).mean(axis=0)
      for k in range(1, pools[0].num_samples + 1):
        yield {
          "reward": chooser.removeprefix("reward/"),
          "judge": judge,
          "k": k,
          "prompts": len(pools),
          "score": f"{values[k - 1]:.6g}",
          "win_rate": f"{wins[k - 1]:.6f}",
          "win_rate_bound": f"{estimators.win_rate_bound(k):.6f}",
          "kl_bound": f"{estimators.kl_bound(k):.6f}",
          "kl_estimate": "" if restricted else f"{kl[k - 1]:.6f}",
        }


def write_curves(
  path: str | os.PathLike, pools: Sequence[Pool], restricted: bool = False
) -> None:
  """`curve_rows` as CSV."""
  rows = list(curve_rows(pools, restricted))
  text = io.StringIO()
  writer = csv.DictWriter(text, rows[0], lineterminator="\n")
  writer.writeheader()
  writer.writerows(rows)
  files.write_text(path, text.getvalue())


def write_alpaca_eval(
  folder: str | os.PathLike,
  found: Sequence[records_lib.EvalRecord],
  pools: Sequence[Pool],
) -> None:
  """One JSON list per method, in the form that AlpacaEval reads."""
  asked = {pool.example_id: pool.inputs for pool in pools}
  by_method: dict[str, list[dict[str, str]]] = {}
  for record in found:
    name = f"{record.method}.{record.source}".rstrip(".")
    by_method.setdefault(name, []).append(
      {
        "dataset": record.dataset or record.task,
        "instruction": asked[record.example_id],
        "output": record.output,
        "generator": f"{record.policy} {name}",
      }
    )
  pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
  for name, rows in by_method.items():
    text = json.dumps(rows, ensure_ascii=False, indent=1)
    files.write_text(pathlib.Path(folder) / f"{name}.json", f"{text}\n")


def summary(pools: Sequence[Pool]) -> str:
  """A line per reward model: what its choice is worth to itself."""
  n = pools[0].num_samples
  lines = [f"best of {n}, {len(pools)} prompts, mean over prompts:"]
  for reward in pools[0].rewards:
    best = np.mean([pool.scores_by(reward).max() for pool in pools])
    one = np.mean([pool.scores_by(reward).mean() for pool in pools])
    scores = np.asarray([pool.scores[f"reward/{reward}"] for pool in pools])
    wins = estimators.best_of_k_win_rate(scores).mean(axis=0)[n - 1]
    lines.append(
      f"  {reward}: score {one:.3f} -> {best:.3f}; beats one sample in "
      f"{wins:.1%} by its own judgment"
    )
  return "\n".join(lines)
