"""The real OpenAI client against a server as bad as real ones."""

import collections
import threading
import time

import fake_judge
import numpy as np
import pytest

from xlrm.evaluation.prompted import answer_cache
from xlrm.evaluation.prompted import asking
from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import judge_templates
from xlrm.evaluation.prompted import openai_server
from xlrm.evaluation.prompted import pacing

TEMPLATE = judge_templates.Template.load("summarization/overall")
QUICK = pacing.Pace(first_wait_seconds=0.01, max_attempts=4)
Reply = fake_judge.Reply


def questions(n):
  """n pairs, both orders: 2n prompts."""
  shown = [(f"{i} short", f"{i} longer text") for i in range(n)]
  return [
    asking.Question(
      TEMPLATE.prompt(
        language="English", input=f"d{i}", first=first, second=second
      ),
      order,
    )
    for i, (a, b) in enumerate(shown)
    for order, first, second in (("first", a, b), ("second", b, a))
  ]


def backend(server, **fields):
  return openai_server.OpenAIBackend("fake", server.base_url, **fields)


def ask(server, path, n=6, pace=QUICK, watch=None, **fields):
  with answer_cache.AnswerCache(path) as cache:
    return asking.ask(
      questions(n), backend(server, **fields), cache, pace, watch
    )


@pytest.fixture
def path(tmp_path):
  return tmp_path / "answers.sqlite"


def right(asked, n=6):
  """Every answer is that of its own question, in order."""
  expected = [fake_judge.longer(question.prompt) for question in questions(n)]
  return [answer.text for answer in asked.answers] == expected


def test_g26_counts_are_exact_and_a_rerun_is_free_and_offline(path):
  with fake_judge.FakeServer(fake_judge.sure) as server:
    first = ask(server, path)
    assert right(first) and len(first.paid) == 12
    assert len(server.requests) == len(server.answered) == 12
    assert {x.input_tokens for x in first.answers} == {fake_judge.INPUT_TOKENS}
  # The server is gone.
  again = ask(server, path)
  assert again.answers == first.answers and not again.paid


def test_the_request_is_what_was_asked_for(path):
  with fake_judge.FakeServer(fake_judge.fair) as server:
    ask(
      server,
      path,
      n=1,
      parameters={
        "temperature": 0.5,
        "logprobs": None,
        "top_logprobs": None,
        "seed": 3,
      },
    )
  (sent, _) = server.requests
  assert sent.pop("messages")[0]["role"] == "user"
  assert sent == {
    "model": "fake",
    "temperature": 0.5,
    "max_tokens": 16,
    "seed": 3,
  }


def test_other_parameters_and_another_model_are_other_questions(path):
  with fake_judge.FakeServer(fake_judge.fair) as server:
    ask(server, path, n=1)
    ask(server, path, n=1, parameters={"temperature": 1})
    assert len(server.requests) == 4
    ask(server, path, n=1, timeout_seconds=5.0)
    assert len(server.requests) == 4


def test_equal_questions_are_asked_once(path):
  twice = [*questions(2), *questions(2)]
  with fake_judge.FakeServer(fake_judge.fair) as server:
    with answer_cache.AnswerCache(path) as cache:
      asked = asking.ask(twice, backend(server), cache, QUICK)
  assert len(server.requests) == 4 == len(asked.paid)
  assert asked.answers[:4] == asked.answers[4:]


def flaky(prompt, attempt):
  """The first two attempts fail, each in another way."""
  if attempt < 2:
    number = int(fake_judge.shown(prompt)[0][0])
    return [
      Reply("broken", status=500),
      Reply("later", status=503),
      Reply("", body='{"choices": null}'),
      Reply("", body="<html>bad gateway</html>"),
    ][(number + attempt) % 4]
  return fake_judge.fair(prompt, attempt)


def test_g26_failures_are_asked_again_and_counted_once(path):
  with fake_judge.FakeServer(flaky) as server:
    asked = ask(server, path)
  assert right(asked)
  assert len(server.answered) == 12 and len(server.requests) == 36


def test_a_slow_request_is_given_up_and_asked_again(path):
  def slow_at_first(prompt, attempt):
    return Reply(fake_judge.longer(prompt), seconds=0.0 if attempt else 0.6)

  with fake_judge.FakeServer(slow_at_first) as server:
    start = time.monotonic()
    asked = ask(server, path, n=2, timeout_seconds=0.2)
    assert time.monotonic() - start < 4
  assert right(asked, n=2) and len(server.requests) == 8


def test_retry_after_holds_everybody(path):
  """One 429 in the beginning; nobody asks before its time is over."""
  seen = []

  def limited(prompt, attempt):
    seen.append(prompt)
    if len(seen) == 1:
      return Reply("slow down", status=429, headers={"Retry-After": "0.5"})
    # Those that were under way with it end when all know.
    seconds = 0.1 if len(seen) <= 4 else 0.0
    return Reply(fake_judge.longer(prompt), seconds=seconds)

  pace = pacing.Pace(concurrency=4, first_wait_seconds=0.01)
  with fake_judge.FakeServer(limited) as server:
    assert right(ask(server, path, pace=pace))
  assert len(server.requests) == 13 and len(server.answered) == 12
  elapsed = np.array(server.times) - server.times[0]
  assert (elapsed < 0.5).sum() <= 4


