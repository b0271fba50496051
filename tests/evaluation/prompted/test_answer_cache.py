"""Answers that were paid for are not lost."""

import os
import sqlite3
import stat
import threading

import pytest

from xlrm.evaluation.prompted import answer_cache
from xlrm.evaluation.prompted import completions

ANSWER = completions.Completion("Ж\u2028 1", {"1": -0.1, " 2": -2.5}, 10, 1)
BARE = completions.Completion("")


def keys(n):
  identity = {"model": "m", "parameters": {"temperature": 0}}
  return [answer_cache.key(identity, f"prompt {i}", "first") for i in range(n)]


def test_g26_a_key_is_what_was_asked():
  def key(model="m", prompt="p", order="first", **parameters):
    return answer_cache.key({"model": model, **parameters}, prompt, order)[0]

  changed = [key(model="n"), key(prompt="q"), key(order="second"), key(t=0.5)]
  assert len({key(), *changed}) == 5
  assert key(a=1, b=2) == key(b=2, a=1)


def test_answers_come_back_as_they_were(tmp_path):
  path = tmp_path / "folder" / "answers.sqlite"
  (one, asked), (other, asked_other), (absent, _) = keys(3)
  with answer_cache.AnswerCache(path) as cache:
    cache.put(one, asked, ANSWER)
    cache.put(other, asked_other, BARE)
    cache.put(other, asked_other, ANSWER)  # the first answer stays
  with answer_cache.AnswerCache(path) as cache:
    assert cache.get([one, other, absent]) == {one: ANSWER, other: BARE}
  assert [x.name for x in path.parent.iterdir()] == ["answers.sqlite"]


def test_every_answer_is_durable_before_put_returns(tmp_path):
  """Another connection sees it; the journal is synced at each commit."""
  path = tmp_path / "answers.sqlite"
  with answer_cache.AnswerCache(path) as cache:
    with sqlite3.connect(path) as other:
      for n, (key, asked) in enumerate(keys(3), 1):
        cache.put(key, asked, ANSWER)
        count = "SELECT COUNT(*) FROM answers"
        assert other.execute(count).fetchone() == (n,)
    other.close()
    settings = [
      cache._connection.execute(f"PRAGMA {name}").fetchone()[0]
      for name in ("journal_mode", "synchronous")
    ]
  assert settings == ["wal", 2]  # 2 is FULL


def test_threads_and_processes_share_a_file(tmp_path):
  path = tmp_path / "answers.sqlite"
  found = keys(40)
  with answer_cache.AnswerCache(path) as one:
    with answer_cache.AnswerCache(path) as other:
      threads = [
        threading.Thread(target=cache.put, args=(key, asked, ANSWER))
        for cache in (one, other)
        for key, asked in found
      ]
      for thread in threads:
        thread.start()
      for thread in threads:
        thread.join()
      assert len(one.get(key for key, _ in found)) == 40


def test_a_dry_run_reads_and_leaves_everything_as_it_was(tmp_path):
  path = tmp_path / "answers.sqlite"
  (one, asked), (two, _) = keys(2)
  assert answer_cache.peek(path, [one]) == {}
  assert not list(tmp_path.iterdir())
  with answer_cache.AnswerCache(path) as cache:
    cache.put(one, asked, ANSWER)
    assert answer_cache.peek(path, [one, two]) == {one: ANSWER}  # while in use
  before = path.read_bytes()
  os.chmod(tmp_path, stat.S_IRUSR | stat.S_IXUSR)
  assert answer_cache.peek(path, [one, two]) == {one: ANSWER}
  os.chmod(tmp_path, stat.S_IRWXU)
  assert path.read_bytes() == before
  assert [x.name for x in tmp_path.iterdir()] == ["answers.sqlite"]


