"""OpenAssistant: hand-made trees with every trap, and the real ones."""

import gzip
import json

import pytest

from xlrm.data import oasst
from xlrm.data import oasst_files
from xlrm.data import row_formats
from xlrm.data import seqio_source
from xlrm.data import splits

SPLIT = splits.split_of("t1")  # of the hand-made trees
OTHER = next(f"x{i}" for i in range(99) if splits.split_of(f"x{i}") != SPLIT)


def message(name, text=None, role="assistant", rank=None, replies=(), **more):
  return {
    "message_id": name,
    "text": name.upper() if text is None else text,
    "role": role,
    "lang": "en",
    "rank": rank,
    "deleted": False,
    "synthetic": False,
    "review_result": True,
    "replies": list(replies),
    **more,
  }


def prompter(name, *replies, **more):
  return message(name, role="prompter", replies=replies, **more)


def tree(name, root, **more):
  state = {"message_tree_id": name, "tree_state": "ready_for_export", **more}
  return {**state, "prompt": root}


# Ranks with a gap and a tie, an unranked reply, a repeated text, a reply below
# a deleted one, other languages, a rejected one, an unfinished tree.
TREES = [
  tree(
    "t1",
    prompter(
      "q1",
      message("b", rank=3),
      message(
        "a",
        rank=0,
        replies=[prompter("q2", message("e", rank=0), message("f"))],
      ),
      message("c", rank=3),
      message("d"),
      message("b2", "B", rank=7),
    ),
  ),
  tree(
    "t1",
    prompter(
      "q3",
      message(
        "gone",
        rank=0,
        deleted=True,
        replies=[
          prompter("q4", message("g", rank=0), message("h", rank=1)),
        ],
      ),
      message("i", rank=1),
      message("j", rank=2),
      message("blank", " ", rank=3),
      message("bad", rank=4, review_result=False),
      message("deutsch", rank=5, lang="de"),
      message("wrong", rank=6, role="prompter"),
    ),
  ),
  tree(
    "t1",
    prompter("q5", message("k", rank=0), message("l", rank=1)),
    tree_state="aborted_low_grade",
  ),
  tree("t1", prompter("q6", lang="de")),
  tree(OTHER, prompter("q7", message("m", rank=1), message("n", rank=0))),
]


def flat(trees):
  """The same messages one by one, as the other published form has them."""
  found = []

  def walk(row, parent, holder):
    own = {k: x for k, x in row.items() if k != "replies"}
    keys = ("message_tree_id", "tree_state")
    found.append({**own, "parent_id": parent, **{k: holder[k] for k in keys}})
    for reply in row["replies"]:
      walk(reply, row["message_id"], holder)

  for holder in trees:
    walk(holder["prompt"], None, holder)
  return found


def write(path, rows):
  text = "".join(json.dumps(row) + "\n" for row in rows)
  if path.suffix == ".gz":
    path.write_bytes(gzip.compress(text.encode()))
  elif path.suffix == ".parquet":
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
  else:
    path.write_text(text)
  return str(path)


@pytest.fixture(
  params=[
    "trees.jsonl",
    "trees.jsonl.gz",
    "flat.jsonl",
    "flat.parquet",
    "shuffled.jsonl.gz",
  ]
)
def file(request, tmp_path):
  rows = TREES if "trees" in request.param else flat(TREES)
  return write(
    tmp_path / request.param,
    rows[::-1] if "shuffled" in request.param else rows,
  )


def both(read, file):
  return read(SPLIT, file=file, language="en")


def test_every_trap_gives_the_expected_pairs_in_every_form(file):
  pairs = [tuple(row["responses"]) for row in both(oasst.pair_rows, file)]
  # A over B and C; B and C are tied; the second "B" is a repetition; I over J.
  assert pairs == [("A", "B"), ("A", "C"), ("I", "J")]
  assert all(row["ranks"] == [0, 1] for row in both(oasst.pair_rows, file))


def test_every_trap_gives_the_expected_rankings_in_every_form(file):
  rows = both(oasst.ranking_rows, file)
  assert [(x["id"], x["responses"], x["ranks"]) for x in rows] == [
    ("q1", ["A", "B", "C"], [0, 3, 3]),
    ("q3", ["I", "J"], [1, 2]),
  ]


def test_sft_takes_the_best_reply_and_the_whole_path(file):
  rows = both(oasst.sft_rows, file)
  assert [(x["id"], x["targets"]) for x in rows] == [
    ("q1", "A"),
    ("q2", "E"),
    ("q3", "I"),
  ]
  assert rows[1]["reward_inputs"] == "User: Q1\nAssistant: A\nUser: Q2"
  assert rows[1]["inputs"].endswith("in English: " + rows[1]["reward_inputs"])


def test_prompts_are_all_conversations_that_can_be_read(file):
  rows = both(oasst.prompt_rows, file)
  assert [(x["id"], x["targets"]) for x in rows] == [
    ("q1", "A"),
    ("q2", "E"),
    ("q3", "I"),
  ]


def test_what_is_left_out_is_counted_alike_in_every_form(file, capsys):
  _, counts = oasst.conversations(SPLIT, file=file, language="en")
  assert dict(counts.by_reason()) == {
    "reply without a rank": 2,
    "reply identical to a better one": 1,
    "deleted": 1,
    oasst.BELOW: 3,
    "empty text": 1,
    "rejected in review": 1,
    "another language": 2,
    "answers its own role": 1,
    "tree not finished": 3,
  }
  assert counts.facts["prompts with two ranked replies or more"] == 4
  assert counts.dropped["reply identical to a better one"] == ["b2"]
  both(oasst.pair_rows, file)
  told = capsys.readouterr().out
  assert "pair of equal rank" in told and "below a message left out" in told


