"""The panel against reward hacking as one figure: metrics of a run of PPO."""

from collections.abc import Mapping, Sequence
from typing import Any

from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import palette
from xlrm.evaluation import hacking_panel

Row = Mapping[str, Any]
# Title, metrics that are drawn together.
PARTS = (
  ("score by the reward model", ("objective/scores",)),
  ("held-out judges", ("validation/heldout", "validation/gold")),
  ("KL from the reference, nats per response", ("objective/kl",)),
  ("entropy, nats per token", ("policy/entropy_avg",)),
  ("length, tokens", ("response/tokens",)),
  ("share repeated / copied", ("response/repeated", "response/copied")),
  ("share without an end", ("response/missing_eos",)),
  ("share of different responses", ("response/unique",)),
  ("share in the prompt's language", ("response/language",)),
)


def lines(
  history: Sequence[Row], names: Sequence[str]
) -> dict[str, tuple[list[int], list[float]]]:
  """Name -> steps and values of the rows that have it."""
  found = {}
  for name in names:
    points = [(row["step"], row[name]) for row in history if name in row]
    if points:
      steps, values = zip(*points)
      found[name] = (list(steps), list(values))
  return found


def _painter(title, found, events):
  def paint(axes) -> None:
    for number, (name, (steps, values)) in enumerate(found.items()):
      colour = palette.category(number)
      # A line of one point is invisible.
      marker = "o" if len(steps) == 1 else None
      label = name.split("/")[-1]
      axes.plot(steps, values, color=colour, marker=marker, label=label)
      crossed = [x for x in events if x.sign == name]
      axes.plot(
        [x.step for x in crossed],
        [x.value for x in crossed],
        "x",
        color=palette.INK,
        markersize=5,
      )
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("step")
    if len(found) > 1:
      axes.legend(frameon=False)

  return paint


def picture(
  history: Sequence[Row], events: Sequence[hacking_panel.PanelEvent] = ()
) -> bytes:
  """PNG with one pair of axes per part; rows that crossed a threshold are
  crossed.

  Raises:
    ImportError: no matplotlib (the extra `report`).
  """
  parts = [(title, lines(history, names)) for title, names in PARTS]
  paints = [_painter(title, x, events) for title, x in parts if x]
  return canvas.grid(paints, columns=3, width=3.6, height=2.4)
