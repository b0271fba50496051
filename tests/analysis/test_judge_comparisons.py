"""Agreement of judges against plain counting."""

import dataclasses

import numpy as np
import pytest

from xlrm.analysis import judge_comparisons
from xlrm.analysis import transfer_matrices
from xlrm.analysis.reports import judges_section

JUDGES = ("gold", "reward/{target}")


@pytest.fixture(scope="module")
def records(study):
  return study.make_records(60, lift=0.2)


def counted(records, judge, target):
  """Preferences of (gold, judge) for best-of-n and PPO over the sample, one
  per pair of outputs that differ, and the ties."""
  samples = {
    x.example_id: x
    for x in records
    if x.method == "sample" and x.target == target
  }
  said, ties, seen = [], 0, set()
  for x in records:
    if x.method not in ("best_of_n", "ppo") or x.target != target:
      continue
    other = samples[x.example_id]
    key = (x.example_id, x.output)
    if f"reward/{x.source}" == judge or key in seen:
      continue
    seen.add(key)
    if x.output == other.output:
      continue
    pair = [x.scores[y] - other.scores[y] for y in ("gold", judge)]
    if 0 in pair:
      ties += 1
    else:
      said.append((pair[0] > 0, pair[1] > 0))
  return said, ties


@pytest.mark.parametrize("judge", ["reward/es", "reward/en", "reward/de"])
def test_instances_are_those_of_other_reward_models(records, judge):
  found = judge_comparisons.instances(records, "gold", judge, "es")
  said, ties = counted(records, judge, "es")
  first, second = np.array(said).T
  assert (found.found.n, found.ties, found.missing) == (len(said), ties, 0)
  assert found.found.rate == pytest.approx(np.mean(first == second))
  p, q = first.mean(), second.mean()
  chance = p * q + (1 - p) * (1 - q)
  assert found.found.chance == pytest.approx(chance)
  kappa = (found.found.rate - chance) / (1 - chance)
  assert found.found.kappa == pytest.approx(kappa)
  assert found.found.low < found.found.rate < found.found.high


def test_the_deciding_judge_is_not_asked_about_its_own_choice(records):
  others = [x for x in records if x.source != "es"]
  whole, fewer = (
    judge_comparisons.instances(x, "reward/es", "gold", "es")
    for x in (records, others)
  )
  assert whole == fewer and whole.found.n > 0


def test_every_target_has_its_own_and_the_source_reward_models(records):
  found = judge_comparisons.all_instances(records, JUDGES, ("es", "ru"))
  assert [(x.target, x.judge) for x in found] == [
    (target, f"reward/{x}")
    for target in ("es", "ru")
    for x in (target, "de", "en")
  ]


def test_missing_scores_are_counted_and_named(study, records):
  lacking = {x.id for x in records if x.method == "sample"}
  lacking = set(sorted(lacking)[:7])
  fewer = [
    dataclasses.replace(x, scores={"reward/es": 1.0}) if x.id in lacking else x
    for x in records
  ]
  found = judge_comparisons.instances(fewer, "gold", "reward/es", "es")
  whole = judge_comparisons.instances(records, "gold", "reward/es", "es")
  assert found.missing > 0
  assert found.found.n + found.ties + found.missing == (
    whole.found.n + whole.ties
  )
  page = judges_section.section(study.make_small_inputs(records=fewer), JUDGES)
  assert "or a valid verdict is missing: Spanish reward model" in page


def test_a_judge_that_nobody_asked_is_left_out(study, records):
  bare = [
    dataclasses.replace(x, scores={"gold": x.scores["gold"]}) for x in records
  ]
  inputs = study.make_small_inputs(records=bare)
  assert judges_section.section(inputs, ("gold",)) == ""
  assert judges_section.section(inputs, ()) == ""
  # The deciding judge has no score at all in one language.
  half = [
    dataclasses.replace(
      x, scores={k: v for k, v in x.scores.items() if k != "gold"}
    )
    if x.target == "ru"
    else x
    for x in records
  ]
  found = judge_comparisons.all_instances(half, JUDGES, ("es", "ru"))
  assert {x.target for x in found} == {"es"}


def test_rankings_agree_with_themselves_and_never_count_their_own(records):
  gold = transfer_matrices.transfer_matrix(records, judge="gold")
  same = judge_comparisons.ranking(gold, gold, "another")
  assert (same.counts.agreed, same.counts.n, same.targets) == (2, 2, 2)
  assert same.tau == 1.0
  flipped = dataclasses.replace(
    gold,
    cells={
      pair: dataclasses.replace(
        cell, win=dataclasses.replace(cell.win, rate=1 - cell.win.rate)
      )
      for pair, cell in gold.cells.items()
    },
  )
  other = judge_comparisons.ranking(gold, flipped, "another")
  assert (other.counts.disagreed, other.tau) == (2, -1.0)
  # Without its own choices the English reward model sees one source only.
  assert judge_comparisons.ranking(gold, gold, "reward/en") is None
