"""What reward models say of judgments, language by language.

Each reward model is loaded, asked about the held-out judgments and some
training judgments of every language, and let go.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from xlrm.batches import batch_sources
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import processes
from xlrm.distributed import row_shards
from xlrm.evaluation import accuracy
from xlrm.evaluation import agreement
from xlrm.evaluation import diagnosis
from xlrm.evaluation import judgments as judgments_lib
from xlrm.jobs import random_heads
from xlrm.rewards import reward_models

Asked = reward_models.RewardModel | random_heads.RandomHeads


def load_judge(
  spec: reward_models.Spec,
  lengths: Mapping[str, int],
  seed: int = 0,
  mesh: jax.sharding.Mesh | None = None,
) -> Asked:
  """A reward model; of a language model the backbone under random heads."""
  if isinstance(spec, str) and not spec.startswith(pretrained.VERDICT):
    kind = model_files.read_description(spec).kind
    if kind != model_description.RESPONSE_SCORER:
      return random_heads.load(spec, lengths, seed, mesh)
  return reward_models.load(spec).on(mesh)


def _accuracy_row(
  name: str,
  language: str,
  judgments: judgments_lib.Judgments,
  trials,
  baselines: judgments_lib.Baselines,
) -> accuracy.AccuracyRow:
  return accuracy.accuracy_row(
    name,
    language,
    scores=trials.scores,
    ratings=trials.ratings,
    lengths=trials.lengths,
    baseline=baselines.length,
    faults=None if judgments.ranks else judgments.faults,
    majority_good=baselines.majority_good,
    prompts=trials.prompts,
  )


def accuracy_of_heads(
  name: str,
  language: str,
  heads: random_heads.RandomHeads,
  judgments: judgments_lib.Judgments,
  baselines: judgments_lib.Baselines,
  batch_size: int,
) -> accuracy.AccuracyRow:
  """The mean over random heads; processes share out the texts."""
  counts = [len(group) for group in judgments.texts]
  prompts = [x for x, n in zip(judgments.prompts, counts) for _ in range(n)]
  texts = [x for group in judgments.texts for x in group]
  by_text = row_shards.each(
    len(texts),
    lambda own: heads.scores(prompts[own], texts[own], batch_size).T,
  )
  return processes.on_first(
    _mean_over_heads, name, language, np.stack(by_text).T, judgments, baselines
  )


def _mean_over_heads(
  name: str,
  language: str,
  scores_of_heads: np.ndarray,
  judgments: judgments_lib.Judgments,
  baselines: judgments_lib.Baselines,
) -> accuracy.AccuracyRow:
  """
  Args:
    scores_of_heads: [heads, texts].
  """
  counts = [len(group) for group in judgments.texts]
  ends = np.cumsum(counts)[:-1]
  blank = judgments.scored([[0.0] * count for count in counts]).trials
  rows = []
  for scores in scores_of_heads:
    if judgments.ranks:
      groups = [x.tolist() for x in np.split(scores, ends)]
      trials = judgments.scored(groups).trials
    else:
      trials = dataclasses.replace(blank, scores=scores)
    rows.append(_accuracy_row(name, language, judgments, trials, baselines))
  return accuracy.mean_row(rows)


@dataclasses.dataclass
class DiagnosisResults:
  """What the job found, in the order of languages and reward models."""

  accuracies: list[accuracy.AccuracyRow]
  rows: list[diagnosis.DiagnosisRow]
  agreements: dict[str, agreement.Agreement]
  scores: list[dict[str, Any]]
  notes: list[str]


def _splits(
  source: batch_sources.BatchSource, split: str, language: str, most: int
) -> tuple[
  judgments_lib.Judgments, judgments_lib.Judgments, judgments_lib.Judgments
]:
  """Held-out rows, all training rows, and those of them that are scored."""
  held_out = source.examples(split)
  if not held_out:
    raise ValueError(f"{language}: the split {split!r} has no judgments")
  try:
    training = source.examples("train")
  except ValueError:  # there is no such split
    training = []
  some = np.linspace(0, len(training) - 1, min(most, len(training))).astype(int)
  return (
    judgments_lib.Judgments.of_rows(held_out),
    judgments_lib.Judgments.of_rows(training),
    judgments_lib.Judgments.of_rows([training[i] for i in some]),
  )


@dataclasses.dataclass(frozen=True)
class AskedLanguage:
  """What reward models are asked in one language."""

  code: str
  held_out: judgments_lib.Judgments
  seen: judgments_lib.Judgments
  baselines: judgments_lib.Baselines


def _language(
  code: str,
  source: batch_sources.BatchSource,
  split: str,
  max_training_rows: int,
  found: DiagnosisResults,
) -> AskedLanguage:
  held_out, training, seen = _splits(source, split, code, max_training_rows)
  if not len(training):
    found.notes.append(
      f"{code} has no training split: its baselines are fitted on the {split} "
      "judgments themselves, where they can only look better, and no "
      "temperature is fitted."
    )
  people = agreement.of_duplicates(
    held_out.keys if held_out.ratings else [], held_out.ratings
  )
  if people is not None:
    found.agreements[code] = people
  baselines = judgments_lib.Baselines.fit(
    training if len(training) else held_out
  )
  return AskedLanguage(code, held_out, seen, baselines)


def _rows(
  name: str,
  language: AskedLanguage,
  scores: Sequence[Sequence[float]],
  training_scores: Sequence[Sequence[float]] | None,
) -> tuple[accuracy.AccuracyRow, diagnosis.DiagnosisRow]:
  scored, before = language.held_out.scored(scores), None
  if training_scores is not None:
    before = language.seen.scored(training_scores)
  return (
    _accuracy_row(
      name, language.code, language.held_out, scored.trials, language.baselines
    ),
    diagnosis.diagnosis_row(name, language.code, scored, before),
  )


def _ask_one(
  name: str,
  judge: reward_models.RewardModel,
  language: AskedLanguage,
  batch_size: int,
  found: DiagnosisResults,
) -> None:
  """Adds what a reward model says in one language."""
  size = row_shards.batch_size(batch_size, judge.mesh)

  def score(of: judgments_lib.Judgments) -> list[list[float]]:
    return row_shards.each(
      len(of),
      lambda own: judge.score(of.prompts[own], of.texts[own], batch_size=size),
    )

  judge.read()
  held_out, seen = language.held_out, language.seen
  scores = score(held_out)
  before = score(seen) if len(seen) else None
  of_language, row = processes.on_first(_rows, name, language, scores, before)
  found.accuracies.append(of_language)
  found.rows.append(row)
  found.scores += [
    {
      "reward_model": name,
      "language": language.code,
      "id": example_id,
      "scores": group,
    }
    for example_id, group in zip(held_out.ids, scores)
  ]


def ask(
  rewards: Mapping[str, reward_models.Spec],
  sources: Mapping[str, batch_sources.BatchSource],
  *,
  lengths: Mapping[str, int],
  split: str,
  batch_size: int,
  max_training_rows: int,
  seed: int = 0,
  mesh: jax.sharding.Mesh | None = None,
) -> DiagnosisResults:
  """Loads one reward model after another and asks it in every language."""
  found = DiagnosisResults([], [], {}, [], [])
  languages = [
    _language(code, source, split, max_training_rows, found)
    for code, source in sources.items()
  ]
  for name, spec in rewards.items():
    judge = load_judge(spec, lengths, seed, mesh)
    for language in languages:
      if isinstance(judge, random_heads.RandomHeads):
        row = accuracy_of_heads(
          name,
          language.code,
          judge,
          language.held_out,
          language.baselines,
          batch_size,
        )
        found.accuracies.append(row)
      else:
        _ask_one(name, judge, language, batch_size, found)
  order = list(sources)
  for rows in (found.accuracies, found.rows):
    rows.sort(key=lambda row: order.index(row.language))
  return found
