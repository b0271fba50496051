"""The paper's own numbers as one page, and as files.

Made from the shipped tables and nothing else, so it always has the same bytes.
"""

from collections.abc import Sequence

from xlrm.analysis.exhibits import exhibit as exhibit_lib
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import stylesheet
from xlrm.paper import paper_ablations
from xlrm.paper import paper_claims
from xlrm.paper import paper_factors
from xlrm.paper import paper_judges
from xlrm.paper import paper_languages
from xlrm.paper import paper_matrices

PAGE = "paper.html"
TITLE = "Reuse Your Rewards: the paper\u2019s own numbers"
_CSS = """
td.words, th.words { white-space: normal; text-align: left; min-width: 15em; }
#claims th[scope="row"] { white-space: normal; min-width: 19em;
  font-weight: 400; }
.exhibit { min-width: 0; }
.exhibit .shows { font-size: 14px; color: #46515d; margin: 8px 4px 2px; }
.exhibit summary { font-size: 13.5px; color: var(--blue); margin: 0 4px; }
.sheet + .shows { font-size: 14px; color: #46515d; }
.figures { align-items: start; }
tr.differs td { color: var(--red); }
@media print { .exhibit { break-inside: avoid; } }
"""
_STATES = {True: "reproduced", False: "differs", None: "not in the tables"}
_RAMP = markup.key(
  ("ramp", "below \u2013 50% or no difference \u2013 above"),
  ("box", "same language on both sides"),
  ("hatch", "not run, or left out"),
)

Exhibits = Sequence[exhibit_lib.Exhibit]


def claims() -> exhibit_lib.Exhibit:
  """Statements beside what the tables give."""
  found = paper_claims.claims()
  return exhibit_lib.Exhibit(
    name="claims",
    title="What is said, and what the tables give",
    subtitle="to the digits stated, by the paper or by an independent "
    "recomputation of its tables",
    shows="",
    columns=[
      exhibit_lib.Column("quantity"),
      exhibit_lib.Column("stated"),
      exhibit_lib.Column("computed"),
      exhibit_lib.Column("result"),
      exhibit_lib.Column("stated by"),
      exhibit_lib.Column("note", "w"),
    ],
    rows=[
      [
        x.statement.what,
        x.statement.stated,
        x.computed or None,
        _STATES[x.agrees],
        x.statement.origin,
        x.note,
      ]
      for x in found
    ],
    kinds={i: "differs" for i, x in enumerate(found) if x.agrees is False},
  )


def _people() -> Exhibits:
  return [
    paper_judges.people((14, 15), "people_summarisation"),
    paper_judges.people((16,), "people_dialogue"),
  ]


# Section -> title, what it is about, its exhibits, whether the colour ramp is
# explained.
_SECTIONS = {
  "people": (
    "People prefer aligned models",
    "Each mark is a reward model of one language that aligned a model of "
    "another or, open, of the same.",
    _people,
    False,
  ),
  "matrices": (
    "Transfer matrices",
    "Rows: language of the reward model. Columns: language of the policy.",
    lambda: [paper_matrices.win_rates(x) for x in (6, 8, 10, 12, 7, 9, 11, 13)],
    True,
  ),
  "rankings": (
    "Which source language?",
    "Sources ranked within each target, and overall; then each target in turn "
    "as if nothing were known of it.",
    lambda: [
      *(paper_matrices.ranking(x) for x in (6, 8, 10, 12)),
      paper_languages.recommendations(),
    ],
    True,
  ),
  "judges": (
    "Can the judges be trusted?",
    "A judge against people\u2019s judgments, and judges against each other.",
    lambda: [paper_judges.judge_accuracy(), paper_judges.judges_agree()],
    False,
  ),
  "rewards": (
    "Do reward models generalise, and does it matter?",
    "Accuracy on held-out judgments of every language, beside the baselines "
    "that read nothing; then accuracy against the win rate it led to.",
    lambda: [
      paper_matrices.accuracy(18),
      paper_matrices.accuracy(19),
      paper_factors.accuracy_and_gain(6),
      paper_factors.accuracy_and_gain(8),
      paper_factors.bag_of_words(),
      paper_factors.divergence(),
    ],
    True,
  ),
  "languages": (
    "Does likeness of languages, or size of data, explain it?",
    "Features of the World Atlas of Language Structures (WALS v2020.4, "
    "CC-BY-4.0), the twelve of smallest p; sizes of training data.",
    lambda: [
      paper_languages.wals(8),
      paper_languages.wals(12),
      paper_languages.wals(6),
      paper_languages.wals(10),
      paper_languages.sft_sizes(),
      paper_languages.rating_sizes(),
    ],
    False,
  ),
  "ablations": (
    "Other ways",
    "Translating the ratings, one reward model of two languages, translating "
    "the SFT data.",
    lambda: [
      paper_ablations.over_translate_train(),
      paper_ablations.bilingual(),
      *(paper_ablations.translated_sft(x) for x in (22, 23, 24)),
      paper_ablations.rouge(),
    ],
    True,
  ),
}


