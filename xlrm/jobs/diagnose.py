"""Job: what reward models know of languages that they never saw.

Each reward model scores the held-out judgments of every language, ratings or
rankings, and some training judgments. From the scores come the accuracy
matrix, never without the majority and the length baseline beside it, and what
else a reader should know before trusting them: the gap between training and
held-out rows, calibration, length, words. Each as figure, CSV and JSON.
"""

from collections.abc import Mapping
import dataclasses
import json
import pathlib

from xlrm.analysis.reports import diagnosis_page
from xlrm.analysis.reports import diagnosis_tables
from xlrm.batches import batch_sources
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.evaluation import accuracy
from xlrm.evaluation import accuracy_files
from xlrm.jobs import asked_judgments
from xlrm.jobs import job
from xlrm.rewards import reward_models
from xlrm.storage import files
from xlrm.storage import row_files

ACCURACY = "accuracy.json"
SCORES = "scores.jsonl"
PAGE = "diagnosis.html"


def write(
  directory: pathlib.Path, found: asked_judgments.DiagnosisResults, title: str
) -> None:
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


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
  """Tables, figures and one page on what reward models know.

  Attributes:
    sources: language to its ratings or rankings. Rows that were rated twice
      also show how far people agree.
    rewards: name to a reward model or an ensemble (see `reward_models.load`),
      or to a language model, which gets RANDOM_HEADS random heads; the row is
      their mean.
    model_dir: folder of everything that the job writes.
    lengths: tokens that a random head's model reads.
    split: held-out split.
    batch_size: prompts scored together, in all processes.
    max_training_rows: of each language, scored for the gap to held-out rows
      and to fit a temperature; 0 leaves both out.
    title: of the page.
    seed: of random heads.
    mesh: spreads weights and rows.
  """

  sources: Mapping[str, batch_sources.BatchSource]
  rewards: Mapping[str, reward_models.Spec]
  model_dir: str
  lengths: Mapping[str, int]
  split: str = "test"
  batch_size: int = 64
  max_training_rows: int = 200
  title: str = "What reward models know of languages they never saw"
  seed: int = 0
  mesh: meshes.MeshConfig = meshes.MeshConfig()

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """Who is asked in which languages; nothing is read."""
    del devices  # no memory is planned
    return job.JobPlan(
      f"accuracy of {', '.join(self.rewards)} on {', '.join(self.sources)}; "
      f"into {self.model_dir}",
    )

  def run(self) -> list[accuracy.AccuracyRow]:
    """Writes tables, figures and the page, and prints the accuracy."""
    found = asked_judgments.ask(
      self.rewards,
      self.sources,
      lengths=self.lengths,
      split=self.split,
      batch_size=self.batch_size,
      max_training_rows=self.max_training_rows,
      seed=self.seed,
      mesh=self.mesh.build_own(),
    )
    processes.on_first(write, files.local(self.model_dir), found, self.title)
    for note in found.notes:
      print(note)
    print(accuracy.table(found.accuracies), flush=True)
    return found.accuracies
