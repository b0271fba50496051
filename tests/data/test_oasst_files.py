"""Trees and flat messages as one list; what it does with circles."""

import json

import pytest

from xlrm.data import oasst_files


def message(name, parent=None, **more):
  return {
    "message_id": name,
    "parent_id": parent,
    "text": name.upper(),
    "role": "prompter",
    "lang": "en",
    **more,
  }


def read(tmp_path, *rows):
  path = tmp_path / "x.jsonl"
  path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
  return {x.id: x for x in oasst_files.read(str(path))}


def test_a_tree_and_its_flat_messages_are_the_same(tmp_path):
  reply = {**message("b"), "role": "assistant", "rank": 1, "deleted": True}
  reply = {x: y for x, y in reply.items() if x != "parent_id"}
  root = {**message("a"), "replies": [{**reply, "replies": [message("c")]}]}
  nested = read(tmp_path, {"message_tree_id": "t", "prompt": root})
  flat = read(
    tmp_path,
    message("c", "b", message_tree_id="t"),
    message("a", message_tree_id="t"),
    {**reply, "parent_id": "a", "message_tree_id": "t"},
  )
  assert nested == flat
  assert list(nested) == ["a", "b", "c"]
  found = nested["b"]
  assert (found.parent, found.tree, found.rank) == ("a", "t", 1)
  assert found.deleted and not found.rejected and not found.synthetic
  assert found.tree_state == oasst_files.FINISHED


def test_without_a_tree_a_message_belongs_to_its_root(tmp_path):
  found = read(tmp_path, message("c", "b"), message("b", "a"), message("a"))
  assert {x.tree for x in found.values()} == {"a"}
  path = oasst_files.ancestors(found["c"], found)
  assert [x.id for x in path] == ["c", "b", "a"]
  assert not oasst_files.is_circular(found["c"], found)


def test_a_circle_is_walked_once(tmp_path):
  found = read(
    tmp_path, message("a", "b"), message("b", "a"), message("c", "gone")
  )
  assert [x.id for x in oasst_files.ancestors(found["a"], found)] == ["a", "b"]
  assert oasst_files.is_circular(found["a"], found)
  assert not oasst_files.is_circular(found["c"], found)


@pytest.mark.parametrize("rank", [None, float("nan")])
def test_a_missing_rank_is_none(tmp_path, rank):
  assert read(tmp_path, message("a", rank=rank))["a"].rank is None


def test_g28_what_is_no_message_is_named(tmp_path):
  with pytest.raises(ValueError, match="x.jsonl:1: 'prompt' must hold a mess"):
    read(tmp_path, {"prompt": "Hi."})
  with pytest.raises(ValueError, match="x.jsonl:1: a message was expected"):
    read(tmp_path, {"prompt": {**message("a"), "replies": ["Hi."]}})
  with pytest.raises(ValueError, match="x.jsonl:2: no column 'role'"):
    read(tmp_path, message("a"), {"message_id": "b"})


def test_messages_are_read_once_and_again_when_the_file_changed(tmp_path):
  read(tmp_path, message("a"))
  pattern = str(tmp_path / "*.jsonl")
  first = oasst_files.messages(pattern)
  assert oasst_files.messages(pattern) is first
  read(tmp_path, message("a"), message("b", "a"))
  assert len(oasst_files.messages(pattern)) == 2
