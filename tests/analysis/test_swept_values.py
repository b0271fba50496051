"""Which swept value is the best, against plain counting."""

import dataclasses
import re

import numpy as np
import pytest
from scipy import stats

from xlrm.analysis import report_inputs
from xlrm.analysis import swept_values
from xlrm.analysis import transfer_matrices
from xlrm.analysis.reports import report
from xlrm.analysis.reports import report_files
from xlrm.analysis.reports import seeds_section
from xlrm.analysis.reports import swept_section
from xlrm.evaluation import win_rates

BETAS = (0.05, 0.02, 0.2)  # the first is that of the report
LIFTS = {0.05: 0.2, 0.02: 0.3, 0.2: -0.25}
KL = {0.05: 4.0, 0.02: 9.0, 0.2: 1.0}


def point(study, values, policy, best_of_n=0):
  """Two seeds; PPO's outputs are drawn with the seed `policy` of the lift,
  those of best-of-n with the seed `best_of_n`."""
  found = []
  lift = LIFTS[values.get("kl", 0.05)]
  for seed in (0, 1):
    for method, drawn in (
      ("ppo", study.make_records(25, lift=lift, seed=policy + seed)),
      ("", study.make_records(25, seed=best_of_n + seed)),
    ):
      found += [
        dataclasses.replace(x, seed=seed, policy=f"{x.policy}_{policy + seed}")
        for x in drawn
        if (x.method == "ppo") is (method == "ppo")
      ]
  kl = KL[values.get("kl", 0.05)]
  training = {
    f"ppo_es_{policy + seed}": [
      {"step": i, "objective/kl": kl + seed + i / 100} for i in range(30)
    ]
    for seed in (0, 1)
  }
  return report_inputs.SweptPoint(values, found, training)


@pytest.fixture(scope="module")
def betas(study):
  return [
    point(study, {"kl": beta}, 100 * i) for i, beta in enumerate(BETAS, 1)
  ]


@pytest.fixture(scope="module")
def temperatures(study):
  return [
    point(study, {"temperature": t}, 100 * i, 10 * i)
    for i, t in enumerate((1.0, 0.7), 1)
  ]


def by_example(records, method, source, target, judge="gold"):
  """(seed, example) -> score."""
  return {
    (x.seed, x.example_id): x.scores[judge]
    for x in records
    if (x.method, x.source, x.target) == (method, source, target)
  }


def beaten(ours, theirs):
  """example -> mean over seeds of win, tie, loss."""
  told = {}
  for (seed, example), score in ours.items():
    other = theirs[seed, example]
    won = 1.0 if score > other else 0.5 if score == other else 0.0
    told.setdefault(example, []).append(won)
  return np.array([np.mean(x) for x in told.values()])


def test_points_are_what_plain_counting_gives(betas):
  found = swept_values.points(betas, "ppo", "gold")
  assert [x.values["kl"] for x in found] == sorted(BETAS)
  given = {x.values["kl"]: x for x in betas}
  for x in found:
    own = given[x.values["kl"]].records
    ppo = by_example(own, "ppo", "en", "es")
    sample = by_example(own, "sample", "", "es")
    outcomes = beaten(ppo, sample)
    expected = win_rates.win_rate(outcomes)
    assert (x.win.n, x.win.rate) == (25, pytest.approx(outcomes.mean()))
    assert (x.win.low, x.win.high) == pytest.approx(
      (expected.low, expected.high)
    )
    for seed in (0, 1):
      one = {k: v for k, v in ppo.items() if k[0] == seed}
      assert x.by_seed[seed] == pytest.approx(beaten(one, sample).mean())
    for mean, scores in ((x.score, ppo), (x.baseline, sample)):
      examples = dict.fromkeys(example for _, example in scores)
      means = [np.mean([scores[s, e] for s in (0, 1)]) for e in examples]
      ends = stats.ttest_1samp(means, 0).confidence_interval()
      assert mean.value == pytest.approx(np.mean(means))
      assert (mean.low, mean.high) == pytest.approx(tuple(ends))
    # The last ten of 30 steps, mean over two seeds, one of which has 1 more.
    kl = KL[x.values["kl"]]
    last = [i / 100 for i in range(20, 30)]
    assert x.kl.value == pytest.approx(kl + 0.5 + np.mean(last))
    assert x.kl.low == pytest.approx(kl + min(last))
    assert x.kl.high == pytest.approx(kl + 1 + max(last))


