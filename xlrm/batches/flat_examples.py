"""Examples of any lengths as a few flat arrays, and back.

[{"inputs": [5, 6]}, {"inputs": [7]}]  ->
{"train/count": 2, "train/inputs/values": [5, 6, 7],
 "train/inputs/lengths": [2, 1]}
"""

from collections.abc import Mapping, Sequence

import numpy as np

from xlrm.batches import converters


def flatten(
  examples: Sequence[converters.Example], split: str
) -> dict[str, np.ndarray]:
  """Ragged examples as flat arrays: values, and the length of each row.

  A column of lists of arrays (ranked responses) also has their sizes.
  """
  arrays = {f"{split}/count": np.asarray(len(examples))}
  for name in sorted(examples[0]) if examples else ():
    column, key = [x[name] for x in examples], f"{split}/{name}"
    if isinstance(column[0], list):
      arrays[f"{key}/groups"] = np.asarray([len(x) for x in column])
      column = [part for group in column for part in group]
    integers = np.asarray(column[0]).dtype.kind in "iub"
    dtype = np.int32 if integers else np.float32
    if np.ndim(column[0]) == 0:
      arrays[f"{key}/scalars"] = np.asarray(column, dtype)
      continue
    arrays[f"{key}/values"] = np.concatenate(column).astype(dtype)
    arrays[f"{key}/lengths"] = np.asarray([len(x) for x in column])
  return arrays


def _parts(values: Sequence, sizes: np.ndarray) -> list:
  ends = np.cumsum(sizes)
  return [values[end - size : end] for end, size in zip(ends, sizes)]


def unflatten(
  arrays: Mapping[str, np.ndarray], split: str
) -> list[converters.Example]:
  """The inverse of `flatten`."""
  examples = [{} for _ in range(int(arrays[f"{split}/count"]))]
  names = {
    key.split("/")[1] for key in arrays if key.startswith(f"{split}/")
  } - {"count"}
  for name in sorted(names):
    key = f"{split}/{name}"
    if f"{key}/scalars" in arrays:
      column = list(arrays[f"{key}/scalars"])
    else:
      column = _parts(arrays[f"{key}/values"], arrays[f"{key}/lengths"])
    if f"{key}/groups" in arrays:
      column = _parts(column, arrays[f"{key}/groups"])
    for example, value in zip(examples, column, strict=True):
      example[name] = value
  return examples
