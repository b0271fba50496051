"""Exhibits of what languages have to do with it: typology, size of their
data, and which source to take for a new target.
"""

from collections.abc import Callable, Mapping, Sequence
import textwrap

from xlrm.analysis import names
from xlrm.analysis import pair_tables
from xlrm.analysis import source_rankings
from xlrm.analysis import transfer_factors
from xlrm.analysis import typology
from xlrm.analysis.exhibits import exhibit
from xlrm.analysis.exhibits import point_figures
from xlrm.paper import paper_claims
from xlrm.paper import paper_matrices
from xlrm.paper import paper_tables

Column = exhibit.Column


_SHOWN_FEATURES = 12


def _label(feature: typology.Feature) -> str:
  name = textwrap.shorten(feature.name, 38, placeholder="\u2026")
  return f"{name} ({feature.identifier})"


def wals(number: int) -> exhibit.Exhibit:
  """Features of languages against transfer."""
  tests = paper_claims.wals_tests(number)
  drawn = {
    _label(x.feature): {
      "Student\u2019s t": point_figures.Mark(x.student_p),
      "permuted languages": point_figures.Mark(x.permutation_p),
      "and whole family": point_figures.Mark(x.family_p),
    }
    for x in tests[:_SHOWN_FEATURES]
  }
  family = paper_claims.FAMILY
  least = min(x.permutation_p for x in tests)
  smallest = min(x.family_p for x in tests)
  passing = [x.feature.identifier for x in paper_claims.passing(number)]
  judge = paper_matrices.JUDGES[paper_tables.pair_table(number).judge]
  name = f"wals{number:02d}"
  threshold = paper_claims.SIGNIFICANT / family
  return exhibit.Exhibit(
    name=name,
    title=f"WALS features: {paper_matrices.method(number)}, {judge}",
    subtitle="one-sided p that pairs of the same value win more; "
    f"{len(tests)} features tested, table {number}",
    shows="Student\u2019s p below Bonferroni\u2019s "
    f".05/{family}: {', '.join(passing) or 'none'}. But pairs share languages "
    f"and are not independent: with the languages permuted the smallest p is "
    f"{least:.3f}, and {smallest:.2f} for the whole family.",
    columns=[
      Column("feature"),
      Column("name"),
      Column("same (%)", ".1f"),
      Column("different (%)", ".1f"),
      Column("pairs same"),
      Column("pairs different"),
      Column("t", ".2f"),
      Column("Student p", ".2g"),
      Column("permutation p", ".3f"),
      Column("family p", ".3f"),
    ],
    rows=[
      [
        x.feature.identifier,
        x.feature.name,
        100 * x.same,
        100 * x.different,
        x.num_same,
        x.num_different,
        x.t,
        x.student_p,
        x.permutation_p,
        x.family_p,
      ]
      for x in tests
    ],
    drawing=point_figures.dots(
      drawn,
      name=name,
      x=point_figures.Axis(
        "p, one-sided",
        log=True,
        lines={0.05: ".05", threshold: f".05/{family}"},
        ticks=(1e-6, 1e-4, 0.01, 1.0),
        limits=(min(1e-4, tests[0].student_p / 2), 1.6),
      ),
      width=5.4,
    ),
  )


Effect = Callable[[pair_tables.PairTable], Mapping[str, float]]


def _sizes(
  name: str,
  title: str,
  shows: str,
  sizes: Mapping[str, int],
  effect: Effect,
  x_title: str,
  ticks: Sequence[float],
  y: point_figures.Axis,
) -> exhibit.Exhibit:
  groups: dict[str, list[point_figures.Point]] = {}
  rows: list[list[exhibit.Value]] = []
  taus = []
  for number in (6, 8):
    found = effect(paper_tables.pair_table(number))
    method = paper_matrices.method(number).partition(", ")[2]
    groups[method] = [
      point_figures.Point(sizes[x], found[x], label=x)
      for x in sizes
      if x in found
    ]
    rows += [
      [method, names.language(x), sizes[x], 100 * found[x]]
      for x in sizes
      if x in found
    ]
    tau = transfer_factors.correlation(sizes, found)
    taus.append(f"{method} {tau.tau:+.2f} (p = {tau.p:.2f})")
  return exhibit.Exhibit(
    name=name,
    title=title,
    subtitle="PaLM-2-L; tables 1, 2, 6 and 8",
    shows=f"{shows} Kendall\u2019s tau-b: {', '.join(taus)}; six languages "
    "decide little.",
    columns=[
      Column("method"),
      Column("language"),
      Column(x_title, ",d"),
      Column(f"{y.title} (%)", ".1f"),
    ],
    rows=rows,
    drawing=point_figures.scatter(
      groups,
      name=name,
      x=point_figures.Axis(x_title, log=True, ticks=ticks),
      y=y,
    ),
  )


def sft_sizes() -> exhibit.Exhibit:
  """Training examples of the SFT model against the target's win rates."""
  return _sizes(
    "sft_sizes",
    "SFT data of the target",
    "Do targets with more SFT data gain more?",
    paper_tables.totals(1),
    transfer_factors.by_target,
    "SFT examples of the target",
    (30_000, 100_000, 300_000),
    point_figures.Axis(
      "mean cross-lingual win rate", percent=True, lines={0.5: ""}
    ),
  )


def rating_sizes() -> exhibit.Exhibit:
  """Training ratings of the reward model against the source's effect."""
  return _sizes(
    "rating_sizes",
    "Ratings of the source",
    "Are sources with more ratings better?",
    paper_tables.totals(2),
    lambda table: dict(source_rankings.overall(table)),
    "ratings of the source",
    (8_000, 10_000, 14_000),
    point_figures.Axis("effect of the source", percent=True, lines={0.0: ""}),
  )


def recommendations() -> exhibit.Exhibit:
  """Each target as if it were new."""
  rows: list[list[exhibit.Value]] = []
  for number in (6, 8, 10, 12):
    table = paper_tables.pair_table(number)
    what = (
      f"{paper_matrices.method(number).partition(', ')[2]}, "
      f"{paper_matrices.JUDGES[table.judge]}"
    )
    rows += [
      [
        what,
        names.language(x.target),
        names.language(x.source),
        *(
          None if rate is None else 100 * rate
          for rate in (x.rate, x.default, x.mean, x.best)
        ),
        names.language(x.best_source),
      ]
      for x in source_rankings.hindsight(table)
    ]
  right = sum(row[2] == row[7] for row in rows)
  english = [row for row in rows if row[4] is not None]
  better = sum(row[3] >= row[4] for row in english)
  return exhibit.Exhibit(
    name="recommendation",
    title="A source for a new target",
    subtitle="recommended from the five other targets; win rates in %, "
    "tables 6, 8, 10 and 12",
    shows=f"The recommendation is the best source in {right} of {len(rows)} "
    f"cases, and at least as good as English in {better} of {len(english)}. "
    "English is the default where no other target was run.",
    columns=[
      Column("matrix"),
      Column("target"),
      Column("recommended"),
      Column("its rate", ".1f"),
      Column("English", ".1f"),
      Column("mean source", ".1f"),
      Column("best", ".1f"),
      Column("best source"),
    ],
    rows=rows,
  )
