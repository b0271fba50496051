"""The page in the annotator's language, put together from package data."""

import functools
import html
import json
import string
from typing import Any

from xlrm.annotation import answers
from xlrm.storage import files
from xlrm.storage import package_data

ASSETS = package_data.asset("annotation")
FALLBACK = "en"
TYPES = {
  "page.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
}
_TIE_KEYS = "<div><dt><kbd>0</kbd> <kbd>T</kbd></dt><dd>$tie</dd></div>"
_TIE_BUTTON = (
  '<button type="button" class="choice tie" data-choice="tie">'
  '<kbd aria-hidden="true">0</kbd>$tie</button>'
)


def languages() -> list[str]:
  """The languages that the page has words for; a file there adds one."""
  return sorted(path.stem for path in ASSETS.glob("*.json"))


def language_of(target: str) -> str:
  """The language of the page for texts of a language: its own, or English."""
  return target if target in languages() else FALLBACK


def words(language: str) -> dict[str, Any]:
  """The words of the page in a language, by what they are for."""
  return json.loads(files.read_text(ASSETS / f"{language}.json"))


@functools.cache
def asset(name: str) -> bytes:
  """The bytes of `page.css` or `page.js`."""
  return files.read_bytes(ASSETS / name)


def _paragraphs(page: answers.Page, said: dict[str, Any]) -> list[str]:
  own = [x.strip() for x in page.instructions.split("\n\n") if x.strip()]
  return [
    *(own or said[page.kind]["instructions"]),
    said["ties" if page.ties else "no_ties"],
    said["skipping"],
    said["saved"],
  ]


def render(page: answers.Page) -> str:
  """The HTML of the page, without any task."""
  said = words(page.language)
  flat = {**said, **said[page.kind]}
  escaped = {
    name: html.escape(text)
    for name, text in flat.items()
    if isinstance(text, str)
  }
  tie_keys, tie_button = (
    string.Template(x).substitute(escaped) if page.ties else ""
    for x in (_TIE_KEYS, _TIE_BUTTON)
  )
  paragraphs = "\n".join(
    f'<p dir="auto">{html.escape(x)}</p>' for x in _paragraphs(page, said)
  )
  template = files.read_text(ASSETS / "page.html")
  return string.Template(template).substitute(
    escaped,
    page_language=page.language,
    instructions=paragraphs,
    tie_keys=tie_keys,
    tie_button=tie_button,
  )
