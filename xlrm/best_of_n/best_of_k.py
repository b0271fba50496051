"""What best-of-k is worth, of every k at once.

Averages over all subsets of a pool have closed forms, see `estimators`.
"""

from collections.abc import Iterator, Sequence
import csv
import io
from typing import Any

import numpy as np

from xlrm.best_of_n import estimators
from xlrm.best_of_n import pools as pools_lib
from xlrm.storage import files


def curve_rows(
  pools: Sequence[pools_lib.Pool], restricted: bool = False
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
  path: files.Name, pools: Sequence[pools_lib.Pool], restricted: bool = False
) -> None:
  """`curve_rows` as CSV."""
  rows = list(curve_rows(pools, restricted))
  text = io.StringIO()
  writer = csv.DictWriter(text, rows[0], lineterminator="\n")
  writer.writeheader()
  writer.writerows(rows)
  files.write_text(path, text.getvalue())


def summary(pools: Sequence[pools_lib.Pool]) -> str:
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
