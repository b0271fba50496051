"""Colours that colour-blind readers tell apart and that print in grey.

Diverging: brown below, white at the middle, blue above. Categories are those
of Okabe and Ito without yellow, and each comes with its own marker.
"""

BELOW = (0xB3, 0x58, 0x06)
MIDDLE = (0xF7, 0xF6, 0xF2)
ABOVE = (0x1B, 0x5E, 0x9B)
INK = "#1d2733"
MUTED = "#66717e"
RULE = "#d9dde2"
MISSING = "#eceef0"
CATEGORIES = (
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#a6457f",
  "#3f4a57",
  "#c08a00",
  "#4aa3d8",
)
MARKERS = "osD^vPX"


def _mix(start: tuple[int, ...], end: tuple[int, ...], share: float) -> str:
  parts = (round(a + (b - a) * share) for a, b in zip(start, end, strict=True))
  return "#" + "".join(f"{part:02x}" for part in parts)


def diverging(value: float, middle: float, span: float) -> str:
  """Colour of a value on a scale from middle - span to middle + span."""
  share = max(-1.0, min(1.0, (value - middle) / span))
  return _mix(MIDDLE, ABOVE if share > 0 else BELOW, abs(share))


def luminance(colour: str) -> float:
  """Relative luminance of "#rrggbb", as WCAG defines it."""
  parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  linear = [
    x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
  ]
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
  """Contrast ratio of two colours, 1 to 21; small text needs 4.5."""
  low, high = sorted((luminance(first), luminance(second)))
  return (high + 0.05) / (low + 0.05)


def text_on(background: str) -> str:
  """White or ink, whichever is easier to read there."""
  return max(("#ffffff", INK), key=lambda colour: contrast(colour, background))


def category(index: int) -> str:
  return CATEGORIES[index % len(CATEGORIES)]


def marker(index: int) -> str:
  return MARKERS[index % len(MARKERS)]