def test_g28_a_file_that_is_no_cache_is_left_as_it_is(tmp_path):
  text = tmp_path / "verdicts.jsonl"
  text.write_text("{}\n" * 2000)
  before = text.read_bytes()
  with pytest.raises(answer_cache.CacheError, match="no cache of answers"):
    answer_cache.AnswerCache(text)
  assert text.read_bytes() == before
  foreign = tmp_path / "browser.sqlite"
  with sqlite3.connect(foreign) as connection:
    connection.execute("CREATE TABLE answers (key, asked, answer)")
  connection.close()
  before = foreign.read_bytes()
  for call in (answer_cache.AnswerCache, lambda x: answer_cache.peek(x, [])):
    with pytest.raises(answer_cache.CacheError, match="another program's"):
      call(foreign)
  assert foreign.read_bytes() == before
  newer = tmp_path / "newer.sqlite"
  answer_cache.AnswerCache(newer).__exit__()
  with sqlite3.connect(newer) as connection:
    connection.execute("PRAGMA user_version = 9")
  connection.close()
  with pytest.raises(answer_cache.CacheError, match="of version 9"):
    answer_cache.AnswerCache(newer)


def test_g28_a_locked_file_is_one_message_before_anything_is_paid(tmp_path):
  path = tmp_path / "answers.sqlite"
  answer_cache.AnswerCache(path).__exit__()
  holder = sqlite3.connect(path, isolation_level=None)
  holder.execute("BEGIN EXCLUSIVE")
  with pytest.raises(
    answer_cache.CacheError, match="answers.sqlite: database is locked; free"
  ):
    answer_cache.AnswerCache(path, lock_seconds=0.05)
  holder.close()


def break_down(cache, how):
  """From now on nothing can be written."""
  if how == "locked":
    holder = sqlite3.connect(
      cache.path, isolation_level=None, check_same_thread=False
    )
    holder.execute("BEGIN IMMEDIATE")
    return holder
  pages = cache._connection.execute("PRAGMA page_count").fetchone()[0]
  cache._connection.execute(f"PRAGMA max_page_count = {pages}")
  return None


@pytest.mark.parametrize("how", ["locked", "full"])
def test_g28_answers_under_way_survive_a_database_that_fails(how, tmp_path):
  path = tmp_path / "answers.sqlite"
  found = keys(12)
  long = completions.Completion("x" * 3000)
  with answer_cache.AnswerCache(path, lock_seconds=0.05) as cache:
    cache.put(*found[0], ANSWER)
    cache.reserve(3, 10_000)
    held = break_down(cache, how)
    failed = 0
    for key, asked in found[1:]:
      try:
        cache.put(key, asked, long)
      except answer_cache.CacheError as error:
        failed += 1
        assert {"locked": "is locked", "full": "is full"}[how] in str(error)
        assert "was under way is kept in" in str(error)
    assert failed
    if held:
      held.close()
  assert len(list(tmp_path.glob(".answers.sqlite.*.rescued"))) == 1
  with answer_cache.AnswerCache(path) as cache:
    kept = cache.get(key for key, _ in found)
  assert [kept[key] for key, _ in found] == [ANSWER, *[long] * 11]
  assert [x.name for x in tmp_path.iterdir()] == ["answers.sqlite"]


def test_the_room_of_a_living_process_is_not_taken_over(tmp_path):
  path = tmp_path / "answers.sqlite"
  ((key, asked),) = keys(1)
  with answer_cache.AnswerCache(path, lock_seconds=0.05) as one:
    one.reserve(1, 1000)
    with answer_cache.AnswerCache(path):
      assert one._rescue.path.exists()
    held = break_down(one, "locked")
    with pytest.raises(answer_cache.CacheError):
      one.put(key, asked, ANSWER)
    held.close()
    with answer_cache.AnswerCache(path) as other:
      assert other.get([key]) == {}  # its owner still has it
  with answer_cache.AnswerCache(path) as other:
    assert other.get([key]) == {key: ANSWER}


def test_a_half_written_rescued_line_is_left_out(tmp_path):
  path = tmp_path / "answers.sqlite"
  whole = '["a", "asked", "{\\"text\\": \\"1\\"}"]\n'
  rescued = tmp_path / ".answers.sqlite.0.rescued"
  rescued.write_bytes(whole.encode() + b'["b", "as' + bytes(100))
  with answer_cache.AnswerCache(path) as cache:
    assert cache.get(["a", "b"]) == {"a": completions.Completion("1")}
  assert not rescued.exists()
