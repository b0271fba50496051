"""Keys to splits: stable, and of the promised sizes."""

import collections

from xlrm.data import splits

KEYS = [f"article-{i}" for i in range(20_000)]


def test_a_tenth_is_held_out_for_each():
  counts = collections.Counter(map(splits.split_of, KEYS))
  assert set(counts) == set(splits.SPLITS)
  for name in ("validation", "test"):
    # Binomial: four standard deviations are 170.
    assert abs(counts[name] - 2000) < 170


def test_a_key_stays_on_its_side_for_good():
  """Golden: moved keys would train on what was held out before."""
  held = {
    name: [x for x in range(60) if splits.split_of(KEYS[x]) == name]
    for name in ("validation", "test")
  }
  assert held == {
    "validation": [8, 33, 46, 55, 58],
    "test": [9, 10, 11, 15, 26, 36],
  }
