"""What a report is made from: nothing else gets into it."""

from collections.abc import Mapping, Sequence
import dataclasses

from xlrm.analysis import pool_curves as pool_curves_lib
from xlrm.analysis import transfer_matrices
from xlrm.evaluation import accuracy as accuracy_lib
from xlrm.evaluation import language_id
from xlrm.evaluation import records as records_lib

History = Sequence[Mapping[str, int | float]]


@dataclasses.dataclass(frozen=True)
class Expectations:
  """What a study promised beforehand; the report says where it falls short.

  Attributes:
    min_prompts: prompts per cell.
    win_rate: what the lower end of a cross-lingual win rate must exceed, of
      best-of-n and of PPO.
    accuracy_gain: of a reward model on OTHER languages, over the better of
      the majority and the length baseline.
    baseline_model: reward model that must NOT exceed the baselines by more
      than chance, an untrained head; absent if there is none of this name.
    sft_quality: mean score of one SFT sample by the gold judge.
    flat_change: most that `flat_metric` may still rise in the last quarter of
      SFT.
    flat_metric: of the training histories.
  """

  min_prompts: int = 300
  win_rate: float = 0.5
  accuracy_gain: float = 0.10
  baseline_model: str = "untrained head"
  sft_quality: float = 0.6
  flat_change: float = 0.02
  flat_metric: str = "validation/gold"


@dataclasses.dataclass(frozen=True)
class SweptPoint:
  """What came of a study at one point of its swept values.

  Attributes:
    values: axis, `temperature`, `n` or `kl` -> its value.
    records: of all seeds, scored by the judges.
    ppo_training: as in `ReportInputs`.
  """

  values: Mapping[str, float]
  records: Sequence[records_lib.EvalRecord]
  ppo_training: Mapping[str, History] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ReportInputs:
  """Everything that a report shows; every part but title and records may lack.

  Attributes:
    title: of the page.
    facts: what was run, label -> text.
    base_history: what the base model had seen before, oldest first.
    records: of one study, scored by the judges.
    study: its name; empty: what the records say.
    accuracy: reward models on held-out ratings.
    pool_curves: (source, target) -> win rate against n.
    curve_judge: who judged the curves.
    training: run, e.g. "SFT es", -> its rows of metrics.
    panels: run of PPO -> its panel, a PNG.
    ppo_training: policy, as records name it -> its run's rows of metrics.
    verdicts: of prompted judges and of people, on these records.
    swept: points of the swept values, that of `records` among them.
    configs: file name -> text, to run it again.
    versions: package -> version.
    notes: what a reader must know, one sentence each.
    judges: names of the judges to show, the deciding one first; empty means
      those that the records have, of gold, reward/{target}, chrf, rouge_l.
    expectations: what was promised; None for a study that promised nothing.
    num_examples: outputs shown side by side.
    identifier: names the language of an output; None: not measured.
  """

  title: str
  records: Sequence[records_lib.EvalRecord]
  study: str = ""
  facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
  base_history: Sequence[str] = ()
  accuracy: Sequence[accuracy_lib.AccuracyRow] = ()
  pool_curves: pool_curves_lib.Curves = dataclasses.field(default_factory=dict)
  curve_judge: str = "gold"
  training: Mapping[str, History] = dataclasses.field(default_factory=dict)
  panels: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
  ppo_training: Mapping[str, History] = dataclasses.field(default_factory=dict)
  verdicts: Sequence[records_lib.Verdict] = ()
  swept: Sequence[SweptPoint] = ()
  configs: Mapping[str, str] = dataclasses.field(default_factory=dict)
  versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
  notes: Sequence[str] = ()
  judges: Sequence[str] = ()
  expectations: Expectations | None = Expectations()
  num_examples: int = 12
  identifier: language_id.Identifier | None = None

  def __post_init__(self):
    if not self.title:
      raise ValueError("the report has no title")
    if not self.records:
      raise ValueError(f"the report {self.title!r} has no records")
    if self.num_examples < 0:
      raise ValueError(f"num_examples {self.num_examples} is below 0")


KNOWN_JUDGES = ("gold", f"reward/{transfer_matrices.TARGET}", "chrf", "rouge_l")


def judges_of(inputs: ReportInputs) -> tuple[str, ...]:
  """The judges to show, the deciding one first."""
  if inputs.judges:
    return tuple(inputs.judges)
  return tuple(
    judge
    for judge in KNOWN_JUDGES
    if any(
      judge.replace(transfer_matrices.TARGET, record.target) in record.scores
      for record in inputs.records
    )
  )
