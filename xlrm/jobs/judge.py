"""Job: a prompted judge compares the outputs of two methods.

Reads records of a study, asks both orders of every pair, writes
`records.Verdict` lines and prints win rates. Every answer goes to a cache
before it is used: a job that was killed asks only what is missing, and one
that is done costs nothing again and needs no network.
"""

from collections.abc import Sequence
import dataclasses
import functools
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


def _plan(
  questions: Sequence[asking.Question],
  backend: completions.Backend,
  cache: pathlib.Path,
  prices: prices_lib.Prices,
) -> str:
  """What the job would ask and cost."""
  identity = backend.identity
  keys = [answer_cache.key(identity, x.prompt, x.order)[0] for x in questions]
  prompts = dict(zip(keys, (x.prompt for x in questions)))
  known = answer_cache.peek(cache, prompts)
  missing = [prompt for key, prompt in prompts.items() if key not in known]
  ratio = prices_lib.bytes_per_token(
    [prompts[key] for key in known], list(known.values())
  )
  bill = prices_lib.estimate(missing, backend.max_output_tokens, prices, ratio)
  told = "measured on the cached ones" if known else "a guess"
  lines = [
    f"{len(questions)} questions, {len(prompts)} of them distinct, "
    f"{len(known)} answered in {cache}",
    f"to ask: at most {bill.text()} ({ratio:.1f} bytes per token: {told})",
  ]
  if bill.dollars is None:
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


def run(
  *,
  records: str | Sequence[str],
  output: str,
  backend: completions.Backend,
  comparison: Comparison = Comparison(),
  pace: pacing.Pace = pacing.Pace(),
  prices: prices_lib.Prices = prices_lib.Prices(),
  cache: str | None = None,
  dry_run: bool | str = False,
) -> list[records_lib.Verdict]:
  """Judges; writes both verdicts of every pair to `output`, as JSON lines.

  Of several processes the first one asks, and the others wait for it.

  Args:
    records: files or globs of the records of one study.
    output: .jsonl or .jsonl.gz file.
    backend: who judges.
    comparison: what is compared, and how it is asked.
    pace: how many requests at once, and how often.
    prices: of tokens.
    cache: SQLite file of answers; None is CACHE beside the output.
    dry_run: price the job; ask and write nothing.

  Raises:
    ValueError: records that cannot be paired; too many answers are invalid.
    BackendError, CacheError: the judge cannot be asked, or its answers cannot
      be kept.
  """
  return processes.alone_on_first(
    functools.partial(
      _judge,
      records=records,
      target=files.local(output),
      backend=backend,
      comparison=comparison,
      pace=pace,
      prices=prices,
      cache=cache,
      dry_run=dry_run,
    )
  )


def _judge(
  *,
  records: str | Sequence[str],
  target: pathlib.Path,
  backend: completions.Backend,
  comparison: Comparison,
  pace: pacing.Pace,
  prices: prices_lib.Prices,
  cache: str | None,
  dry_run: bool | str,
) -> list[records_lib.Verdict]:
  """See `run`."""
  template = judge_templates.Template.load(comparison.template)
  judge = comparison.name or f"{backend.model}:{template.name}"
  watch = prompted_judge.InvalidWatch(comparison.max_invalid, judge)
  place = files.local(cache) if cache else target.with_name(CACHE)
  found = read_records(records)
  paired = pairing.pair(found, comparison.method, comparison.baseline)
  questions = prompted_judge.questions(paired.pairs, template)
  print(f"{judge}: {_left_out(paired)}", flush=True)
  if dry_run:
    print(_plan(questions, backend, place, prices))
    return []
  asked = _ask(questions, backend, place, pace, watch)
  verdicts = prompted_judge.verdicts(paired.pairs, judge, asked, prices)
  counted = verdict_matrices.verdict_counts(paired, verdicts)
  print(_bills(asked, prices), flush=True)
  _check_invalid(counted, watch)
  records_lib.write(target, verdicts)
  identifier = language_id.load(
    code for x in paired.pairs for code in (x.ours.language, x.ours.source)
  )
  print(verdict_tables.text(counted, comparison.method, comparison.baseline))
  print(verdict_tables.languages(counted, identifier))
  print(f"{len(verdicts)} verdicts: {target}", flush=True)
  return verdicts
