"""Which source language to take: for a known target, overall, for a new one.

A number of a pair is taken apart into what the source gives and what the target
is like, value[s, t] = m + a_s + b_t, by least squares over the cross-lingual
pairs that were run; so sources can be compared although no source meets itself
and targets differ. `a_s`, centred, ranks the sources. For a new target the
other targets say which source is best, and English is the default.
"""

from collections.abc import Sequence
import dataclasses
import statistics

import numpy as np

from xlrm.analysis import pair_tables

DEFAULT_SOURCE = "en"


@dataclasses.dataclass(frozen=True)
class Recommendation:
  """A source for a target, from what the other targets say.

  Attributes:
    target: as if it were new.
    source: recommended.
    rate: what it gives there; None where it was not run.
    default: what DEFAULT_SOURCE gives; None for itself.
    best_source: the best in hindsight.
    best: what that gives.
    mean: over all cross-lingual sources: a source picked blindly.
  """

  target: str
  source: str
  rate: float | None
  default: float | None
  best_source: str
  best: float
  mean: float


def in_target(
  table: pair_tables.PairTable, target: str, *, own: bool = True
) -> list[tuple[str, float]]:
  """Sources with their numbers for a target, the best first.

  Args:
    table: of win rates.
    target: its column.
    own: with the target's own language.
  """
  found = [
    (source, table.values[source, target])
    for source in table.sources
    if (source, target) in table.values and (own or source != target)
  ]
  return sorted(found, key=lambda pair: -pair[1])


def overall(
  table: pair_tables.PairTable, leave_out: Sequence[str] = ()
) -> list[tuple[str, float]]:
  """Sources with their effects a_s, the best first.

  Args:
    table: of win rates.
    leave_out: targets that must not be looked at.

  Raises:
    ValueError: no cross-lingual pair is left.
  """
  kept = {
    pair: value
    for pair, value in table.cross_lingual.items()
    if pair[1] not in leave_out
  }
  if not kept:
    raise ValueError(f"no cross-lingual pair left without {list(leave_out)}")
  order = [x for x in table.sources if any(s == x for s, _ in kept)]
  effects = effect_weights(list(kept), order) @ np.array(list(kept.values()))
  found = [(x, round(float(y), 12)) for x, y in zip(order, effects)]
  return sorted(found, key=lambda pair: -pair[1])


def _design(
  pairs: Sequence[pair_tables.Pair], sources: Sequence[str]
) -> np.ndarray:
  """[pairs, sources + targets]: one column per source and per target."""
  targets = list(dict.fromkeys(target for _, target in pairs))
  design = np.zeros((len(pairs), len(sources) + len(targets)))
  for i, (source, target) in enumerate(pairs):
    design[i, sources.index(source)] = 1.0
    design[i, len(sources) + targets.index(target)] = 1.0
  return design


def effect_weights(
  pairs: Sequence[pair_tables.Pair], sources: Sequence[str]
) -> np.ndarray:
  """[sources, pairs]: the effects a_s are these weights times the numbers.

  The smallest solution of least squares splits the constant between sources
  and targets, and centring takes it off.
  """
  weights = np.linalg.pinv(_design(pairs, sources))[: len(sources)]
  return weights - weights.mean(axis=0)


def connected(
  pairs: Sequence[pair_tables.Pair], sources: Sequence[str]
) -> bool:
  """Whether shared targets lead from every source to every other: otherwise
  their effects cannot be compared."""
  design = _design(pairs, sources)
  return int(np.linalg.matrix_rank(design)) == design.shape[1] - 1


def recommend(table: pair_tables.PairTable, target: str) -> str:
  """A source for a target that was not looked at; DEFAULT_SOURCE if the other
  targets say nothing."""
  try:
    ranked = overall(table, leave_out=(target,))
  except ValueError:
    ranked = []
  ranked = [source for source, _ in ranked if source != target]
  return ranked[0] if ranked else DEFAULT_SOURCE


def hindsight(table: pair_tables.PairTable) -> list[Recommendation]:
  """Each target in turn as if it were new: was the recommendation good?"""
  found = []
  for target in table.targets:
    ranked = in_target(table, target, own=False)
    if not ranked:
      continue
    source = recommend(table, target)
    rates = dict(ranked)
    found.append(
      Recommendation(
        target=target,
        source=source,
        rate=rates.get(source),
        default=rates.get(DEFAULT_SOURCE),
        best_source=ranked[0][0],
        best=ranked[0][1],
        mean=statistics.fmean(rates.values()),
      )
    )
  return found
