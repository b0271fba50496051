"""What reward models choose from pools, as records."""

from collections.abc import Iterator, Sequence
import dataclasses
import json
import zlib

import numpy as np

from xlrm.best_of_n import estimators
from xlrm.best_of_n import pools as pools_lib
from xlrm.evaluation import records as records_lib
from xlrm.storage import files


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

  def records(self, pool: pools_lib.Pool) -> Iterator[records_lib.EvalRecord]:
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

  def _chosen(self, pool: pools_lib.Pool, method: str, reward: str, index: int):
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
    self, drawn: pools_lib.Pool, method: str, source: str, index: int, **fields
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


def write_alpaca_eval(
  folder: files.Name,
  found: Sequence[records_lib.EvalRecord],
  pools: Sequence[pools_lib.Pool],
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
  for name, rows in by_method.items():
    text = json.dumps(rows, ensure_ascii=False, indent=1)
    files.write_text(files.path(folder) / f"{name}.json", f"{text}\n")
