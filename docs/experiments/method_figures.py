"""The figures of docs/method.md, from a finished `xlrm demo`.

  python docs/experiments/method_figures.py xlrm_demo docs/figures

method_stages.png needs no demo; method_matrix.png is the demo's transfer
matrix by the gold judge; method_curve.png sets win rate (gold judge, over one
more sample) against KL from the SFT model for best-of-k.
"""

import argparse
import pathlib

import numpy as np

from xlrm.analysis import names
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import heatmaps
from xlrm.analysis.exhibits import palette
from xlrm.best_of_n import estimators
from xlrm.best_of_n import pools
from xlrm.evaluation import records as records_lib
from xlrm.miniworld import gold

TARGET = "es"
SOURCES = ("en", "de", "es")


def stages(axes: canvas.Axes) -> None:
  """Two languages, three models: who learns from what."""
  axes.set_xlim(0, 10)
  axes.set_ylim(0, 4.6)
  axes.axis("off")
  source, target = palette.category(0), palette.category(1)
  boxes = {
    "ratings": (1.5, 3.6, "human judgments\nin the SOURCE language", source),
    "rm": (5.0, 3.6, "reward model", source),
    "texts": (1.5, 1.0, "summaries\nin the TARGET language", target),
    "sft": (5.0, 1.0, "SFT model", target),
    "aligned": (8.5, 1.0, "aligned policy", target),
  }
  for x, y, text, colour in boxes.values():
    frame = {
      "boxstyle": "round,pad=0.55",
      "facecolor": "white",
      "edgecolor": colour,
      "linewidth": 1.6,
    }
    axes.text(x, y, text, ha="center", va="center", size=9, bbox=frame)
  arrows = [
    ((2.85, 3.6), (4.0, 3.6), "trains", (3.42, 3.75)),
    ((2.75, 1.0), (4.15, 1.0), "trains", (3.45, 1.15)),
    ((5.75, 1.0), (7.35, 1.0), "best-of-n, PPO", (6.55, 1.15)),
    ((5.9, 3.25), (7.9, 1.5), "scores its responses", (7.1, 2.75)),
  ]
  for start, end, text, place in arrows:
    style = {"arrowstyle": "->", "color": palette.MUTED, "linewidth": 1.4}
    axes.annotate("", end, start, arrowprops=style)
    axes.text(*place, text, size=8, color=palette.MUTED, ha="center")
  axes.texts[-1].set_ha("left")


def _gold(pool: pools.Pool) -> list[float]:
  texts = pool.texts[: pool.num_samples]
  return [gold.judge_example(pool.example_id, x).quality for x in texts]


def distance(folder: pathlib.Path):
  """Win rate against KL for best-of-k by each reward model."""
  drawn = pools.read(folder / f"best_of_n_{TARGET}" / "pools.jsonl")
  judged = np.array([_gold(pool) for pool in drawn])
  logprobs = np.array([pool.logprobs for pool in drawn])[:, :-1]
  lines = {}
  for source in SOURCES:
    scores = np.array([pool.scores_by(source) for pool in drawn])
    wins = estimators.best_of_k_win_rate(scores, judged).mean(axis=0)
    kl = estimators.expected_kl_estimate(scores, logprobs).mean(axis=0)
    lines[source] = kl[: len(wins)], wins
  wins = estimators.best_of_k_win_rate(judged).mean(axis=0)
  kl = estimators.expected_kl_estimate(judged, logprobs).mean(axis=0)
  lines["gold"] = kl[: len(wins)], wins

  def paint(axes: canvas.Axes) -> None:
    axes.axhline(0.5, color=palette.MUTED, linewidth=0.9, linestyle=(0, (5, 3)))
    for i, (name, (xs, ys)) in enumerate(lines.items()):
      own = name == "gold"
      axes.plot(
        xs,
        ys,
        color=palette.MUTED if own else palette.category(i),
        linestyle=":" if own else "--" if name == TARGET else "-",
        marker="" if own else palette.marker(i),
        markersize=3,
        linewidth=1.4,
        label="gold judge (the most there is)" if own else names.language(name),
      )
    ticks = [t / 100 for t in range(50, 101, 5) if t / 100 <= max(wins) + 0.02]
    axes.set_yticks(ticks, [f"{100 * t:.0f}%" for t in ticks])
    axes.set_xlabel("KL from the SFT model, nats (estimate)")
    axes.set_ylabel("win rate over one sample")
    axes.legend(
      frameon=False, fontsize=7.5, title="chosen by", title_fontsize=8
    )

  return canvas.Drawing(paint, name="distance", width=4.6, height=3.2)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("demo", type=pathlib.Path)
  parser.add_argument("output", type=pathlib.Path)
  options = parser.parse_args()
  records = records_lib.read(options.demo / "records.jsonl")
  matrix = transfer_matrices.transfer_matrix(records, judge="gold")
  span = heatmaps.span_of([matrix])
  drawings = {
    "stages": canvas.Drawing(stages, name="stages", width=7.0, height=3.0),
    "matrix": heatmaps.transfer(matrix, name="matrix", span=span),
    "curve": distance(options.demo),
  }
  for name, drawing in drawings.items():
    path = options.output / f"method_{name}.png"
    path.write_bytes(drawing.png(150))
    print(path)


if __name__ == "__main__":
  main()
