"""Exhibits of the paper's matrices: win rates, rankings, reward models."""

from collections.abc import Mapping

from xlrm.analysis import names
from xlrm.analysis import pair_tables
from xlrm.analysis import source_rankings
from xlrm.analysis import transfer_factors
from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import exhibit
from xlrm.analysis.exhibits import heatmaps
from xlrm.paper import paper_tables

SPAN = 0.21  # half the colour scale of all win rates: 71% is the highest
_METHODS = {
  "best_of_n": "best-of-64",
  "rl": "RL",
  "translate_train": "best-of-64 with translated ratings",
}
JUDGES = {"palm2l": "PaLM-2-L", "gpt4": "GPT-4", "human": "people"}
_COLUMN_WIDTH = 0.74


def method(number: int) -> str:
  """Of a table, in words: "dialogue, RL"."""
  table = paper_tables.pair_table(number)
  return f"{paper_tables.task(number)}, {_METHODS[table.method]}"


def drawn(
  table: pair_tables.PairTable,
  name: str,
  texts: Mapping[pair_tables.Pair, tuple[float, str, str]],
  *,
  middle: float,
  span: float | None,
  row_title: str = "reward model (source)",
  column_title: str = "policy (target)",
) -> canvas.Drawing:
  """A heatmap of the whole table; what has no text is drawn as missing."""
  missing = (float("nan"), "", "")
  return heatmaps.values(
    {
      (source, target): texts.get((source, target), missing)
      for source in table.sources
      for target in table.targets
    },
    name=name,
    middle=middle,
    span=span,
    row_title=row_title,
    column_title=column_title,
    column_width=_COLUMN_WIDTH,
    small_size=8.5,
  )


def numbers(
  table: pair_tables.PairTable,
  first: str,
  form: str = ".1f",
  scale: float = 100,
) -> tuple[list[exhibit.Column], list[list[exhibit.Value]]]:
  """Columns and rows of a table, in percent unless `scale` says otherwise."""
  columns = [
    exhibit.Column(first),
    *(exhibit.Column(names.language(x), form) for x in table.targets),
  ]
  rows: list[list[exhibit.Value]] = []
  for source in table.sources:
    row: list[exhibit.Value] = [names.language(source)]
    for target in table.targets:
      value = table.values.get((source, target))
      row.append(None if value is None else scale * value)
    rows.append(row)
  return columns, rows


def win_rates(number: int) -> exhibit.Exhibit:
  """A matrix of win rates."""
  table = paper_tables.pair_table(number)
  columns, rows = numbers(table, "source \\ target")
  values = table.cross_lingual
  above = pair_tables.num_above(values)
  better, known = pair_tables.num_better_than_own(table)
  own = (
    f" {better} of {known} are at least as good as the target\u2019s own "
    "reward model."
    if known
    else ""
  )
  mean = 100 * pair_tables.cross_lingual_mean(table)
  name = f"table{number:02d}"
  texts = {
    pair: (rate, f"{100 * rate:.1f}", "") for pair, rate in table.values.items()
  }
  return exhibit.Exhibit(
    name=name,
    title=f"{method(number)[:1].upper()}{method(number)[1:]}",
    subtitle=f"judged by {JUDGES[table.judge]}; win rate over the SFT model in "
    f"%, table {number}",
    shows=f"{above} of {len(values)} cross-lingual pairs are above 50%, "
    f"{mean:.1f}% on average.{own}",
    columns=columns,
    rows=rows,
    drawing=drawn(table, name, texts, middle=0.5, span=SPAN),
  )


def _ordinal(rank: int) -> str:
  return {1: "1st", 2: "2nd", 3: "3rd"}.get(rank, f"{rank}th")


def ranking(number: int) -> exhibit.Exhibit:
  """Sources in the order of their effect, for each target and overall."""
  table = paper_tables.pair_table(number)
  effects = dict(source_rankings.overall(table))
  means = transfer_factors.by_target(table)
  above = {
    (source, target): rate - means[target]
    for (source, target), rate in table.cross_lingual.items()
  }
  above |= {(source, "overall"): effect for source, effect in effects.items()}
  sources, targets = tuple(effects), (*table.targets, "overall")
  shown = pair_tables.PairTable("effect", "", sources, targets, above)
  texts = {}
  for target in targets:
    column = [x for x in sources if (x, target) in above]
    column.sort(key=lambda source: -above[source, target])
    for rank, source in enumerate(column, 1):
      value = above[source, target]
      texts[source, target] = (value, f"{100 * value:+z.1f}", _ordinal(rank))
  columns, rows = numbers(shown, "source \\ target", "+z.1f")
  name = f"ranking{number:02d}"
  first, last = (names.language(x) for x in (sources[0], sources[-1]))
  return exhibit.Exhibit(
    name=name,
    title=f"Ranking of sources: {method(number)}",
    subtitle=f"{JUDGES[table.judge]}; points above the mean of the "
    f"target\u2019s cross-lingual sources, table {number}",
    shows=f"{first} comes first overall, {last} last. Overall is the "
    "source\u2019s effect in an additive fit of source and target.",
    columns=columns,
    rows=rows,
    drawing=drawn(shown, name, texts, middle=0.0, span=0.08),
  )


def accuracy(number: int) -> exhibit.Exhibit:
  """Accuracy of reward models above their baselines (G10)."""
  whole = paper_tables.whole_table(number)
  baselines = {
    name: found
    for name in paper_tables.BASELINES
    if (found := paper_tables.baseline(number, name))
  }
  table = paper_tables.pair_table(number)
  gains = transfer_factors.gain_over_baselines(table, *baselines.values())
  texts = {
    pair: (gain, f"{100 * table.values[pair]:.1f}", f"{100 * gain:+z.1f}")
    for pair, gain in gains.values.items()
  }
  for name, found in baselines.items():
    for target, value in found.items():
      texts[name, target] = (0.0, f"{100 * value:.1f}", "baseline")
  columns, rows = numbers(whole, "reward model \\ language")
  below = sum(gain < 0 for gain in gains.cross_lingual.values())
  of = " and ".join(baselines)
  name = f"table{number:02d}"
  return exhibit.Exhibit(
    name=name,
    title=f"Accuracy of reward models: {paper_tables.task(number)}",
    subtitle=f"in %, and points above the better baseline ({of}); table "
    f"{number}",
    shows=f"{below} of {len(gains.cross_lingual)} reward models of another "
    f"language stay below the better baseline.",
    columns=columns,
    rows=rows,
    drawing=drawn(
      whole,
      name,
      texts,
      middle=0.0,
      span=0.15,
      row_title="reward model (source)",
      column_title="held-out judgments (target)",
    ),
    kinds={i: "same" for i, x in enumerate(whole.sources) if x in baselines},
  )