def test_all_messages_of_a_tree_are_in_one_split(file):
  other = splits.split_of(OTHER)
  (row,) = oasst.pair_rows(other, file=file, language="en")
  assert row["responses"] == ["N", "M"]


def test_missing_parents_circles_and_repetitions_are_counted(tmp_path):
  def row(name, parent, **more):
    made = message(name, parent_id=parent, message_tree_id="t1", **more)
    return {k: x for k, x in made.items() if k != "replies"}

  rows = [
    row("q", None, role="prompter"),
    row("a", "q", rank=0),
    row("b", "q", rank=1),
    row("b", "q", rank=1),
    row("orphan", "nobody", rank=0),
    row("below", "orphan", role="prompter"),
    row("one", "two", role="prompter"),
    row("two", "one"),
  ]
  file = write(tmp_path / "x.jsonl", rows)
  found, counts = oasst.conversations(SPLIT, file=file, language="en")
  assert [x.replies for x in found] == [(("A", 0), ("B", 1))]
  expected = {"repeated message_id": 1, "parent missing": 1, oasst.BELOW: 1}
  in_circle = counts.by_reason().get("in a circle", 0)
  assert dict(counts.by_reason()) == expected | (
    {"in a circle": in_circle} if in_circle else {}
  )
  told = sum(
    oasst.conversations(x, file=file, language="en")[1]
    .by_reason()
    .get("in a circle", 0)
    for x in splits.SPLITS
  )
  assert told == 2


def test_g28_a_file_of_which_nothing_is_left_shows_the_table(tmp_path):
  rows = [tree("t1", prompter("q", message("a", rank=0, deleted=True)))]
  file = write(tmp_path / "x.jsonl", rows)
  with pytest.raises(ValueError) as caught:
    oasst.sft_rows(SPLIT, file=file, language="en")
  said = str(caught.value)
  assert said.startswith("nothing is left of OpenAssistant en")
  assert "deleted" in said and "conversation without a ranked reply" in said


@pytest.mark.parametrize(
  "change, expected",
  [
    ({"role": "bot"}, "x.jsonl:1: the role 'bot' is none of prompter"),
    ({"rank": 0.5}, "x.jsonl:1: rank 0.5 is no whole number"),
    ({"rank": -1}, "x.jsonl:1: rank -1 is no whole number"),
    ({"text": None}, "x.jsonl:1: text was expected in 'text', not None"),
    ({"message_id": 3}, "x.jsonl:1: text was expected in 'message_id'"),
  ],
)
def test_g28_broken_messages_name_the_line(tmp_path, change, expected):
  broken = {**prompter("q"), **change}
  file = write(tmp_path / "x.jsonl", [tree("t1", broken)])
  with pytest.raises(ValueError, match=expected):
    oasst_files.read(file)


def test_a_changed_file_is_read_again(tmp_path):
  path = tmp_path / "x.jsonl"
  for best in ("a", "b"):
    replies = (message(best, rank=0), message("z", rank=1))
    write(path, [tree("t1", prompter("question" + best, *replies))])
    (row,) = oasst.sft_rows(SPLIT, file=str(path), language="en")
    assert row["targets"] == best.upper()


READERS = (
  oasst.sft_rows,
  oasst.pair_rows,
  oasst.ranking_rows,
  oasst.prompt_rows,
)


def test_real_trees_give_the_same_rows_and_tables_in_both_forms(
  real_data, capsys
):
  said = {}
  for form in ("tree", "message"):
    file = str(real_data / f"oasst/en_70_{form}.jsonl.gz")
    rows = [
      read(split, file=file, language="en")
      for read in READERS
      for split in splits.SPLITS
    ]
    said[form] = (rows, capsys.readouterr().out)
  assert said["tree"] == said["message"]
  facts = [
    oasst.conversations(x, file=file, language="en")[1].facts
    for x in splits.SPLITS
  ]
  ranked = sum(x["prompts with two ranked replies or more"] for x in facts)
  assert ranked == 146
  assert sum(x["pairs of them, before filters"] for x in facts) == 507
  assert sum(map(len, said["tree"][0][3:6])) == 507  # nothing tied or repeated


def test_real_conversations_keep_their_end(real_data):
  lengths = {"inputs": 48, "targets": 16}
  made = seqio_source.SeqioSource(
    "oasst_preference.en", lengths, 4, module="xlrm.tasks.oasst"
  )
  assert made.truncate_inputs_from_left
  examples, rows = made.arrays.train, made.examples("train")
  place = next(i for i, x in enumerate(examples) if len(x["inputs"]) > 48)
  (kept,) = made.arrays._from_left([examples[place]])
  tokens = kept["inputs"]
  assert len(tokens) == 48 and tokens[-1] == 1
  assert (tokens == examples[place]["inputs"][-48:]).all()
  assert rows[place]["reward_inputs"].startswith("User: ")
  batch = next(made.train_batches(0))
  assert batch.ranks.tolist() == [[0, 1]] * 4


def test_dialogues_without_a_rank_compare_nothing():
  with pytest.raises(row_formats.row_counts.Dropped, match="tied"):
    row_formats.comparable(row_formats.Ranked("a", ("b", "c"), (1, 1)))
