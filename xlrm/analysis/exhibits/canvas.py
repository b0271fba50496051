"""One figure, as SVG or PNG with the same bytes for the same numbers.

Matplotlib (extra `report`) is imported here alone, and only when a figure is
drawn. Every figure is small and stands on its own, so that a page can lay them
out in a grid on a wide screen and one below another on a phone.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import contextvars
import dataclasses
import io
import re
from typing import Any

from xlrm.analysis.exhibits import palette

Axes = Any  # matplotlib.axes.Axes: not imported before it is needed

_STYLE = {
  "text.parse_math": False,  # a dollar sign is a dollar sign
  "svg.fonttype": "none",  # text stays text: selectable, searchable
  "font.family": "DejaVu Sans",
  "font.size": 9.0,
  "axes.edgecolor": palette.MUTED,
  "axes.labelcolor": palette.INK,
  "axes.linewidth": 0.7,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "text.color": palette.INK,
  "xtick.color": palette.MUTED,
  "ytick.color": palette.MUTED,
  "xtick.labelcolor": palette.INK,
  "ytick.labelcolor": palette.INK,
  "xtick.major.width": 0.7,
  "ytick.major.width": 0.7,
  "hatch.linewidth": 0.6,
}


def _matplotlib():
  try:
    from matplotlib import figure
    from matplotlib import style
  except ImportError as error:
    raise ImportError(
      "figures need matplotlib: pip install 'xlrm[report]'"
    ) from error
  return figure, style


def grid(
  paints: Sequence[Callable[[Axes], None]],
  *,
  columns: int,
  width: float,
  height: float,
) -> bytes:
  """PNG of several pairs of axes; size of each in inches."""
  figure, style = _matplotlib()
  rows = -(-len(paints) // columns)
  with style.context(["default", _STYLE]):
    size = (width * columns, height * rows)
    canvas = figure.Figure(figsize=size, layout="constrained", dpi=110)
    for number, paint in enumerate(paints, 1):
      paint(canvas.add_subplot(rows, columns, number))
    file = io.BytesIO()
    canvas.savefig(file, format="png", metadata={"Software": None})
  return file.getvalue()


Drawn = dict[str, tuple["Drawing", str]]  # name -> drawing, its SVG
_drawn: contextvars.ContextVar[Drawn] = contextvars.ContextVar("drawn")


@contextlib.contextmanager
def drawn() -> Iterator[Drawn]:
  """Every drawing that becomes an SVG meanwhile.

  A section is text: it has the SVG, but no longer what a PNG is made from.
  """
  found: Drawn = {}
  token = _drawn.set(found)
  try:
    yield found
  finally:
    _drawn.reset(token)


@dataclasses.dataclass(frozen=True)
class Drawing:
  """One pair of axes.

  Attributes:
    paint: draws on them.
    name: prefix of the SVG's ids.
    width: in inches.
    height: in inches.
  """

  paint: Callable[[Axes], None]
  name: str
  width: float
  height: float

  def _saved(self, file: Any, **options: Any) -> None:
    figure, style = _matplotlib()
    # "default" first: a reader's own matplotlibrc changes no byte.
    with style.context(["default", {**_STYLE, "svg.hashsalt": self.name}]):
      size = (self.width, self.height)
      canvas = figure.Figure(figsize=size, layout="constrained")
      canvas.patch.set_visible(False)
      self.paint(canvas.add_subplot())
      canvas.savefig(file, **options)

  def svg(self) -> str:
    """For a page: without a size of its own, its ids prefixed."""
    file = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    self._saved(file, format="svg", metadata=metadata)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' id="([^"]+)"', rf' id="{self.name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{self.name}-\1"', svg)
    svg = svg.replace("url(#", f"url(#{self.name}-")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The page sets the size; the view box keeps the proportions.
    svg = re.sub(r'^<svg ([^>]*?)height="[^"]*"', r"<svg \1", svg)
    svg = re.sub(r'^(<svg [^>]*?) width="[^"]*"', r"\1", svg)
    svg = svg.replace("<svg ", '<svg role="presentation" ', 1)
    _drawn.get({})[self.name] = self, svg
    return svg

  def png(self, dots_per_inch: int = 200) -> bytes:
    """For slides, on white."""
    file = io.BytesIO()
    self._saved(
      file,
      format="png",
      dpi=dots_per_inch,
      facecolor="white",
      metadata={"Software": None},
    )
    return file.getvalue()
