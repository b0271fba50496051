"""TPU slices of Google Kubernetes Engine: their names, machines and chips."""

import math
import re

# GKE's name, dimensions of a topology, chips of one machine of a larger slice.
TPUS = {
  "v4": ("tpu-v4-podslice", 3, 4),
  "v5e": ("tpu-v5-lite-podslice", 2, 4),
  "v5p": ("tpu-v5p-slice", 3, 4),
  "v6e": ("tpu-v6e-slice", 2, 4),
}


ONE_MACHINE = ("1x1", "2x2", "2x4")  # v5e and v6e


def machines(tpu: str, topology: str | None) -> tuple[int, int]:
  """The machines of a TPU slice and the chips of each: v6e, 4x4 -> (4, 4).

  Raises:
    ValueError: no such TPU, or its chips do not lie so.
  """
  if tpu not in TPUS:
    raise ValueError(f"--tpu={tpu!r} is none of {', '.join(TPUS)}")
  _, dimensions, chips = TPUS[tpu]
  sizes = [int(x) for x in re.findall(r"\d+", topology or "")]
  total = math.prod(sizes)
  if dimensions == 2 and topology in ONE_MACHINE:
    return 1, total
  if (
    len(sizes) != dimensions
    or topology != "x".join(map(str, sizes))
    or total < chips
    or total % chips
  ):
    example = "4x4" if dimensions == 2 else "2x2x2"
    raise ValueError(
      f"--topology={topology!r}: a {tpu} slice is written in {dimensions} "
      f"numbers whose product is a multiple of {chips}: --topology={example}"
    )
  return total // chips, chips