def test_the_others_are_compared_with_the_best_prompt_by_prompt(betas):
  found = swept_values.points(betas, "ppo", "gold")
  (best,) = (x for x in found if x.against is None)
  assert best.win.rate == max(x.win.rate for x in found)
  given = {
    x.values["kl"]: by_example(x.records, "ppo", "en", "es") for x in betas
  }
  others = [x for x in found if x.against]
  p_values = []
  for x in others:
    outcomes = beaten(given[x.values["kl"]], given[best.values["kl"]])
    assert x.against.win.rate == pytest.approx(outcomes.mean())
    won, lost = (outcomes > 0.5).sum(), (outcomes < 0.5).sum()
    p_values.append(stats.binomtest(int(won), int(won + lost)).pvalue)
  assert len(others) == 2
  # Holm: the smaller of two counts twice, the larger not less than that.
  small = min(1.0, 2 * min(p_values))
  expected = [small if p == min(p_values) else max(p, small) for p in p_values]
  assert [x.against.p for x in others] == pytest.approx(expected)


def test_means_over_pairs_take_targets_equally_and_prompts_once(temperatures):
  found = swept_values.points(temperatures, "best_of_n", "gold")
  for x, given in zip(found, (temperatures[1], temperatures[0])):
    matrix = transfer_matrices.transfer_matrix(given.records, judge="gold")
    average = transfer_matrices.cross_lingual_average(matrix)
    assert x.win == average and x.win.n == 50
    scores = []
    for target in ("es", "ru"):
      own = [
        by_example(given.records, "best_of_n", source, target)
        for source in ("en", "de")
      ]
      scores.append(np.mean([list(y.values()) for y in own]))
    assert x.score.value == pytest.approx(np.mean(scores))
    assert x.kl is None


def test_over_temperatures_scores_decide(temperatures):
  """The sample that is to be beaten is another one at each."""
  worse = [
    dataclasses.replace(x, scores={"gold": -5.0})
    if x.method == "sample"
    else dataclasses.replace(x, scores={"gold": x.scores["gold"] - 1})
    for x in temperatures[1].records
  ]
  changed = [
    temperatures[0],
    dataclasses.replace(temperatures[1], records=worse),
  ]
  found = swept_values.points(changed, "best_of_n", "gold")
  assert [x.values["temperature"] for x in found] == [0.7, 1.0]
  assert found[0].win.rate == 1.0 > found[1].win.rate
  assert found[1].against is None and found[0].against.worse
  text = swept_section.answer("best_of_n", found)
  assert "temperature = 1 has the highest mean score" in text
  assert "Worse: temperature = 0.7" in text


def test_what_beats_the_best_prompt_by_prompt_is_not_called_worse(
  study, temperatures
):
  """One prompt's scores, far too low, make the mean of T = 0.7 the lowest; on
  every other prompt its output scores more."""
  records = {1.0: temperatures[0].records, 0.7: []}
  for x in records[1.0]:
    gain = 0.0
    if x.method == "best_of_n":
      gain = -1000.0 if x.example_id == records[1.0][0].example_id else 0.5
    scores = {"gold": x.scores["gold"] + gain}
    records[0.7].append(dataclasses.replace(x, scores=scores))
  points = [
    report_inputs.SweptPoint({"temperature": t}, x) for t, x in records.items()
  ]
  other, best = swept_values.points(points, "best_of_n", "gold")
  assert best.against is None and best.score.value > other.score.value
  against = other.against
  assert against.p < 0.05 and against.win.rate > 0.5
  assert against.better and not against.worse
  text = swept_section.answer("best_of_n", (other, best))
  assert "temperature = 1 has the highest mean score" in text
  assert "Worse" not in text and "Not told apart" not in text
  assert (
    "Beats it prompt by prompt, although its mean score is no higher: "
    "temperature = 0.7 (wins "
  ) in text
  inputs = study.make_small_inputs(records=records[1.0], swept=points)
  page = swept_section.section(inputs, ("gold",))
  rate = f"{100 * against.win.rate:.1f}%"
  assert f'<td class="best">{rate}' in page and 'class="bad"' not in page


def test_over_n_scores_decide(study, temperatures):
  """The sample is the draw after the n: at another n another one."""
  harder = [
    dataclasses.replace(x, scores={"gold": 5.0}) if x.method == "sample" else x
    for x in temperatures[0].records
  ]
  better = [
    dataclasses.replace(x, scores={"gold": x.scores["gold"] + 1})
    if x.method == "best_of_n"
    else x
    for x in harder
  ]
  points = [
    report_inputs.SweptPoint({"n": 4}, temperatures[0].records),
    report_inputs.SweptPoint({"n": 16}, better),
  ]
  few, many = swept_values.points(points, "best_of_n", "gold")
  assert few.win.rate > many.win.rate == 0.0
  assert many.against is None and few.against.worse
  inputs = study.make_small_inputs(records=better, swept=points)
  page = swept_section.section(inputs, ("gold",))
  assert "Best-of-n: of 2, n = 16 has the highest mean score" in page
  assert "Win rates at two values of n are over two different samples" in page


