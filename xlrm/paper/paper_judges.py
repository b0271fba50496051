"""Exhibits of the paper's judges: people, PaLM-2-L, GPT-4."""

from collections.abc import Sequence

from xlrm.analysis import names
from xlrm.analysis.exhibits import exhibit
from xlrm.analysis.exhibits import point_figures
from xlrm.evaluation import win_rates
from xlrm.paper import paper_claims
from xlrm.paper import paper_matrices
from xlrm.paper import paper_tables

Column = exhibit.Column
_HALF = {0.5: ""}


def _interval(rate: float, n: int) -> tuple[float, float]:
  return win_rates.score_interval(rate, rate * (1 - rate), n)


def people(numbers: Sequence[int], name: str) -> exhibit.Exhibit:
  """Win rates by people with intervals from the stated number of judgments."""
  rows: dict[str, dict[str, point_figures.Mark]] = {}
  lines: list[list[exhibit.Value]] = []
  for number in numbers:
    n = paper_tables.human_instances(number)
    group = paper_matrices.method(number).partition(", ")[2]
    for pair, rate in paper_tables.pair_table(number).values.items():
      low, high = _interval(rate, n)
      own = pair[0] == pair[1]
      label = names.pair(*pair)
      rows.setdefault(label, {})[group] = point_figures.Mark(
        rate, low, high, own
      )
      lines.append([label, group, *(100 * x for x in (rate, low, high)), n])
  rows = dict(sorted(rows.items(), key=lambda row: row[0].split()[-1]))
  above = sum(line[3] > 50 for line in lines)
  task = paper_tables.task(numbers[0])
  listed = " and ".join(f"table {number}" for number in numbers)
  return exhibit.Exhibit(
    name=name,
    title=f"By people: {task}",
    subtitle=f"win rate over the SFT model, 95% Wilson intervals; {listed}",
    shows=f"{above} of {len(lines)} intervals lie above 50%. Open marks: the "
    "target\u2019s own reward model. The paper states how many instances were "
    "judged, not how many tied; ties would narrow the intervals.",
    columns=[
      Column("source \u2192 target"),
      Column("method"),
      Column("win rate", ".1f"),
      Column("low", ".1f"),
      Column("high", ".1f"),
      Column("n"),
    ],
    rows=lines,
    drawing=point_figures.dots(
      rows,
      name=name,
      x=point_figures.Axis(
        "win rate", percent=True, lines=_HALF, limits=(0.36, 0.84)
      ),
    ),
  )


def judge_accuracy() -> exhibit.Exhibit:
  """PaLM-2-L against the human judgments of the data."""
  lines: list[list[exhibit.Value]] = []
  rows: dict[str, dict[str, point_figures.Mark]] = {}
  for row in paper_tables.rows(5):
    rate, n = float(row["acc_pct"]) / 100, int(row["n"])
    low, high = _interval(rate, n)
    language = names.language(row["lang"])
    task = "dialogue" if row["task"] == "dialog" else "summarisation"
    lines.append([task, language, *(100 * x for x in (rate, low, high)), n])
    rows.setdefault(language, {})[task] = point_figures.Mark(rate, low, high)
  return exhibit.Exhibit(
    name="table05",
    title="PaLM-2-L against people",
    subtitle="share of people\u2019s judgments that it repeats, 95% Wilson "
    "intervals; table 5",
    shows="The judge is about as good in every language: differences between "
    "targets are not differences in how well it reads them.",
    columns=[
      Column("task"),
      Column("language"),
      Column("accuracy", ".1f"),
      Column("low", ".1f"),
      Column("high", ".1f"),
      Column("n"),
    ],
    rows=lines,
    drawing=point_figures.dots(
      rows,
      name="table05",
      x=point_figures.Axis(
        "accuracy", percent=True, lines=_HALF, limits=(0.48, 0.86)
      ),
    ),
  )


_JUDGES = {
  "summarisation, best-of-64": ((6, 10), (6, 14), (10, 14)),
  "summarisation, RL": ((8, 12), (8, 15), (12, 15)),
  "dialogue, best-of-64": ((7, 11), (7, 16), (11, 16)),
  "dialogue, RL": ((9, 13),),
}


def judges_agree() -> exhibit.Exhibit:
  """Do judges agree which of two sources is better?"""
  rows: list[list[exhibit.Value]] = []
  for what, pairs in _JUDGES.items():
    for first, second in pairs:
      found = paper_claims.judges_agree(first, second)
      judges = " \u2013 ".join(
        paper_matrices.JUDGES[paper_tables.pair_table(x).judge]
        for x in (first, second)
      )
      counts = (found.n, found.agreed, found.tied, found.disagreed)
      rows.append([what, judges, *counts, 100 * found.rate, 100 * found.strict])
  return exhibit.Exhibit(
    name="judge_agreement",
    title="Do judges agree which of two sources is better?",
    subtitle="all pairs of sources for every target that both judged; by "
    "chance 50%",
    shows="People were asked for English and Spanish only: few pairs, and "
    "those of one target depend on each other.",
    columns=[
      Column("matrices"),
      Column("judges"),
      Column("pairs"),
      Column("agreed"),
      Column("tied"),
      Column("disagreed"),
      Column("agreement, tie \u00bd (%)", ".1f"),
      Column("tie as disagreement (%)", ".1f"),
    ],
    rows=rows,
  )
