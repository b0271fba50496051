"""A made-up study for tests: random scores, outputs that look like outputs."""

import dataclasses

import numpy as np

from xlrm.analysis import pool_curves
from xlrm.analysis import report_inputs
from xlrm.evaluation import accuracy
from xlrm.evaluation import records
from xlrm.miniworld import identification
from xlrm.miniworld import world_rows

SOURCES = ("en", "de")
TARGETS = ("es", "ru")
PPO_PAIR = ("en", "es")
FAULTS = (
  "missed_point",
  "not_concise",
  "repetitive",
  "ungrammatical",
  "wrong_name",
  "wrong_number",
)


def _record(method, source, row, output, scores, **fields):
  return records.EvalRecord(
    study="demo",
    method=method,
    source=source,
    target=row.language,
    seed=0,
    task=f"miniworld_summary.{row.language}",
    dataset="miniworld",
    language=row.language,
    example_id=row.id,
    sample=0,
    input=row.document,
    reference=row.summary,
    output=output,
    policy=f"{'ppo' if method == 'ppo' else 'sft'}_{row.language}",
    scores={name: float(value) for name, value in scores.items()},
    **fields,
  )


def make_records(num_prompts=60, lift=0.12, seed=0):
  """`lift` is how much best-of-n raises the chance of a good output."""
  rng = np.random.default_rng(seed)
  result = []
  for target in TARGETS:
    prompts = world_rows.summary_rows(target, "test", 0, num_prompts)
    for i, row in enumerate(prompts):
      wrong = prompts[(i + 1) % num_prompts].summary

      def answer(method, source, chance, row=row, wrong=wrong, **fields):
        good = rng.random() < chance
        gold = 1.0 if good else float(rng.choice([0.35, 0.6, 0.12]))
        scores = {"gold": gold}
        for name in dict.fromkeys((*SOURCES, row.language)):
          scores[f"reward/{name}"] = round(3 * gold - 1.5 + rng.normal(), 3)
        output = row.summary if good else wrong
        return _record(method, source, row, output, scores, **fields)

      result.append(answer("sample", "", 0.62))
      result.append(answer("greedy", "", 0.70))
      for source in (*SOURCES, target):
        gain = lift * (1.4 if source == target else 1.0)
        result.append(
          answer("best_of_n", source, 0.62 + gain, rank=0, pool={"n": 16})
        )
      if target == PPO_PAIR[1]:
        result.append(answer("ppo", PPO_PAIR[0], 0.62 + lift))
  return result


def make_ppo_training(seed=0):
  rng = np.random.default_rng(seed)
  rows = [
    {"step": step, "objective/kl": step / 40 + 0.1 * rng.random()}
    for step in range(1, 41)
  ]
  return {f"ppo_{PPO_PAIR[1]}": rows}


def make_accuracy(seed=0):
  rng = np.random.default_rng(seed)
  result = []
  for model in ("untrained head", *SOURCES, *TARGETS):
    for language in (*SOURCES, *TARGETS):
      skill = 0.0 if model == "untrained head" else 1.6 + (model == language)
      ratings = (rng.random(400) < 0.52).astype(float)
      faults = [
        "none" if x > 0.5 else FAULTS[i % 6] for i, x in enumerate(ratings)
      ]
      weak = np.array([x in ("wrong_name", "missed_point") for x in faults])
      signal = (2 * ratings - 1) * skill * np.where(weak, 0.3, 1.0)
      lengths = 10 + 2 * (1 - ratings) + rng.normal(size=400) * 3
      result.append(
        accuracy.accuracy_row(
          model,
          language,
          scores=signal + rng.normal(size=400),
          ratings=ratings,
          lengths=lengths,
          baseline=accuracy.LengthBaseline(11.0, longer_is_better=False),
          faults=faults,
        )
      )
  return result


def make_curves(seed=0):
  rng = np.random.default_rng(seed)
  result = {}
  for target in TARGETS:
    for source in (*SOURCES, target):
      pools = []
      for _ in range(300):
        judged = rng.choice([0.2, 0.6, 1.0], 17, p=[0.3, 0.2, 0.5])
        noise = rng.normal(size=17) * (1.5 if source == target else 2.5)
        logprobs = -rng.exponential(8.0, 17)
        pools.append(pool_curves.Pool(judged + noise, judged, logprobs))
      result[source, target] = pool_curves.win_rate_curve(pools)
  return result


def make_training(seed=0):
  rng = np.random.default_rng(seed)
  result = {}
  for kind, steps in (("SFT", 60), ("reward model", 200)):
    for language in (*SOURCES, *TARGETS):
      history = []
      for step in range(10, steps + 1, 10):
        decay = np.exp(-step / steps * 4)
        row = {"step": step, "train/loss": 0.4 + decay + 0.02 * rng.normal()}
        if step % 20 == 0:
          row["validation/loss"] = 0.45 + decay + 0.02 * rng.normal()
          if kind == "SFT":
            row["validation/rouge_l"] = 0.8 - 0.5 * decay
            row["validation/gold"] = 0.8 - 0.5 * decay
        history.append(
          {k: v if k == "step" else float(v) for k, v in row.items()}
        )
      result[f"{kind} {language}"] = history
  return result


def make_small_inputs(**changes):
  """Records only: quick to render."""
  bare = {
    "accuracy": (),
    "pool_curves": {},
    "training": {},
    "ppo_training": {},
  }
  return make_inputs(**{**bare, **changes})


def make_inputs(**changes):
  inputs = report_inputs.ReportInputs(
    title="xlrm demo: do reward models cross languages?",
    facts={
      "Policy": "nano, 0.97 M parameters, 1,600 pieces",
      "Sources": "English, German",
      "Targets": "Spanish, Russian",
      "SFT": "60 steps, batch 32, Adafactor 1e-3",
      "Reward models": "200 steps, encoder and embeddings frozen",
      "Sampling": "temperature 1.0, n = 16",
      "Seeds": "0",
    },
    base_history=(
      "span corruption on six languages, 18,000 documents",
      "translation pairs; replaced-token detection; no ratings",
    ),
    records=make_records(),
    accuracy=make_accuracy(),
    pool_curves=make_curves(),
    training=make_training(),
    ppo_training=make_ppo_training(),
    identifier=identification.WordIdentifier(),
    configs={"best_of_n.gin": "N = 16\n# <script>alert(1)</script>\n"},
    versions={"xlrm": "0.1.0", "jax": "0.10.0", "python": "3.11.7"},
    notes=("One seed: intervals are over prompts, not over seeds.",),
  )
  return dataclasses.replace(inputs, **changes)
