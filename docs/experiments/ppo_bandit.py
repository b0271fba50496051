"""Do PPO, RLOO and GRPO find the optimum where it is known exactly?

  python docs/experiments/ppo_bandit.py docs/figures

Trains each on the bandit of `string_bandit`, for three KL coefficients and five
seeds; prints how far from pi* they end and draws where they are. Three minutes
on two cores. Results: docs/ppo_bandit.md.
"""

import dataclasses
import pathlib
import sys

import numpy as np
import string_bandit

from xlrm.analysis.exhibits import palette
from xlrm.best_of_n import estimators
from xlrm.ppo import advantages
from xlrm.ppo import kl_estimators

ALGORITHMS = {
  "PPO": advantages.GeneralizedAdvantage(),
  "RLOO": advantages.LeaveOneOut(),
  "GRPO": advantages.GroupNormalised(),
}
BETA, BETAS, SEEDS, ASKED = 0.1, (0.05, 0.1, 0.3), range(5), 0.01
SIZES = (1, 2, 4, 8, 16, 32, 64)
SHOWN = np.unique(np.geomspace(1, 1000, 60).astype(int))


@dataclasses.dataclass(frozen=True)
class Run:
  """Where a run ended, and how far from pi* it was on its way."""

  kl: float
  win_rate: float
  gaps: tuple[float, ...]  # KL(pi || pi*) after the steps SHOWN

  @classmethod
  def of(cls, bandit, advantage, beta, seed, **changes) -> "Run":
    tables = string_bandit.train(
      bandit, string_bandit.Recipe(advantage, **changes), beta, seed
    )
    optimum, last = bandit.optimum(beta), string_bandit.logprobs_of(tables[-1])
    steps = [*SHOWN[SHOWN < len(tables) - 1], len(tables) - 1]
    gaps = tuple(
      string_bandit.kl(string_bandit.logprobs_of(tables[i]), optimum)
      for i in steps
    )
    return cls(*bandit.place(last), gaps)


def _paint_frontier(axes, bandit: string_bandit.Bandit, runs) -> None:
  betas = np.geomspace(0.02, 20, 200)
  axes.plot(
    *zip(*[bandit.place(bandit.optimum(beta)) for beta in betas]),
    color=palette.INK,
    linewidth=1.2,
    label="optimum $\\pi^*_\\beta$",
  )
  places = [bandit.place(bandit.best_of(n)) for n in SIZES]
  axes.plot(
    *zip(*places),
    linestyle="none",
    marker="x",
    color=palette.MUTED,
    label="best-of-n",
  )
  for n, (x, y) in zip(SIZES, places):
    below = (6, -11) if n > 1 else (6, -3)
    axes.annotate(
      f"n={n}",
      (x, y),
      below,
      textcoords="offset points",
      fontsize=7.5,
      color=palette.MUTED,
    )
  for number, name in enumerate(ALGORITHMS):
    ends = [runs[name, beta, 0] for beta in BETAS]
    axes.plot(
      [run.kl for run in ends],
      [run.win_rate for run in ends],
      linestyle="none",
      marker=palette.marker(number),
      markersize=15 - 4.5 * number,
      markerfacecolor="none",
      markeredgewidth=1.5,
      color=palette.category(number),
      label=name,
    )
  for beta in BETAS:
    axes.annotate(
      f"$\\beta$ = {beta:g}",
      bandit.place(bandit.optimum(beta)),
      (-8, 12),
      textcoords="offset points",
      ha="right",
    )
  axes.set_xlabel("KL($\\pi$ || reference), nats per response")
  axes.set_ylabel("win rate over the reference")
  axes.set_ylim(0.48, 1.0)
  axes.legend(frameon=False, loc="lower right")


def _paint_gaps(axes, runs) -> None:
  for number, name in enumerate(ALGORITHMS):
    for seed in SEEDS:
      axes.plot(
        [*SHOWN[SHOWN < 1000], 1000],
        runs[name, BETA, seed].gaps,
        color=palette.category(number),
        linestyle=("-", "--", ":")[number],
        linewidth=1.1,
        label=None if seed else name,
      )
  axes.axhline(ASKED, color=palette.INK, linestyle=":", linewidth=1)
  axes.annotate(
    "asked", (1.1, ASKED), (0, 3), textcoords="offset points", fontsize=8
  )
  axes.set_xscale("log")
  axes.set_yscale("log")
  axes.set_xlabel("step")
  axes.set_ylabel(f"KL($\\pi$ || $\\pi^*$), $\\beta$ = {BETA:g}, five seeds")
  axes.legend(frameon=False, loc="lower left")


def draw(bandit: string_bandit.Bandit, runs, folder: pathlib.Path) -> None:
  """ppo_bandit.png and .svg."""
  from matplotlib import figure
  from matplotlib import style

  plain = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ppo_bandit",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
  }
  with style.context(["default", plain]):
    canvas = figure.Figure(figsize=(9.6, 4.2), layout="constrained", dpi=150)
    left, right = canvas.subplots(1, 2, width_ratios=(1.15, 1))
    _paint_frontier(left, bandit, runs)
    _paint_gaps(right, runs)
    folder.mkdir(parents=True, exist_ok=True)
    canvas.savefig(folder / "ppo_bandit.png", metadata={"Software": None})
    canvas.savefig(folder / "ppo_bandit.svg", metadata={"Date": None})


def main(folder: str) -> None:
  bandit = string_bandit.Bandit.random()
  runs = {}
  for name, advantage in ALGORITHMS.items():
    for beta in BETAS:
      for seed in SEEDS:
        runs[name, beta, seed] = Run.of(bandit, advantage, beta, seed)
      gaps = [runs[name, beta, seed].gaps[-1] for seed in SEEDS]
      print(f"{name}, beta {beta:g}: KL(pi || pi*)", np.round(gaps, 5))
  for name, advantage in ALGORITHMS.items():
    long = [Run.of(bandit, advantage, BETA, x, steps=8000) for x in SEEDS]
    print(f"{name}, 8,000 steps:", np.round([x.gaps[-1] for x in long], 5))
  for estimator in (kl_estimators.k2, kl_estimators.k3):
    run = Run.of(bandit, ALGORITHMS["RLOO"], BETA, 0, kl_estimator=estimator)
    print(
      f"RLOO with {estimator.__name__} in the reward: KL(pi || pi*) "
      f"{run.gaps[-1]:.3f}, KL {run.kl:.3f}, win rate {run.win_rate:.3f}"
    )
  for n in SIZES:
    found = np.round(bandit.place(bandit.best_of(n)), 4)
    most = estimators.kl_bound(n), estimators.win_rate_bound(n)
    print(f"best of {n}: KL, win rate {found} of at most {np.round(most, 4)}")
  draw(bandit, runs, pathlib.Path(folder))


if __name__ == "__main__":
  main(sys.argv[1])
