"""Job: what reward models know of languages that they never saw.

Each reward model scores the held-out judgments of every language, ratings or
rankings, and some training judgments. From the scores come the accuracy
matrix, never without the majority and the length baseline beside it, and what
else a reader should know before trusting them: the gap between training and
held-out rows, calibration, length, words. Each as figure, CSV and JSON.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np

from xlrm.analysis.reports import diagnosis_page
from xlrm.analysis.reports import diagnosis_tables
from xlrm.batches import batch_sources
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import row_shards
from xlrm.evaluation import accuracy
from xlrm.evaluation import accuracy_files
from xlrm.evaluation import agreement
from xlrm.evaluation import diagnosis
from xlrm.evaluation import judgments as judgments_lib
from xlrm.jobs import random_heads
from xlrm.rewards import reward_models
from xlrm.storage import files
from xlrm.storage import row_files

ACCURACY = "accuracy.json"
SCORES = "scores.jsonl"
PAGE = "diagnosis.html"
Judge = reward_models.RewardModel | random_heads.RandomHeads


def load_judge(
  spec: reward_models.Spec,
  lengths: Mapping[str, int],
  seed: int = 0,
  mesh: jax.sharding.Mesh | None = None,
) -> Judge:
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
class Results:
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
class Language:
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
  found: Results,
) -> Language:
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
  return Language(code, held_out, seen, baselines)


def _rows(
  name: str,
  language: Language,
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


def _ask(
  name: str,
  judge: reward_models.RewardModel,
  language: Language,
  batch_size: int,
  found: Results,
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


def diagnose(
  rewards: Mapping[str, reward_models.Spec],
  sources: Mapping[str, batch_sources.BatchSource],
  *,
  lengths: Mapping[str, int],
  split: str,
  batch_size: int,
  max_training_rows: int,
  seed: int = 0,
  mesh: jax.sharding.Mesh | None = None,
) -> Results:
  """Loads one reward model after another and asks it in every language."""
  found = Results([], [], {}, [], [])
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
        _ask(name, judge, language, batch_size, found)
  order = list(sources)
  for rows in (found.accuracies, found.rows):
    rows.sort(key=lambda row: order.index(row.language))
  return found


def write(directory: pathlib.Path, found: Results, title: str) -> None:
  """Writes tables, figures, the page and every score."""
  accuracy_files.write(directory / ACCURACY, found.accuracies)
  tables = diagnosis_tables.all_tables(
    found.accuracies, found.rows, found.agreements
  )
  for table in tables:
    files.write_text(directory / f"{table.name}.csv", table.csv())
  row_files.write(
    directory / SCORES,
    (json.dumps(x, ensure_ascii=False) for x in found.scores),
  )
  try:
    drawn = diagnosis_page.drawings(tables, found.rows)
  except ImportError as error:
    print(f"no figures: {error}", flush=True)
    return
  for name, svg in drawn.items():
    files.write_text(directory / f"{name}.svg", svg)
  page = diagnosis_page.render(title, tables, drawn, found.notes)
  files.write_text(directory / PAGE, page)


def run(
  *,
  sources: Mapping[str, batch_sources.BatchSource],
  rewards: Mapping[str, reward_models.Spec],
  model_dir: str,
  lengths: Mapping[str, int],
  split: str = "test",
  batch_size: int = 64,
  max_training_rows: int = 200,
  title: str = "What reward models know of languages they never saw",
  seed: int = 0,
  mesh: meshes.MeshConfig = meshes.MeshConfig(),
  dry_run: bool | str = False,
) -> list[accuracy.AccuracyRow]:
  """Writes tables, figures and one page, and prints the accuracy.

  Args:
    sources: language to its ratings or rankings. Rows that were rated twice
      also show how far people agree.
    rewards: name to a reward model or an ensemble (see `scorer.load`), or to a
      language model, which gets RANDOM_HEADS random heads; the row is their
      mean.
    lengths: tokens that a random head's model reads.
    split: held-out split.
    batch_size: prompts scored together, in all processes.
    max_training_rows: of each language, scored for the gap to held-out rows
      and to fit a temperature; 0 leaves both out.
    title: of the page.
    seed: of random heads.
    mesh: spreads weights and rows.
    dry_run: print the plan, score nothing.
  """
  if dry_run:
    print(f"accuracy of {', '.join(rewards)} on {', '.join(sources)}")
    return []
  found = diagnose(
    rewards,
    sources,
    lengths=lengths,
    split=split,
    batch_size=batch_size,
    max_training_rows=max_training_rows,
    seed=seed,
    mesh=mesh.build_own(),
  )
  processes.on_first(write, files.local(model_dir), found, title)
  for note in found.notes:
    print(note)
  print(accuracy.table(found.accuracies), flush=True)
  return found.accuracies
