"""The report: one self-contained HTML file that says whether it worked, and
files of every table and figure in it.

It is made from `ReportInputs` and nothing else (no clock, no machine), so the
same inputs give the same bytes. The page loads nothing and runs no script.
"""

from collections.abc import Mapping
import os
import pathlib

from xlrm.analysis import expectations
from xlrm.analysis import findings
from xlrm.analysis import report_inputs
from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import exhibit
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import stylesheet
from xlrm.analysis.reports import divergence_section
from xlrm.analysis.reports import fidelity_section
from xlrm.analysis.reports import generalisation_section
from xlrm.analysis.reports import judges_section
from xlrm.analysis.reports import models_section
from xlrm.analysis.reports import outputs_section
from xlrm.analysis.reports import ppo_section
from xlrm.analysis.reports import report_files
from xlrm.analysis.reports import results_section
from xlrm.analysis.reports import seeds_section
from xlrm.analysis.reports import sources_section
from xlrm.analysis.reports import swept_section
from xlrm.analysis.reports import verdicts_section

PAGE = "report.html"
_CONTENTS = {
  "what": "What was run",
  "matrix": "Transfer matrix",
  "sources": "Source languages",
  "curves": "Win rate against n",
  "ppo": "PPO",
  "divergence": "KL divergence",
  "swept": "Swept values",
  "seeds": "Seeds",
  "verdicts": "Every judge",
  "judges": "Agreement of judges",
  "outputs": "Outputs",
  "fidelity": "Output statistics",
  "accuracy": "Reward models",
  "generalisation": "Accuracy and gain",
  "faults": "Faults",
  "training": "Training",
  "expectations": "Expectations",
  "again": "Run it again",
}


def _what(inputs: report_inputs.ReportInputs) -> str:
  facts = "".join(
    f"<div><dt>{markup.text(label)}</dt><dd>{markup.text(value)}</dd></div>"
    for label, value in inputs.facts.items()
  )
  seen = "".join(f"<li>{markup.text(x)}</li>" for x in inputs.base_history)
  return markup.section(
    "what",
    "What was run",
    f'<dl class="card facts">{facts}</dl>' if facts else "",
    f"<h3>What the base model had seen before</h3><ol>{seen}</ol>"
    if seen
    else "",
  )


def _again(configs: Mapping[str, str], versions: Mapping[str, str]) -> str:
  listed = "\n".join(f"{name} {versions[name]}" for name in versions)
  return markup.section(
    "again",
    "Run it again",
    *(markup.details(name, content) for name, content in configs.items()),
    markup.details("versions", listed) if listed else "",
  )


def _contents(body: str) -> str:
  links = "".join(
    f'<li><a href="#{identifier}">{title}</a></li>'
    for identifier, title in _CONTENTS.items()
    if f'<section id="{identifier}"' in body
  )
  return f'<nav aria-label="Contents"><ul>{links}</ul></nav>'


def render(inputs: report_inputs.ReportInputs) -> str:
  """The page as text."""
  found = findings.results(inputs)
  checked = expectations.check(inputs, found)
  body = "\n".join(
    part
    for part in (
      _what(inputs),
      results_section.matrix(found),
      sources_section.section(found),
      results_section.pool_curves(inputs.pool_curves, inputs.curve_judge),
      ppo_section.section(inputs, found),
      divergence_section.section(inputs, found.judges),
      swept_section.section(inputs, found.judges),
      seeds_section.section(found),
      verdicts_section.section(inputs, found.said, found.judges),
      judges_section.section(inputs, found.judges, found.said),
      outputs_section.examples(inputs, found.judges),
      fidelity_section.section(inputs, found),
      models_section.accuracy(inputs.accuracy),
      generalisation_section.section(inputs.accuracy, found),
      models_section.faults(inputs.accuracy),
      models_section.training(inputs.training),
      results_section.checklist(checked, inputs.notes),
      _again(inputs.configs, inputs.versions),
    )
    if part
  )
  title = markup.text(inputs.title)
  study = markup.text(inputs.study or inputs.records[0].study)
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{stylesheet.CSS}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header class="top">
<p class="eyebrow">xlrm report &middot; {study}</p>
<h1>{title}</h1>
{results_section.verdict(findings.verdict(inputs, found))}
{results_section.tiles(inputs, found)}
{results_section.shortfalls(checked)}
{_contents(body)}
</header>
<main id="main">
{body}
</main>
<footer>Made by xlrm from {len(inputs.records)} records. The same records give
the same file, byte for byte.</footer>
</body>
</html>
"""


def files(inputs: report_inputs.ReportInputs) -> dict[str, bytes]:
  """Path below the report's folder -> content; the page comes last."""
  with canvas.drawn() as drawings:
    page = render(inputs)
  return report_files.files(page, drawings) | {PAGE: page.encode()}


def write(
  folder: str | os.PathLike, inputs: report_inputs.ReportInputs
) -> dict[str, bytes]:
  """Writes the page and its files, each whole; a failure to make one of them
  leaves what was there before.

  Files of an earlier page that this one has not are removed: figures of two
  studies must not lie side by side.

  Returns:
    what `files` gives.
  """
  folder = pathlib.Path(folder)
  content = files(inputs)
  exhibit.write(folder, content)
  for kind in report_files.KINDS:
    for path in folder.glob(kind):
      if path.relative_to(folder).as_posix() not in content:
        path.unlink()
  return content
