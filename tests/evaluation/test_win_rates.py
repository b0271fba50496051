"""Win rates against counting; intervals against their coverage."""

import functools
import math

import numpy as np
import pytest
from scipy import stats

from xlrm.evaluation import win_rates

Z = 1.959963984540054


def coverage(interval, draw, truth, n, runs=4000, seed=0):
  rng = np.random.default_rng(seed)
  seen: dict[bytes, bool] = {}
  hits = 0
  for _ in range(runs):
    outcomes = np.sort(draw(rng, n))
    key = outcomes.tobytes()
    if key not in seen:
      low, high = interval(outcomes)
      seen[key] = low <= truth <= high
    hits += seen[key]
  return hits / runs


@pytest.mark.parametrize("n", [50, 250, 1000])
@pytest.mark.parametrize("p", [0.5, 0.6, 0.9])
def test_g27_wilson_coverage(n, p):
  def draw(rng, n):
    return (rng.random(n) < p).astype(float)

  assert 0.925 <= coverage(win_rates.wilson, draw, p, n) <= 0.975


@pytest.mark.parametrize("n", [50, 250, 1000])
@pytest.mark.parametrize(
  "wins, ties", [(0.4, 0.2), (0.3, 0.5), (0.15, 0.8), (0.5, 0.45)]
)
def test_g27_coverage_with_ties(n, wins, ties):
  def draw(rng, n):
    u = rng.random(n)
    return np.where(u < wins, 1.0, np.where(u < wins + ties, 0.5, 0.0))

  assert 0.925 <= coverage(win_rates.wilson, draw, wins + ties / 2, n) <= 0.985


@pytest.mark.parametrize("n", [50, 250, 1000])
@pytest.mark.parametrize("p", [0.5, 0.6, 0.9])
def test_g27_normal_interval_has_its_exact_coverage(n, p):
  exact = sum(
    math.comb(n, k) * p**k * (1 - p) ** (n - k)
    for k in range(n + 1)
    if abs(k / n - p) <= Z * math.sqrt(k / n * (1 - k / n) / n)
  )
  ours = 0.0
  for k in range(n + 1):
    low, high = win_rates.normal(np.repeat([1.0, 0.0], [k, n - k]))
    if low <= p <= high:
      ours += math.comb(n, k) * p**k * (1 - p) ** (n - k)
  assert ours == pytest.approx(exact)
  if (n, p) == (50, 0.9):
    assert exact == pytest.approx(0.879, abs=5e-4)


def test_wilson_is_the_textbook_interval_without_ties():
  # 81 of 263, Newcombe (1998): 0.2553 to 0.3662
  low, high = win_rates.wilson(np.repeat([1.0, 0.0], [81, 182]))
  assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_ties_narrow_the_interval_but_never_to_nothing():
  def width(outcomes):
    low, high = win_rates.wilson(np.array(outcomes))
    return high - low

  decided = width([1.0, 0.0] * 50)
  tied = width([1.0, 0.0] * 10 + [0.5] * 80)
  assert 0 < width([0.5] * 100) < tied < decided


@pytest.mark.parametrize("outcomes", [[1.0], [0.0] * 5, [0.5], [1.0] * 1000])
def test_intervals_of_extreme_outcomes_stay_in_range(outcomes):
  low, high = win_rates.wilson(np.array(outcomes))
  assert 0 <= low <= outcomes[0] <= high <= 1 and low < high


def test_win_rate_counts_every_pair():
  rng = np.random.default_rng(0)
  first, second = rng.integers(0, 4, (2, 300)).astype(float)
  result = win_rates.win_rate(win_rates.hard(first, second))
  wins = sum(a > b for a, b in zip(first, second))
  ties = sum(a == b for a, b in zip(first, second))
  assert (result.wins, result.ties, result.losses) == (
    wins,
    ties,
    300 - wins - ties,
  )
  assert result.rate == pytest.approx((wins + ties / 2) / 300)
  assert result.low < result.rate < result.high


def test_swapping_the_sides_mirrors_the_win_rate():
  rng = np.random.default_rng(1)
  first, second = rng.integers(0, 3, (2, 100)).astype(float)
  one = win_rates.win_rate(win_rates.hard(first, second))
  other = win_rates.win_rate(win_rates.hard(second, first))
  assert one.rate == pytest.approx(1 - other.rate)
  assert one.low == pytest.approx(1 - other.high)


def test_soft_outcomes():
  outcomes = win_rates.soft([1.0, 0.0, -800.0], [0.0, 0.0, 800.0])
  np.testing.assert_allclose(outcomes, [1 / (1 + math.exp(-1)), 0.5, 0.0])
  sharp = win_rates.soft([1.0], [0.0], scale=0.1)
  assert sharp[0] > outcomes[0]


