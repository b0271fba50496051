"""A look at a task, as text and as one page of HTML."""

from collections.abc import Sequence
import textwrap
from typing import Any

from xlrm.analysis import names
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import stylesheet

Part = Any  # data.inspection.Part, of a layer above this one
WIDTH = 78  # columns of a terminal
SHOWN = 600  # characters of a text in a terminal


def _lengths(lengths: Any) -> str:
  return (
    f"mean {lengths.mean:.0f}, median {lengths.median:.0f}, 95% "
    f"{lengths.high:.0f}, longest {lengths.longest}"
  )


def _cut(lengths: Any) -> str:
  return (
    f"{lengths.cut:.1%} over {lengths.limit}, {lengths.kept:.1%} of tokens kept"
  )


def _agreement(part: Part) -> str:
  found = part.agreement
  if found is None:
    return f"{part.duplicates} duplicates"
  return (
    f"{part.duplicates} duplicates, agreement {found.rate:.1%} "
    f"[{found.low:.1%}, {found.high:.1%}] on {found.n}"
  )


def _facts(part: Part) -> list[tuple[str, str]]:
  looked = (
    "" if part.looked_at == part.rows else (f" ({part.looked_at} tokenized)")
  )
  facts = [
    ("rows", f"{part.rows}{looked}; {_agreement(part)}"),
    ("prompt tokens", f"{_lengths(part.inputs)}; {_cut(part.inputs)}"),
    ("response tokens", f"{_lengths(part.targets)}; {_cut(part.targets)}"),
    (
      "vocabulary",
      f"{part.tokens_per_word:.2f} tokens per word, {part.unknown:.2%} unknown",
    ),
  ]
  return facts + ([("judgments", part.balance)] if part.balance else [])


def _shortened(text: str) -> str:
  return text if len(text) <= SHOWN else f"{text[:SHOWN]} [..]"


def _indented(label: str, text: str) -> str:
  return textwrap.fill(
    _shortened(text) or "(empty)",
    WIDTH,
    initial_indent=f"    {label:<10} ",
    subsequent_indent=" " * 15,
  )


def text(title: str, parts: Sequence[Part]) -> str:
  """For a terminal."""
  lines = [title]
  for part in parts:
    lines += ["", f"{part.task} ({names.language(part.language)})"]
    lines += [
      textwrap.fill(
        value,
        WIDTH,
        initial_indent=f"  {label:<16} ",
        subsequent_indent=" " * 19,
      )
      for label, value in _facts(part)
    ]
    for sample in part.samples:
      lines += [f"  {sample.id}", _indented("prompt", sample.prompt)]
      lines += [
        _indented(judgment or "response", response)
        for response, judgment in sample.responses
      ]
  return "\n".join(lines)


def _table(parts: Sequence[Part]) -> str:
  head = markup.columns(
    "task",
    "language",
    "rows",
    "prompt",
    "cut",
    "response",
    "cut",
    "tokens per word",
    "unknown",
    "duplicates",
    "agreement",
  )
  rows = [
    markup.row(
      part.task,
      [
        markup.cell(names.language(part.language), kind="text"),
        markup.cell(f"{part.rows:,}"),
        markup.cell(f"{part.inputs.median:.0f}", f"95% {part.inputs.high:.0f}"),
        markup.cell(
          f"{part.inputs.cut:.1%}",
          f"over {part.inputs.limit}",
          "bad" if part.inputs.cut > 0.1 else "",
        ),
        markup.cell(
          f"{part.targets.median:.0f}", f"95% {part.targets.high:.0f}"
        ),
        markup.cell(
          f"{part.targets.cut:.1%}",
          f"over {part.targets.limit}",
          "bad" if part.targets.cut > 0.1 else "",
        ),
        markup.cell(f"{part.tokens_per_word:.2f}"),
        markup.cell(
          f"{part.unknown:.2%}", kind="bad" if part.unknown > 0.01 else ""
        ),
        markup.cell(str(part.duplicates)),
        markup.cell(
          "\u2013" if part.agreement is None else f"{part.agreement.rate:.1%}",
          "" if part.agreement is None else f"n = {part.agreement.n}",
        ),
      ],
    )
    for part in parts
  ]
  return markup.table(
    "Median lengths in tokens, truncation, vocabulary, duplicates; red: more "
    "than a tenth cut, more than a hundredth unknown",
    head,
    rows,
  )


def _samples(part: Part, number: int) -> str:
  shown = []
  for sample in part.samples:
    code = markup.language_code(part.language)
    responses = "".join(
      f"<dt>{markup.text(judgment or 'response')}</dt>"
      f'<dd lang="{code}">{markup.text(response)}</dd>'
      for response, judgment in sample.responses
    )
    shown.append(
      f'<div class="card"><dl><dt>{markup.text(sample.id)}</dt>'
      f'<dd lang="{code}">{markup.text(sample.prompt or "(empty)")}</dd>'
      f"{responses}</dl></div>"
    )
  title = f"{part.task}, {names.language(part.language)}"
  return markup.section(
    f"part{number}",
    title,
    markup.paragraph(part.balance) if part.balance else "",
    *shown,
  )


def render(title: str, vocabulary: str, parts: Sequence[Part]) -> str:
  """One self-contained page."""
  body = "\n".join(_samples(part, i) for i, part in enumerate(parts))
  said = markup.paragraph(
    f"Rows as a model with the vocabulary of {vocabulary} reads them: "
    "tokenized, cut and decoded again."
  )
  numbers = (
    f'<section id="numbers" aria-label="Numbers">{_table(parts)}</section>'
  )
  return markup.page(
    "xlrm inspect", title, said, f"{numbers}\n{body}", stylesheet.CSS
  )
