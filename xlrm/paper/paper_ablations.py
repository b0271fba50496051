"""Exhibits of the paper's ablations: translated ratings, a bilingual reward
model, no SFT data in the target language.
"""

from xlrm.analysis import pair_tables
from xlrm.analysis.exhibits import exhibit
from xlrm.paper import paper_matrices
from xlrm.paper import paper_tables


def over_translate_train() -> exhibit.Exhibit:
  """What transfer gains over translating the ratings."""
  transfer, translated = map(paper_tables.pair_table, (6, 17))
  cross = set(transfer.cross_lingual)
  gain = {
    pair: transfer.values[pair] - rate
    for pair, rate in translated.values.items()
    if pair in cross
  }
  table = pair_tables.PairTable(
    "difference", "palm2l", translated.sources, translated.targets, gain
  )
  columns, rows = paper_matrices.numbers(table, "source \\ target", "+z.1f")
  texts = {pair: (x, f"{100 * x:+z.1f}", "") for pair, x in gain.items()}
  ahead = pair_tables.num_above(gain, 0.0)
  means = [
    100 * pair_tables.cross_lingual_mean(x) for x in (transfer, translated)
  ]
  return exhibit.Exhibit(
    name="over_translate_train",
    title="Transfer minus translate-train",
    subtitle="best-of-64, PaLM-2-L; points of win rate, tables 6 and 17",
    shows=f"Using the reward model as it is beats translating its ratings in "
    f"{ahead} of {len(gain)} pairs; {means[0]:.2f}% against {means[1]:.2f}% on "
    "average.",
    columns=columns,
    rows=rows,
    drawing=paper_matrices.drawn(
      table, "over_translate_train", texts, middle=0.0, span=0.1
    ),
  )


_STRATEGIES = {
  22: "best-of-64",
  23: "best-of-64, WikiLingua only",
  24: "RL",
}


def translated_sft(number: int) -> exhibit.Exhibit:
  """Win rates where the target has no data even for SFT."""
  table = paper_tables.whole_table(number)
  columns, rows = paper_matrices.numbers(table, "SFT data and direction")
  texts = {
    pair: (rate, f"{100 * rate:.1f}", "") for pair, rate in table.values.items()
  }
  translated = [x for x in table.values if not x[0].startswith("org")]
  above = sum(table.values[x] > 0.5 for x in translated)
  name = f"table{number:02d}"
  return exhibit.Exhibit(
    name=name,
    title=f"Translated SFT data: {_STRATEGIES[number]}",
    subtitle=f"PaLM-2-L; win rate in %, table {number}",
    shows=f"With translated (tr) or back-translated (bt) SFT data {above} of "
    f"{len(translated)} win rates are above 50%. Lg is the language of the "
    "column.",
    columns=columns,
    rows=rows,
    drawing=paper_matrices.drawn(
      table,
      name,
      texts,
      middle=0.5,
      span=0.36,
      row_title="",
      column_title="language Lg",
    ),
  )


def bilingual() -> exhibit.Exhibit:
  """One reward model of two languages."""
  table = paper_tables.whole_table(25)
  columns, rows = paper_matrices.numbers(table, "source \\ target")
  texts = {
    pair: (rate, f"{100 * rate:.1f}", "") for pair, rate in table.values.items()
  }
  ahead = sum(
    table.values["de+en", target]
    > max(table.values["de", target], table.values["en", target])
    for target in table.targets
  )
  return exhibit.Exhibit(
    name="table25",
    title="A bilingual reward model",
    subtitle="best-of-64, PaLM-2-L; win rate in %, table 25",
    shows=f"German and English together beat both alone in {ahead} of "
    f"{len(table.targets)} targets, by less than {_most(table):.1f} points.",
    columns=columns,
    rows=rows,
    drawing=paper_matrices.drawn(
      table, "table25", texts, middle=0.5, span=paper_matrices.SPAN
    ),
  )


def _most(table: pair_tables.PairTable) -> float:
  """The largest gain over the better of the two, rounded up to 0.1."""
  gains = [
    table.values["de+en", x] - max(table.values["de", x], table.values["en", x])
    for x in table.targets
  ]
  return 100 * max(gains) + 0.1


def rouge() -> exhibit.Exhibit:
  """ROUGE-L of the SFT models behind tables 22 to 24."""
  table = paper_tables.whole_table(21)
  columns, rows = paper_matrices.numbers(table, "SFT data", ".1f", 1)
  return exhibit.Exhibit(
    name="table21",
    title="ROUGE-L of SFT models",
    subtitle="table 21",
    shows="Compare within a column: what ROUGE-L counts as a word differs "
    "between languages.",
    columns=columns,
    rows=rows,
  )
