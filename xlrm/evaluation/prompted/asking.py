"""Asks a model many questions at once, each of them once.

Every answer is in the cache before it is used, so a job that was killed, or
that ended because the server went down, asks only what is missing.
"""

from collections.abc import Callable, Mapping, Sequence
import concurrent.futures
import dataclasses
import math
import random
import threading

from xlrm.evaluation.prompted import answer_cache
from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import pacing

BYTES_PER_TOKEN = 4.0  # of a prompt, until the server has told


@dataclasses.dataclass(frozen=True)
class Question:
  """A prompt to be asked.

  Attributes:
    prompt: the whole of it.
    order: which output it shows first; asked again in the other order.
    group: e.g. a cell of the transfer matrix; not part of what is asked.
  """

  prompt: str
  order: str
  group: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Asked:
  """What one run asked, and the answers.

  Attributes:
    answers: one per question, in their order.
    paid: keys that were asked in this run; the others were in the cache.
    keys: one per question; equal questions share one.
  """

  answers: Sequence[completions.Completion]
  keys: Sequence[str]
  paid: frozenset[str]


Watch = Callable[[Question, completions.Completion, bool], None]


def tokens(prompt: str, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
  """An estimate of the tokens of a prompt."""
  return math.ceil(len(prompt.encode()) / bytes_per_token)


class _Worker:
  """Answers one question in a thread, with patience."""

  def __init__(
    self,
    backend: completions.Backend,
    cache: answer_cache.AnswerCache,
    pace: pacing.Pace,
  ):
    self.pace, self.stop = pace, threading.Event()
    self._backend, self._cache = backend, cache
    self._limiter = pacing.Limiter(pace, self.stop)
    self._noise = random.Random()

  def __call__(
    self, key: str, asked: str, prompt: str
  ) -> completions.Completion | None:
    """None where all must stop; an error stops all."""
    try:
      answer = self._attempts(prompt)
      if answer is not None:
        self._cache.put(key, asked, answer)
      return answer
    except BaseException:
      self.stop.set()
      raise

  def _attempts(self, prompt: str) -> completions.Completion | None:
    size = tokens(prompt) + self._backend.max_output_tokens
    for attempt in range(self.pace.max_attempts):
      self._limiter.wait(size)
      if self.stop.is_set():
        return None
      try:
        return self._backend.complete(prompt)
      except completions.TemporaryError as error:
        failure = error
      seconds = self.pace.wait_seconds(attempt, failure, self._noise.random())
      if failure.retry_after is not None:
        self._limiter.pause(seconds)
      elif attempt + 1 < self.pace.max_attempts:
        self._limiter.sleep(seconds)
    raise completions.BackendError(
      f"{self._backend.model} gave no answer in {self.pace.max_attempts} "
      f"attempts; the last: {failure}"
    )


def ask(
  questions: Sequence[Question],
  backend: completions.Backend,
  cache: answer_cache.AnswerCache,
  pace: pacing.Pace = pacing.Pace(),
  watch: Watch | None = None,
) -> Asked:
  """The answers to all questions.

  Args:
    watch: called with each distinct question, its answer, and whether it was
      paid now; what it raises ends the job.

  Raises:
    BackendError: the model cannot be asked; what was answered is kept.
    CacheError: the same of the cache.
  """
  identity = backend.identity
  found = [
    answer_cache.key(identity, question.prompt, question.order)
    for question in questions
  ]
  distinct: dict[str, tuple[str, Question]] = {}
  for (key, asked), question in zip(found, questions, strict=True):
    distinct.setdefault(key, (asked, question))
  answers = cache.get(distinct)
  if watch:
    for key, answer in answers.items():
      watch(distinct[key][1], answer, False)
  missing = {
    key: value for key, value in distinct.items() if key not in answers
  }
  if missing:
    longest = max(len(asked.encode()) for asked, _ in missing.values())
    try:
      cache.reserve(pace.concurrency, longest)
      _ask_missing(missing, answers, _Worker(backend, cache, pace), watch)
    except (completions.BackendError, answer_cache.CacheError) as error:
      kept = len(answers) + cache.rescued
      raise type(error)(
        f"{error}. {kept} of {len(distinct)} answers are kept; the "
        "same command asks for the rest"
      ) from error
  return Asked(
    answers=[answers[key] for key, _ in found],
    keys=[key for key, _ in found],
    paid=frozenset(missing),
  )


def _ask_missing(
  missing: Mapping[str, tuple[str, Question]],
  answers: dict[str, completions.Completion],
  worker: _Worker,
  watch: Watch | None,
) -> None:
  """Adds to `answers`; when it raises, all that had been asked is in there."""
  pool = concurrent.futures.ThreadPoolExecutor(worker.pace.concurrency)
  futures = {
    pool.submit(worker, key, asked, question.prompt): key
    for key, (asked, question) in missing.items()
  }
  try:
    for future in concurrent.futures.as_completed(futures):
      key, answer = futures[future], future.result()
      if watch and answer is not None:  # None: another one has failed
        watch(missing[key][1], answer, True)
  finally:
    worker.stop.set()
    pool.shutdown(cancel_futures=True)  # waits for what was paid already
    for future, key in futures.items():
      if not future.cancelled() and future.exception() is None:
        if future.result() is not None:
          answers[key] = future.result()
