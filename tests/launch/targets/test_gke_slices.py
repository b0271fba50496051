"""TPU slices of GKE: machines and chips of a topology."""

import pytest

from xlrm.launch.targets import gke_slices


@pytest.mark.parametrize(
  ("tpu", "topology", "expected"),
  [
    ("v6e", "1x1", (1, 1)),
    ("v5e", "2x4", (1, 8)),
    ("v5e", "4x4", (4, 4)),
    ("v5e", "16x16", (64, 4)),
    ("v4", "2x2x1", (1, 4)),
    ("v4", "2x2x4", (4, 4)),
    ("v5p", "4x4x8", (32, 4)),
  ],
)
def test_machines_of_a_topology(tpu, topology, expected):
  assert gke_slices.machines(tpu, topology) == expected


@pytest.mark.parametrize(
  ("tpu", "topology", "said"),
  [
    ("v9", "4x4", "--tpu='v9' is none of v4, v5e, v5p, v6e"),
    ("v6e", None, "2 numbers whose product is a multiple of 4"),
    ("v6e", "4 x 4", "--topology=4x4"),
    ("v4", "2x2", "3 numbers .*--topology=2x2x2"),
    ("v4", "1x1x2", "multiple of 4"),
    ("v4", "2x2x4x", "3 numbers"),
  ],
)
def test_a_slice_that_does_not_exist_is_named(tpu, topology, said):
  with pytest.raises(ValueError, match=said):
    gke_slices.machines(tpu, topology)