def test_a_spent_quota_is_not_asked_again(path):
  spent = Reply("no credit", status=429, headers={"Code": "insufficient_quota"})
  with fake_judge.FakeServer(lambda *_: spent) as server:
    with pytest.raises(completions.BackendError, match="429: .*no credit"):
      ask(server, path, pace=pacing.Pace(concurrency=1))
  assert len(server.requests) == 1


@pytest.mark.parametrize(
  ("status", "text", "said"),
  [
    (401, "bad key", "401: .*bad key.* 0 of 12 answers are kept"),
    (404, "no such model", "404: .*no such model"),
    (400, "logprobs are not supported", "'top_logprobs': None"),
  ],
)
def test_g28_what_cannot_work_ends_the_job_at_once(status, text, said, path):
  with fake_judge.FakeServer(lambda *_: Reply(text, status=status)) as server:
    with pytest.raises(completions.BackendError, match=said):
      ask(server, path)
    assert len(server.requests) <= QUICK.concurrency


def test_g28_an_unknown_parameter_is_named(path):
  with fake_judge.FakeServer(fake_judge.fair) as server:
    with pytest.raises(completions.BackendError, match="temprature"):
      ask(server, path, parameters={"temprature": 1})


def test_g26_a_server_that_goes_down_loses_no_paid_answer(path):
  """After seven answers everything fails; later it works again."""
  lock, given = threading.Lock(), collections.Counter()

  def dying(prompt, attempt):
    with lock:
      given["answers"] += 1
      if given["answers"] > 7:
        return Reply("gone", status=502)
    return fake_judge.fair(prompt, attempt)

  with fake_judge.FakeServer(dying) as server:
    pace = pacing.Pace(concurrency=3, max_attempts=2, first_wait_seconds=0.01)
    with pytest.raises(
      completions.BackendError,
      match="fake gave no answer in 2 attempts.*502.* 7 of 12 answers are kept",
    ):
      ask(server, path, pace=pace)
    assert len(server.answered) == 7
    server.mood = fake_judge.fair
    before = len(server.requests)
    assert right(ask(server, path))
    assert len(server.requests) - before == 5


def test_g28_nobody_listens(path):
  with fake_judge.FakeServer(fake_judge.fair) as server:
    pass
  with pytest.raises(completions.BackendError, match="127.0.0.1.*refused"):
    ask(server, path)


def test_no_more_requests_are_under_way_than_allowed(path):
  lock, now, most = threading.Lock(), [0], [0]

  def counting(prompt, attempt):
    with lock:
      now[0] += 1
      most[0] = max(most[0], now[0])
    time.sleep(0.02)
    with lock:
      now[0] -= 1
    return fake_judge.fair(prompt, attempt)

  with fake_judge.FakeServer(counting) as server:
    ask(server, path, pace=pacing.Pace(concurrency=3))
  assert most[0] == 3


def test_requests_per_minute_are_kept(path):
  """Request i comes 0.05 i seconds after the start, or later."""
  with fake_judge.FakeServer(fake_judge.fair) as server:
    start = time.monotonic()
    ask(server, path, n=4, pace=pacing.Pace(requests_per_minute=60 / 0.05))
  elapsed = np.sort(server.times) - start
  assert (elapsed >= 0.05 * np.arange(8)).all()


def test_g26_nothing_is_used_that_is_not_on_disk(path):
  """The watch sees an answer only after another connection could read it."""
  seen = []

  def watch(question, answer, paid):
    key, _ = answer_cache.key(
      backend(server).identity, question.prompt, question.order
    )
    seen.append(answer_cache.peek(path, [key]) == {key: answer})

  with fake_judge.FakeServer(fake_judge.sure) as server:
    ask(server, path, watch=watch)
  assert seen == [True] * 12


def test_what_the_watch_raises_ends_the_job_and_keeps_the_answers(path):
  def watch(question, answer, paid):
    raise ValueError("enough")

  with fake_judge.FakeServer(fake_judge.fair) as server:
    with pytest.raises(ValueError, match="enough"):
      ask(server, path, pace=pacing.Pace(concurrency=2), watch=watch)
    assert len(server.answered) < 12
    asked = ask(server, path)
    assert len(server.answered) == 12 and right(asked)


def test_g28_a_cache_that_fills_up_ends_the_job_and_loses_nothing(path):
  with fake_judge.FakeServer(fake_judge.sure) as server:
    with answer_cache.AnswerCache(path) as cache:
      # As a full disk: not a page more.
      def fill(question, answer, paid):
        pages = cache._connection.execute("PRAGMA page_count").fetchone()[0]
        cache._connection.execute(f"PRAGMA max_page_count = {pages}")

      with pytest.raises(
        answer_cache.CacheError, match="is full.*are kept"
      ) as error:
        asking.ask(questions(40), backend(server), cache, QUICK, fill)
    paid = len(server.answered)
    assert paid < 80 and f" {paid} of 80 answers" in str(error.value)
    asked = ask(server, path, n=40)
    assert len(server.answered) == 80 and right(asked, n=40)
    assert len(asked.paid) == 80 - paid
