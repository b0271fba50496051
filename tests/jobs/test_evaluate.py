"""What the report reads from files: pools, and the runs of PPO."""

import dataclasses

import numpy as np
import pytest

from xlrm.best_of_n import estimators
from xlrm.best_of_n import pool_records
from xlrm.best_of_n import pools as pools_lib
from xlrm.evaluation import records as records_lib
from xlrm.jobs import evaluate
from xlrm.miniworld import gold
from xlrm.miniworld import world_rows


@pytest.fixture(scope="module")
def pools():
  """Four of the five texts are references of other documents."""
  rng = np.random.default_rng(0)
  found = world_rows.summary_rows("es", "test", 0, 12)
  return [
    pools_lib.Pool(
      example_id=row.id,
      language="es",
      dataset="miniworld",
      task="t",
      inputs=row.document,
      reward_inputs=row.document,
      reference=row.summary,
      texts=[row.summary, *(found[(i + j) % 12].summary for j in range(1, 5))],
      logprobs=(-4 * rng.random(5)).tolist(),
      scores={"reward/en": rng.normal(size=5).tolist()},
      greedy={"text": row.summary, "logprob": -1.0, "scores": {}},
    )
    for i, row in enumerate(found)
  ]


def records_of(pools, restricted):
  choice = pool_records.Choice("s", "sft", 0, restricted=restricted)
  made = [
    dataclasses.replace(
      pool, greedy={**pool.greedy, "scores": {"reward/en": 0.0}}
    )
    for pool in pools
  ]
  return [record for pool in made for record in choice.records(pool)]


def test_curves_have_the_divergence_of_their_pools(pools):
  records = records_of(pools, restricted=False)
  line = evaluate.pool_curves(pools, records, gold.GoldJudge())["en", "es"]
  scores = np.array([pool.scores["reward/en"] for pool in pools])
  logprobs = np.array([pool.logprobs for pool in pools])
  expected = estimators.expected_kl_estimate(scores, logprobs).mean(axis=0)
  assert [p.k for p in line] == [1, 2, 4]
  for p in line:
    assert p.kl_estimate == pytest.approx(expected[p.k - 1])


def test_there_is_no_estimate_under_top_k_or_top_p(pools):
  records = records_of(pools, restricted=True)
  line = evaluate.pool_curves(pools, records, gold.GoldJudge())["en", "es"]
  assert [p.kl_estimate for p in line] == [None] * 3


def test_without_gold_the_targets_own_reward_model_judges(pools):
  records = records_of(pools, restricted=False)
  assert evaluate.pool_curves(pools, records, None) == {}
  scored = [
    dataclasses.replace(
      x, scores={**x.scores, "reward/es": x.scores["reward/en"]}
    )
    for x in pools
  ]
  found = evaluate.pool_curves(scored, records, None)
  # It agrees with the choice, so best-of-k wins k times in k + 1.
  for pair in (("en", "es"), ("es", "es")):
    for p in found[pair]:
      assert p.win_rate == pytest.approx(p.k / (p.k + 1))


def test_verdicts_and_swept_values_come_to_the_report(
  pools, tmp_path, monkeypatch
):
  made = []
  monkeypatch.setattr(
    evaluate.report, "write", lambda _, inputs: made.append(inputs) or {}
  )
  records = [
    dataclasses.replace(x, policy="nano") for x in records_of(pools, True)
  ]
  (run, other, judge) = (tmp_path / x for x in ("run", "report_n4", "judge"))
  for folder in (run, other, judge):
    folder.mkdir()
  records_lib.write(run / "records.jsonl", records)
  records_lib.write(other / "records.jsonl", records[:3])
  best = [x for x in records if x.method == "best_of_n"][0]
  (sample,) = (
    x for x in records if x.method == "sample" and x.prompt == best.prompt
  )
  said = [
    records_lib.Verdict(best.id, sample.id, "j", "first", "tie"),
    records_lib.Verdict(best.id, "elsewhere", "j", "first", "tie"),
  ]
  records_lib.write(judge / "verdicts.jsonl", said)
  folder = tmp_path / "my_study"
  evaluate.Evaluation(
    runs=[str(run)],
    model_dir=str(folder),
    verdicts=[str(judge)],
    judges=[gold.GoldJudge()],
    swept=[(str(folder), {"n": 5}), (str(other), {"n": 4})],
    study_folder=str(folder),
  ).run()
  (inputs,) = made
  assert inputs.study == "my_study"
  assert inputs.verdicts == said[:1]
  assert "1 of 2 verdicts in" in inputs.notes[-1]
  first, second = inputs.swept
  # Its own records have the scores of the judges, the others as they are.
  assert list(first.records) == list(inputs.records)
  assert all("gold" in x.scores for x in first.records)
  assert (list(second.records), second.values) == (records[:3], {"n": 4})
  with pytest.raises(FileNotFoundError, match="gone holds no verdicts"):
    (tmp_path / "gone").mkdir()
    evaluate.Evaluation(
      runs=[str(run)],
      model_dir=str(folder),
      verdicts=[str(tmp_path / "gone")],
    ).run()
