"""Figures show the numbers that they are given."""

import re
import xml.etree.ElementTree

import pytest

from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import heatmaps
from xlrm.analysis.exhibits import line_figures


def texts(svg):
  root = xml.etree.ElementTree.fromstring(svg)
  return [x.text for x in root.iter() if x.tag.endswith("}text")]


def test_transfer_heatmap_holds_rates_intervals_and_gaps(inputs):
  matrix = transfer_matrices.transfer_matrix(inputs.records, judge="gold")
  span = heatmaps.span_of([matrix])
  shown = texts(heatmaps.transfer(matrix, name="m", span=span).svg())
  for cell in matrix.cells.values():
    assert f"{100 * cell.win.rate:.1f}" in shown
    assert f"{100 * cell.win.low:.1f} – {100 * cell.win.high:.1f}" in shown
  assert shown.count("not run") == 2
  assert {"English", "German", "Spanish", "Russian"} <= set(shown)
  assert span >= max(abs(c.win.rate - 0.5) for c in matrix.cells.values())


def test_fault_heatmap_marks_what_was_not_rated(inputs):
  rows = [r for r in inputs.accuracy if r.language == "es"]
  shown = texts(
    heatmaps.faults("es", rows, ["wrong_name", "odd"], name="f").svg()
  )
  assert "wrong name" in shown and shown.count("–") == len(rows)
  for row in rows:
    assert f"{100 * row.by_fault['wrong_name'].auc:.0f}" in shown


def test_curve_names_its_lines_and_the_bound(inputs):
  lines = {
    source: line
    for (source, target), line in inputs.pool_curves.items()
    if target == "ru"
  }
  shown = texts(line_figures.curve("ru", lines, name="c").svg())
  assert {"English", "German", "Russian", "k/(k+1)", "50%", "16"} <= set(shown)


def test_g10_accuracy_figure_draws_both_baselines(inputs):
  rows = [r for r in inputs.accuracy if r.language == "es"]
  svg = line_figures.accuracy_dots("es", rows, name="a").svg()
  assert "untrained head" in texts(svg)
  # Per row: interval, dot, majority, length
  groups = re.findall(r'id="a-line2d_\d+"', svg)
  assert len(groups) >= 4 * len(rows)


def test_training_panel(inputs):
  lines = {"Spanish": [(1.0, 0.5), (2.0, 0.4)]}
  shown = texts(line_figures.training(lines, name="t", label="loss").svg())
  assert {"Spanish", "loss", "step"} <= set(shown)


def test_figures_need_matplotlib(inputs, monkeypatch):
  monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
  with pytest.raises(ImportError, match=r"xlrm\[report\]"):
    line_figures.training({"x": [(1.0, 1.0)]}, name="t", label="loss").svg()
