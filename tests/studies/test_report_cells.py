"""Cells that compare: what they need, and what they take if it is there."""

import ast

import example_studies


def test_a_baseline_shares_the_temperature_of_what_is_compared_with_it():
  found = example_studies.by_name(example_studies.big())
  for name, cell in found.items():
    if cell.kind in ("report", "judge"):
      needed = [found[x] for x in cell.needs]
      sampled = [x for x in needed if x.kind in ("best_of_n", "outputs")]
      assert len({x.settings["TEMPERATURE"] for x in sampled}) == 1, name
      assert {x.settings["TEMPERATURE"] for x in needed if x.kind == "ppo"} <= {
        sampled[0].settings["TEMPERATURE"]
      }


def test_reports_have_the_verdicts_of_their_own_values():
  found = example_studies.by_name(
    example_studies.big(verdicts=["people"], seeds=(0,))
  )
  first, other = (
    found[f"report{x}"].without(["judge_two_ppo", "report_n16"]).bindings
    for x in ("", "_n16")
  )
  judged = ["judge_one_best_of_n", "judge_one_ppo", "judge_two_best_of_n"]
  judged = [f"s/{x}" for x in judged]
  # People saw the outputs of the first values.
  assert f"VERDICTS = {['people', *judged]}" in first
  judged = [f"{x}_n16" for x in (*judged, "s/judge_two_ppo")]
  assert f"VERDICTS = {judged}" in other
  (swept,) = (x for x in first if x.startswith("evaluate.run.swept"))
  points = ast.literal_eval(swept.partition(" = ")[2])
  assert points[:2] == [
    ["s", {"temperature": 0.7, "n": 4, "kl": 0.1}],
    ["s/report_kl0.2", {"temperature": 0.7, "n": 4, "kl": 0.2}],
  ]
  assert len(points) == 2**3 - 1 and "s/report_n16" not in dict(points)
  assert not any(x.startswith("evaluate.run.swept") for x in other)


def test_best_of_n_is_not_judged_again_for_another_beta():
  found = example_studies.by_name(example_studies.big())
  judged = {x for x in found if x.startswith("judge_one")}
  assert judged == {
    f"judge_one_{method}{t}{n}{kl}"
    for t in ("", "_temperature1.0")
    for n in ("", "_n16")
    for method, kl in (("best_of_n", ""), ("ppo", ""), ("ppo", "_kl0.2"))
  }
  cell = found["judge_one_best_of_n"]
  assert not any("ppo" in x for x in cell.needs)
  for name in ("report", "report_kl0.2"):
    assert cell.name in found[name].wants


def test_the_study_is_called_as_its_records_or_as_its_folder():
  setting = "evaluate.run.study_folder"
  assert (
    f"{setting} = 's'"
    in example_studies.by_name(example_studies.make())["report"].bindings
  )
  assert (
    setting
    not in example_studies.by_name(example_studies.make(name="betas"))[
      "report"
    ].settings
  )