def test_bootstrap_agrees_with_the_normal_interval_and_repeats():
  rng = np.random.default_rng(2)
  outcomes = rng.choice([0.0, 0.5, 1.0], 400, p=[0.3, 0.2, 0.5])
  ours = win_rates.bootstrap(outcomes)
  np.testing.assert_allclose(ours, win_rates.normal(outcomes), atol=0.01)
  assert ours == win_rates.bootstrap(outcomes)
  other = functools.partial(win_rates.bootstrap, seed=1)
  result = win_rates.win_rate(outcomes, other)
  assert (result.low, result.high) != ours


def test_macro_average_of_one_part_is_that_part():
  part = win_rates.win_rate(np.array([1.0, 0.5, 0.0, 1.0, 0.5]))
  total = win_rates.macro_average([part])
  assert (total.rate, total.low, total.high) == pytest.approx(
    (part.rate, part.low, part.high)
  )


def test_macro_average_weighs_datasets_equally():
  big = win_rates.win_rate(np.repeat([1.0, 0.0], [900, 100]))
  small = win_rates.win_rate(np.repeat([1.0, 0.0], [200, 200]))
  total = win_rates.macro_average([big, small])
  assert total.rate == pytest.approx(0.7)
  assert total.n == 1400
  # As good as normal here: half of both standard errors, added in squares.
  error = math.sqrt(0.09 / 1000 + 0.25 / 400) / 2
  assert (total.high - total.low) / 2 == pytest.approx(Z * error, rel=0.02)


def test_g27_macro_average_coverage():
  rng = np.random.default_rng(3)
  hits = 0
  for _ in range(1000):
    parts = [
      win_rates.win_rate((rng.random(n) < p).astype(float))
      for n, p in ((60, 0.8), (200, 0.5), (30, 0.6))
    ]
    total = win_rates.macro_average(parts)
    hits += total.low <= (0.8 + 0.5 + 0.6) / 3 <= total.high
  assert 0.925 <= hits / 1000 <= 0.975


@pytest.mark.parametrize(
  "call, message",
  [
    (lambda: win_rates.win_rate(np.array([])), "none to average"),
    (lambda: win_rates.win_rate(np.array([0.5, 1.5])), "1.5, not in"),
    (lambda: win_rates.win_rate(np.array([np.nan])), "nan, not in"),
    (lambda: win_rates.hard([1.0], [1.0, 2.0]), "1 scores .* with 2"),
    (lambda: win_rates.hard([1.0], [math.inf]), "of the second is inf"),
    (lambda: win_rates.soft([1.0], [1.0], scale=0.0), "scale 0.0"),
    (lambda: win_rates.wilson(np.array([1.0]), 1.0), "confidence 1.0"),
    (lambda: win_rates.macro_average([]), "no parts"),
  ],
)
def test_g28_wrong_outcomes_are_refused(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def test_clusters_count_as_often_as_they_are_large():
  means, sizes = np.array([1.0, 0.0, 0.5, 1.0]), [1, 1, 2, 4]
  rate, low, high = win_rates.clustered(means, sizes)
  flat = np.repeat(means, sizes)
  assert rate == pytest.approx(flat.mean())
  # 8 observations of 4 clusters tell as much as 64 / 22.
  expected = win_rates.score_interval(flat.mean(), flat.var(), 64 / 22)
  assert (low, high) == pytest.approx(expected)
  alone = win_rates.clustered(means, [1] * 4)
  assert alone[1:] == pytest.approx(win_rates.wilson(means))


def test_interval_between_runs_is_students():
  rng = np.random.default_rng(0)
  for k in (2, 3, 10):
    rates = rng.uniform(0.4, 0.7, k)
    expected = stats.ttest_1samp(rates, 0.5).confidence_interval(0.95)
    expected = np.clip(expected, 0, 1)  # it is a share
    assert win_rates.between_runs(rates) == pytest.approx(tuple(expected))
  # By hand: t of one degree of freedom is tan(pi (p - 1/2)), p = .75.
  low, high = win_rates.between_runs([0.5, 0.6], confidence=0.5)
  assert (low, high) == pytest.approx((0.5, 0.6))
  assert win_rates.between_runs([0.6, 0.6, 0.6]) == pytest.approx((0.6, 0.6))
  assert win_rates.between_runs([0.1, 0.9]) == (0.0, 1.0)


def test_interval_between_runs_covers():
  rng = np.random.default_rng(1)
  draws = rng.normal(0.55, 0.03, (2000, 3))
  ends = np.array([win_rates.between_runs(x) for x in draws])
  share = np.mean((ends[:, 0] <= 0.55) & (0.55 <= ends[:, 1]))
  assert 0.935 <= share <= 0.965


def test_one_run_has_no_interval_between_runs():
  with pytest.raises(ValueError, match="one run only"):
    win_rates.between_runs([0.6])
