"""Job: a prompted judge compares the outputs of two methods.

Reads records of a study, asks both orders of every pair, writes
`records.Verdict` lines and prints win rates. Every answer goes to a cache
before it is used: a job that was killed asks only what is missing, and one
that is done costs nothing again and needs no network.
"""

from collections.abc import Sequence
import dataclasses
import pathlib
import sys

import tqdm

from xlrm.analysis import verdict_matrices
from xlrm.analysis import verdict_tables
from xlrm.distributed import processes
from xlrm.evaluation import language_id
from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import pairing
from xlrm.evaluation import records as records_lib
from xlrm.evaluation.prompted import answer_cache
from xlrm.evaluation.prompted import asking
from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import judge_templates
from xlrm.evaluation.prompted import pacing
from xlrm.evaluation.prompted import prices as prices_lib
from xlrm.evaluation.prompted import prompted_judge
from xlrm.storage import files

CACHE = "answers.sqlite"  # beside the output, where no other is named


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Who is compared, and how a judge is asked about it.

  Attributes:
    method: whose wins are counted.
    baseline: against whom.
    template: shipped, or a file, see `judge_templates`.
    name: the judge's in verdicts; None is 'MODEL:TEMPLATE'.
    max_invalid: share of a cell's pairs that were asked about and may be
      without a verdict.
  """

  method: str = "best_of_n"
  baseline: str = "sample"
  template: str = "summarization/overall"
  name: str | None = None
  max_invalid: float = 0.1


def read_records(
  patterns: str | Sequence[str],
) -> list[records_lib.EvalRecord]:
  """The records of all files that paths or globs mean.

  Raises:
    ValueError: a record stands in two places.
  """
  patterns = [patterns] if isinstance(patterns, str) else patterns
  found, places = [], {}
  for path in (x for pattern in patterns for x in files.expand(pattern)):
    for record in records_lib.read(path, records_lib.EvalRecord):
      if record.id in places:
        raise ValueError(
          f"{path}: the record {record.id} stands in {places[record.id]}, too"
        )
      places[record.id] = path
      found.append(record)
  return found


def _left_out(paired: pairing.Paired) -> str:
  """'12 pairs of 3 cells; 2 prompts left out ...'."""
  alone = {cell: n for cell, n in paired.unpaired.items() if n}
  text = f"{len(paired.pairs)} pairs in {len(paired.unpaired)} cells"
  if alone:
    cells = ", ".join(
      f"{verdict_tables.cell(*x)} {n}" for x, n in alone.items()
    )
    text += (
      f"; {sum(alone.values())} prompts left out, which one side only answers: "
      f"{cells}"
    )
  return text


@dataclasses.dataclass(frozen=True)
class JudgingPlan:
  """What a judge would be asked, and what that would cost.

  Attributes:
    pairs: how many are compared, and what was left out.
    questions: both orders of every pair.
    distinct: of these.
    answered: of these, in the cache.
    cache: file of answers.
    bill: of the others, at most.
    bytes_per_token: that the bill is estimated with.
  """

  pairs: str
  questions: int
  distinct: int
  answered: int
  cache: pathlib.Path
  bill: prices_lib.Bill
  bytes_per_token: float

  def text(self) -> str:
    """The plan in lines."""
    told = "measured on the cached ones" if self.answered else "a guess"
    lines = [
      self.pairs,
      f"{self.questions} questions, {self.distinct} of them distinct, "
      f"{self.answered} answered in {self.cache}",
      f"to ask: at most {self.bill.text()} ({self.bytes_per_token:.1f} bytes "
      f"per token: {told})",
    ]
    if self.bill.dollars is None:
      lines.append(
        "no price: give both, in dollars per million tokens (--input_price, "
        "--output_price)"
      )
    return "\n".join(lines)


def _check_invalid(
  counted: Sequence[verdict_matrices.VerdictCounts],
  watch: prompted_judge.InvalidWatch,
) -> None:
  for one in counted:
    asked = len(one.pairs) - one.identical
    invalid = one.count(pair_verdicts.INVALID)
    if asked and invalid / asked > watch.max_invalid:
      cell = (one.source, one.target) if one.source else (one.target,)
      watch.refuse(cell, invalid, asked, "pairs that were asked about")


def _ask(questions, backend, cache, pace, watch) -> asking.Asked:
  with tqdm.tqdm(
    total=len({(x.prompt, x.order) for x in questions}),
    desc="judge",
    unit="answer",
    disable=not sys.stderr.isatty(),
  ) as bar:

    def seen(question, answer, paid):
      bar.update()
      watch(question, answer, paid)

    with answer_cache.AnswerCache(cache) as opened:
      return asking.ask(questions, backend, opened, pace, seen)


def _bills(asked: asking.Asked, prices: prices_lib.Prices) -> str:
  answers = dict(zip(asked.keys, asked.answers, strict=True))
  paid = prices_lib.bill((answers[key] for key in asked.paid), prices)
  whole = prices_lib.bill(answers.values(), prices)
  return f"asked now: {paid.text()}\nwith the cached: {whole.text()}"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Judging:
  """A judge's verdicts on every pair of outputs, in both orders.

  Attributes:
    records: files or globs of the records of one study.
    output: .jsonl or .jsonl.gz file of verdicts.
    backend: who judges.
    comparison: what is compared, and how it is asked.
    pace: how many requests at once, and how often.
    prices: of tokens.
    cache: SQLite file of answers; None is CACHE beside the output.
  """

  records: str | Sequence[str]
  output: str
  backend: completions.Backend
  comparison: Comparison = Comparison()
  pace: pacing.Pace = pacing.Pace()
  prices: prices_lib.Prices = prices_lib.Prices()
  cache: str | None = None

  def plan(self, devices: str | None = None) -> JudgingPlan:
    """Prices the job; asks and writes nothing."""
    del devices  # nothing runs on them
    opened = self._open()
    questions, identity = opened.questions, self.backend.identity
    keys = [answer_cache.key(identity, x.prompt, x.order)[0] for x in questions]
    prompts = dict(zip(keys, (x.prompt for x in questions)))
    known = answer_cache.peek(self._cache, prompts)
    missing = [prompt for key, prompt in prompts.items() if key not in known]
    ratio = prices_lib.bytes_per_token(
      [prompts[key] for key in known], list(known.values())
    )
    return JudgingPlan(
      pairs=f"{opened.judge}: {_left_out(opened.paired)}",
      questions=len(questions),
      distinct=len(prompts),
      answered=len(known),
      cache=self._cache,
      bill=prices_lib.estimate(
        missing, self.backend.max_output_tokens, self.prices, ratio
      ),
      bytes_per_token=ratio,
    )

  def run(self) -> list[records_lib.Verdict]:
    """Judges; writes both verdicts of every pair, as JSON lines.

    Of several processes the first one asks, and the others wait for it.

    Raises:
      ValueError: records that cannot be paired; too many answers are invalid.
      BackendError, CacheError: the judge cannot be asked, or its answers cannot
        be kept.
    """
    return processes.alone_on_first(self._run)

  @property
  def _cache(self) -> pathlib.Path:
    if self.cache:
      return files.local(self.cache)
    return files.local(self.output).with_name(CACHE)

  def _open(self) -> "_Opened":
    comparison = self.comparison
    template = judge_templates.Template.load(comparison.template)
    judge = comparison.name or f"{self.backend.model}:{template.name}"
    watch = prompted_judge.InvalidWatch(comparison.max_invalid, judge)
    paired = pairing.pair(
      read_records(self.records), comparison.method, comparison.baseline
    )
    questions = prompted_judge.questions(paired.pairs, template)
    return _Opened(judge, watch, paired, questions)

  def _run(self) -> list[records_lib.Verdict]:
    comparison, opened = self.comparison, self._open()
    paired, watch = opened.paired, opened.watch
    print(f"{opened.judge}: {_left_out(paired)}", flush=True)
    target = files.local(self.output)
    asked = _ask(opened.questions, self.backend, self._cache, self.pace, watch)
    verdicts = prompted_judge.verdicts(
      paired.pairs, opened.judge, asked, self.prices
    )
    counted = verdict_matrices.verdict_counts(paired, verdicts)
    print(_bills(asked, self.prices), flush=True)
    _check_invalid(counted, watch)
    records_lib.write(target, verdicts)
    identifier = language_id.load(
      code for x in paired.pairs for code in (x.ours.language, x.ours.source)
    )
    methods = comparison.method, comparison.baseline
    print(verdict_tables.text(counted, *methods))
    print(verdict_tables.languages(counted, identifier))
    print(f"{len(verdicts)} verdicts: {target}", flush=True)
    return verdicts


@dataclasses.dataclass(frozen=True)
class _Opened:
  """What planning and judging begin with."""

  judge: str  # its name in verdicts
  watch: prompted_judge.InvalidWatch
  paired: pairing.Paired
  questions: Sequence[asking.Question]
