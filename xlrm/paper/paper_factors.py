"""Exhibits of what reward models and policies have to do with it: accuracy, KL
divergence, bags of words.
"""

import math
import statistics

from xlrm.analysis import names
from xlrm.analysis import pair_tables
from xlrm.analysis import transfer_factors
from xlrm.analysis.exhibits import exhibit
from xlrm.analysis.exhibits import point_figures
from xlrm.paper import paper_claims
from xlrm.paper import paper_matrices
from xlrm.paper import paper_tables

Column = exhibit.Column
_WIN = "win rate"
_HALF = {0.5: ""}


def _by_target(
  x: pair_tables.PairTable, y: pair_tables.PairTable
) -> dict[str, list[point_figures.Point]]:
  """Target -> a point per source; the target's own is open."""
  found: dict[str, list[point_figures.Point]] = {}
  for source, target in pair_tables.shared(x, y):
    pair = (source, target)
    point = point_figures.Point(
      x.values[pair], y.values[pair], is_open=source == target
    )
    found.setdefault(names.language(target), []).append(point)
  return found


def _pair_rows(
  x: pair_tables.PairTable, y: pair_tables.PairTable, scale: float
) -> list[list[exhibit.Value]]:
  return [
    [names.pair(*pair), scale * x.values[pair], 100 * y.values[pair]]
    for pair in pair_tables.shared(x, y)
  ]


def accuracy_and_gain(number: int) -> exhibit.Exhibit:
  """Accuracy of the reward model against the win rate it led to."""
  accuracy, rates = map(paper_tables.pair_table, (18, number))
  found = transfer_factors.taus(accuracy, rates)
  mean = statistics.fmean(found.values())
  shown = ", ".join(
    f"{names.language(x)} {tau:+.2f}" for x, tau in found.items()
  )
  name = f"accuracy_and_gain{number:02d}"
  return exhibit.Exhibit(
    name=name,
    title=f"Accuracy against win rate: {paper_matrices.method(number)}",
    subtitle=f"PaLM-2-L; a point per source, tables 18 and {number}",
    shows=f"Kendall\u2019s tau-b within a target is {mean:.4f} on average "
    f"({shown}): accuracy on held-out judgments hardly tells which source to "
    "take. Open: the target\u2019s own reward model.",
    columns=[
      Column("source \u2192 target"),
      Column("accuracy (%)", ".1f"),
      Column("win rate (%)", ".1f"),
    ],
    rows=_pair_rows(accuracy, rates, 100),
    drawing=point_figures.scatter(
      _by_target(accuracy, rates),
      name=name,
      x=point_figures.Axis("accuracy of the reward model", percent=True),
      y=point_figures.Axis(_WIN, percent=True, lines=_HALF),
    ),
  )


def divergence() -> exhibit.Exhibit:
  """KL divergence of RL against its win rate, and best-of-n beside it."""
  kl, rates, best = map(paper_tables.pair_table, (20, 8, 6))
  groups = _by_target(kl, rates)
  bound = transfer_factors.best_of_n_line([paper_claims.NUM_CHOSEN_FROM])[0][0]
  rows = _pair_rows(kl, rates, 1)
  for target, mean in transfer_factors.by_target(best).items():
    own = groups[names.language(target)]
    groups[names.language(target)] = [
      *(point_figures.Point(p.x, p.y) for p in own),
      point_figures.Point(bound, mean, is_open=True),
    ]
    label = f"best-of-64, mean \u2192 {names.language(target)}"
    rows.append([label, bound, 100 * mean])
  steps = [2 ** (i / 16) for i in range(16 * 6 + 1)]
  curve = [(math.log(n) - (n - 1) / n, n / (n + 1)) for n in steps]
  tau = transfer_factors.mean_tau(kl, rates)
  return exhibit.Exhibit(
    name="divergence",
    title="KL divergence against win rate",
    subtitle="PaLM-2-L; RL (filled, tables 8 and 20); best-of-64 (open, mean "
    f"of cross-lingual sources, table 6) at its bound of {bound:.4f} nats",
    shows=f"More divergence buys little (mean tau-b within a target "
    f"{tau:.2f}). Dotted: best-of-n by its own reward, "
    "(log n \u2212 (n\u22121)/n, n/(n+1)), which PaLM-2-L\u2019s rates are far "
    "from.",
    columns=[
      Column("source \u2192 target"),
      Column("KL (nats)", ".2f"),
      Column("win rate (%)", ".1f"),
    ],
    rows=rows,
    drawing=point_figures.scatter(
      groups,
      name="divergence",
      x=point_figures.Axis("KL divergence from the SFT model (nats)"),
      y=point_figures.Axis(
        _WIN, percent=True, lines=_HALF, limits=(0.48, 0.76)
      ),
      lines=[point_figures.Line("best-of-n, own reward", curve)],
    ),
  )


def bag_of_words() -> exhibit.Exhibit:
  """The two numbers that the paper's text gives."""
  stated = paper_tables.statements()["bag_of_words"].stated
  own, other = (float(x) for x in stated.split(", "))
  rows = [["same language", own], ["another language", other]]
  return exhibit.Exhibit(
    name="bag_of_words",
    title="How much of a score is a bag of words?",
    subtitle="R\u00b2 of reward-model scores, quoted from the paper",
    shows="Quoted, not computed: the tables hold no scores. `xlrm run "
    "--gin_file=diagnose.gin` measures it, cross-validated too.",
    columns=[Column("reward model of"), Column("R\u00b2", ".2f")],
    rows=rows,
    drawing=point_figures.dots(
      {
        "same language": {"R\u00b2": point_figures.Mark(own, is_open=True)},
        "another language": {"R\u00b2": point_figures.Mark(other)},
      },
      name="bag_of_words",
      x=point_figures.Axis("R\u00b2", limits=(0.0, 1.0)),
    ),
  )
