"""The few pieces of HTML that a report is put together from.

Text from outside passes `text` on its way in: outputs are hostile until
escaped.
"""

from collections.abc import Iterable, Sequence
import html
import re


def text(value: object) -> str:
  """Escaped for element content and for quoted attributes."""
  return html.escape(str(value), quote=True)


def language_code(code: str) -> str:
  """Fit for a `lang` attribute; anything odd becomes "und", undetermined."""
  return (
    code if re.fullmatch("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", code) else "und"
  )


def paragraph(sentence: str, kind: str = "") -> str:
  attribute = f' class="{kind}"' if kind else ""
  return f"<p{attribute}>{text(sentence)}</p>"


def section(identifier: str, title: str, *parts: str) -> str:
  """A section; empty if nothing but the title would be in it."""
  body = "\n".join(part for part in parts if part)
  if not body:
    return ""
  return (
    f'<section id="{identifier}" aria-labelledby="{identifier}-title">\n'
    f'<h2 id="{identifier}-title">{text(title)}</h2>\n{body}\n</section>'
  )


def figure(svg: str, title: str, subtitle: str, description: str) -> str:
  """A card with a drawing, its caption, and its content for screen readers."""
  return (
    f'<figure class="card"><figcaption>{text(title)}'
    f"<span>{text(subtitle)}</span></figcaption>"
    f'<div role="img" aria-label="{text(description)}">{svg}</div></figure>'
  )


def grid(figures: Iterable[str]) -> str:
  inside = "\n".join(figures)
  return f'<div class="figures">\n{inside}\n</div>' if inside else ""


def row(head: str, columns: Sequence[str], kind: str = "") -> str:
  """A table row; `columns` are complete cells, e.g. from `cell`."""
  attribute = f' class="{kind}"' if kind else ""
  return (
    f'<tr{attribute}><th scope="row">{text(head)}</th>{"".join(columns)}</tr>'
  )


def cell(main: str, under: str = "", kind: str = "") -> str:
  """A table cell: a number and, smaller, its interval or n."""
  attribute = f' class="{kind}"' if kind else ""
  small = f"<small>{text(under)}</small>" if under else ""
  return f"<td{attribute}>{text(main)}{small}</td>"


def table(caption: str, head: str, rows: Iterable[str]) -> str:
  """A table that scrolls inside its card where the screen is too narrow.

  Args:
    caption: what it shows.
    head: complete `<tr>` elements.
    rows: from `row`.
  """
  body = "\n".join(rows)
  label = text(caption)
  return (
    f'<div class="card sheet"><p class="caption" aria-hidden="true">{label}</p>'
    f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">'
    f'<table aria-label="{label}"><thead>{head}</thead>\n'
    f"<tbody>{body}</tbody></table></div></div>"
  )


def page(eyebrow: str, title: str, lead: str, body: str, css: str) -> str:
  """A whole page; `lead` and `body` are complete elements."""
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{css}</style>
</head>
<body>
<header class="top">
<p class="eyebrow">{text(eyebrow)}</p>
<h1>{text(title)}</h1>
{lead}
</header>
<main id="main">
{body}
</main>
</body>
</html>
"""


def columns(*titles: str, words: int = 2) -> str:
  """A head row: the first columns, `words` of them, hold words, the others
  numbers."""
  cells = "".join(
    f'<th scope="col"{" class=text" * (i < words)}>{text(title)}</th>'
    for i, title in enumerate(titles)
  )
  return f"<tr>{cells}</tr>"


def details(summary: str, content: str) -> str:
  """Text that opens on demand, as it is."""
  return (
    f"<details><summary>{text(summary)}</summary>"
    f"<pre>{text(content)}</pre></details>"
  )


def key(*entries: tuple[str, str]) -> str:
  """A legend: (class of the mark, what it means)."""
  items = "".join(
    f'<li><i class="{mark}"></i>{text(meaning)}</li>'
    for mark, meaning in entries
  )
  return f'<ul class="key" aria-hidden="true">{items}</ul>'