def test_over_betas_win_rates_decide(study, betas):
  inputs = study.make_small_inputs(records=betas[0].records, swept=betas)
  page = swept_section.section(inputs, ("gold",))
  assert "wins most often" in page and "different samples" not in page


def test_pairs_that_a_point_lacks_count_nowhere(temperatures):
  fewer = [
    x
    for x in temperatures[1].records
    if (x.method, x.source) != ("best_of_n", "de")
  ]
  changed = [
    temperatures[0],
    dataclasses.replace(temperatures[1], records=fewer),
  ]
  found = swept_values.points(changed, "best_of_n", "gold")
  matrix = transfer_matrices.transfer_matrix(
    temperatures[0].records, judge="gold"
  )
  rates = [matrix.cells["en", target].win.rate for target in ("es", "ru")]
  assert found[1].win.rate == pytest.approx(np.mean(rates))


def test_one_point_or_another_axis_is_no_sweep(study, betas):
  assert swept_values.points(betas[:1], "ppo", "gold") == []
  assert swept_values.points(betas, "best_of_n", "gold") == []  # knows no beta
  assert swept_values.points(betas, "ppo", "unheard of") == []
  for given in ((), betas[:1]):
    inputs = study.make_small_inputs(records=betas[0].records, swept=given)
    assert swept_section.section(inputs, ("gold",)) == ""
  inputs = study.make_small_inputs(records=betas[0].records, swept=betas)
  assert swept_section.section(inputs, ()) == ""


def test_two_axes_are_shown_at_the_first_values_of_each_other():
  found = [
    swept_values.Point({"temperature": t, "kl": kl}, None, None, {}, None, None)
    for t in (0.7, 1.0)
    for kl in (0.1, 0.2)
  ]
  assert swept_values.axes_of(found) == ["temperature", "kl"]
  first = {"temperature": 1.0, "kl": 0.1, "n": 16}
  assert swept_values.along(found, "kl", first) == found[2:]
  assert swept_values.along(found, "temperature", first) == found[::2]


def test_the_page_answers_and_has_a_figure_of_each_number(study, betas):
  inputs = study.make_small_inputs(
    records=betas[0].records,
    ppo_training=betas[0].ppo_training,
    swept=betas,
    num_examples=0,
  )
  found = swept_values.points(betas, "ppo", "gold")
  best = next(x for x in found if x.against is None)
  page = report.render(inputs)
  tables = {x.name: x for x in report_files.read(page).tables}
  assert " & $\\beta$ & " in report_files.to_latex(tables["swept"])
  assert f"PPO: of 3, \u03b2 = {best.values['kl']:g} wins most often" in page
  # 0.02 is the best, and nothing smaller was tried.
  assert best.values["kl"] == 0.02
  assert "\u03b2 = 0.02 is the smallest that was tried" in page
  section = page[page.index('<section id="swept"') :]
  section = section[: section.index("</section>")]
  titles = re.findall(r"<figcaption>([^<]*)<span>([^<]*)", section)
  assert [title for title, _ in titles] == [
    "PPO: win rate over one SFT sample",
    "PPO: mean score by the gold judge",
    "PPO: KL divergence from the SFT model",
    "PPO: what a win costs",
  ]
  rows = re.findall(r"<tr[^>]*>(<th scope=\"row\">PPO.*?)</tr>", section)
  for x, row in zip(found, rows, strict=True):
    numbers = re.findall(r"<td[^>]*>([^<]*)", row)
    assert numbers == [
      f"{x.values['kl']:g}",
      "25",
      f"{100 * x.win.rate:.1f}%",
      f"{100 * x.against.win.rate:.1f}%" if x.against else "\u2013",
      f"{x.score.value:.3f}",
      f"{x.baseline.value:.3f}",
      f"{x.kl.value:.2f}",
    ]
    between = win_rates.between_runs(list(x.by_seed.values()))
    low, high = (100 * end for end in between)
    assert f"; seeds [{low:.1f}, {high:.1f}]" in row


def test_seeds_have_a_section_of_their_own(study, betas, inputs):
  found = swept_section.findings.results(
    study.make_small_inputs(records=betas[0].records)
  )
  page = seeds_section.section(found)
  cell = found.ppo["gold", "sample"].cells["en", "es"]
  rates = list(cell.by_seed.values())
  row = re.search(
    r"English → Spanish</th><td class=\"text\">PPO</td>(.*?)</tr>", page
  )[1]
  assert re.findall(r"<td[^>]*>([^<]*)", row) == [
    "2",
    f"{100 * cell.win.rate:.1f}%",
    f"{100 * min(rates):.1f}%",
    f"{100 * max(rates):.1f}%",
    f"{100 * np.std(rates, ddof=1):.1f}",
  ]
  one = swept_section.findings.results(inputs)
  assert seeds_section.section(one) == ""