def sections() -> dict[str, Exhibits]:
  """Section -> its exhibits, all computed."""
  return {"claims": [claims()]} | {
    name: make() for name, (_, _, make, _) in _SECTIONS.items()
  }


def _section(name: str, own: Exhibits) -> str:
  title, lead, _, ramp = _SECTIONS[name]
  drawn = [exhibit_lib.card(x) for x in own if x.drawing is not None]
  tables = [exhibit_lib.card(x) for x in own if x.drawing is None]
  return markup.section(
    name,
    title,
    markup.paragraph(lead, "lead"),
    _RAMP if ramp else "",
    markup.grid(drawn),
    *tables,
  )


def _differences() -> str:
  """Where the paper differs from its own tables, in front of everything."""
  wrong = [x for x in paper_claims.claims() if x.agrees is False]
  items = "".join(
    f"<li>{markup.text(x.statement.what)}: stated "
    f"{markup.text(x.statement.stated)}, computed {markup.text(x.computed)}"
    f"<ul><li>{markup.text(x.note)}</li></ul></li>"
    for x in wrong
  )
  return (
    '<div class="card warning"><h2>Where the paper differs from its own '
    f"tables</h2><ul>{items}</ul></div>"
  )


def _lead() -> str:
  found = [x.agrees for x in paper_claims.claims()]
  right, known = found.count(True), len(found) - found.count(None)
  links = "".join(
    f'<li><a href="#{name}">{markup.text(title)}</a></li>'
    for name, (title, *_) in _SECTIONS.items()
  )
  said = markup.paragraph(
    "Tables 1 to 25 of arXiv 2404.12318, recomputed: "
    f"{right} of {known} statements are reproduced to the digit from the "
    f"tables, {known - right} differ, {found.count(None)} cannot be computed "
    "from them. Rates are as printed, rounded to 0.1%.",
    "lead",
  )
  return (
    f'{said}{_differences()}<nav aria-label="Contents"><ul>'
    f'<li><a href="#claims">All statements</a></li>{links}</ul></nav>'
  )


def render(found: dict[str, Exhibits]) -> str:
  """The page as text, of `sections()`."""
  body = "\n".join(
    [
      markup.section(
        "claims", "All statements", *map(exhibit_lib.card, found["claims"])
      ),
      *(_section(name, found[name]) for name in _SECTIONS),
      "<footer>Files of every exhibit stand beside this page: tables/NAME.csv "
      "(all digits), tables/NAME.tex, figures/NAME.svg and figures/NAME.png. "
      "The same tables give the same bytes.</footer>",
    ]
  )
  return markup.page(
    "xlrm report --paper", TITLE, _lead(), body, stylesheet.CSS + _CSS
  )


def files() -> dict[str, bytes]:
  """Path below the report's folder -> content; the page comes last."""
  found = sections()
  content: dict[str, bytes] = {}
  for own in found.values():
    for exhibit in own:
      content |= exhibit_lib.files(exhibit)
  return content | {PAGE: render(found).encode()}
