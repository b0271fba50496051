"""SeqIO tasks as batches: tokens, order, mixtures, export, foreign tasks."""

import itertools
import subprocess
import sys

import jax
import numpy as np
import pytest
import seqio
import tensorflow as tf

from xlrm.batches import npz_files
from xlrm.data import seqio_source
from xlrm.text import tokenizer as tokenizer_lib

LENGTHS = {"inputs": 24, "targets": 12}
WORDS = "niebla ılık дождь Straße trời 91 <es> ﬁn".split()


def reader(num, language="es", **more):
  def read(split):
    count = num if split == "train" else 5
    return [
      {
        "id": f"{split}/{i}",
        "language": language,
        "dataset": "words",
        "inputs": f"{language}: " + " ".join(WORDS[: 1 + i % len(WORDS)]),
        "reward_inputs": f"{i} " + " ".join(WORDS[i % 3 :]),
        "targets": f"{language} {i}",
        **{name: make(i) for name, make in more.items()},
      }
      for i in range(count)
    ]

  return read


@pytest.fixture
def words(registry):
  registry.register("words_summary.es", reader(19), kind="summary")
  return "words_summary.es"


def take(source_, start, count):
  return list(itertools.islice(source_.train_batches(start), count))


def assert_equal(one, other):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["summary", "rating"])
def test_token_ids_are_those_of_seqio(registry, kind):
  more = {"rating": lambda i: i / 20} if kind == "rating" else {}
  registry.register("words_x.es", reader(19, **more), kind=kind)
  task = seqio.get_mixture_or_task("words_x.es")
  theirs = list(
    task.get_dataset(None, "train", shuffle=False).as_numpy_iterator()
  )
  ours = seqio_source.SeqioSource("words_x.es", LENGTHS, 4).arrays.train
  assert len(ours) == len(theirs) == 19
  for a, b in zip(ours, theirs):
    assert a["inputs"].tolist() == b["inputs"].tolist()
    assert a["targets"].tolist() == b["targets"].tolist()
    if kind == "rating":
      assert a["rating"] == b["rating"]


def test_text_that_spells_a_sentinel_stays_text(registry):
  """A departure from SeqIO, where a text can smuggle in sentinel ids."""
  row = dict.fromkeys(("id", "language", "dataset", "reward_inputs"), "x")
  row |= {"inputs": "<extra_id_0>", "targets": "a"}
  registry.register("words_x.es", lambda split: [row], kind="summary")
  made = seqio_source.SeqioSource("words_x.es", LENGTHS, 1)
  pieces = seqio.get_mixture_or_task("words_x.es").output_features["inputs"]
  ours = made.arrays.train[0]["inputs"]
  last = pieces.vocabulary.vocab_size - pieces.vocabulary.extra_ids
  assert max(ours) < last <= max(pieces.vocabulary.encode("<extra_id_0>"))


def test_the_tokenizer_of_the_model_replaces_that_of_the_task(words, tmp_path):
  path = tmp_path / "own.model"
  tokenizer_lib.train_vocabulary(["es 1 2 3 4 5 niebla ılık"] * 9, 40, path)
  own = tokenizer_lib.Tokenizer.load(path)
  made = seqio_source.SeqioSource(words, LENGTHS, 4, tokenizer=own)
  assert made.arrays.train[3]["targets"].tolist() == [*own.encode("es 3"), 1]
  assert (
    made.fingerprint()
    != seqio_source.SeqioSource(words, LENGTHS, 4).fingerprint()
  )


def test_g18_batches_from_a_step_on_are_the_tail(words):
  whole = take(seqio_source.SeqioSource(words, LENGTHS, 4, seed=3), 0, 12)
  for start in (1, 7, 11):
    fresh = seqio_source.SeqioSource(words, LENGTHS, 4, seed=3)
    assert_equal(take(fresh, start, 12 - start), whole[start:])


def test_npz_gives_the_batches_of_seqio(words, tmp_path):
  made = seqio_source.SeqioSource(words, LENGTHS, 4, packing=True)
  seqio_source.export_npz(made, tmp_path / "x.npz", dry_run=True)
  assert not list(tmp_path.iterdir())
  seqio_source.export_npz(made, tmp_path / "x.npz")
  read = npz_files.npz_source(tmp_path / "x.npz", LENGTHS, 4, packing=True)
  assert_equal(take(read, 2, 6), take(made, 2, 6))
  assert_equal(list(read.validation_batches()), list(made.validation_batches()))
  assert read.examples("validation") == made.examples("validation")
  assert read.fingerprint() == made.fingerprint()


def test_what_processes_share_are_the_batches_of_seqio(words, tmp_path):
  made = seqio_source.SeqioSource(words, LENGTHS, 4, packing=True)
  whole, data = take(made, 2, 6), made.fingerprint()
  shared = made.shared(tmp_path / "rows.npz")
  assert "arrays" not in vars(made)  # they would be in memory twice
  assert_equal(take(shared, 2, 6), whole)
  assert shared.fingerprint() == data and shared.examples("train") == []


def test_a_mixture_keeps_its_rates(registry):
  for language, size in (("es", 19), ("ru", 7)):
    registry.register(
      f"words.{language}", reader(size, language), kind="summary"
    )
  registry.register_mixture("words", ["words.es", "words.ru"], [3.0, 1.0])
  made = seqio_source.SeqioSource("words", {"inputs": 24, "targets": 12}, 64)
  tokenizer = tokenizer_lib.Tokenizer.load(
    seqio.get_mixture_or_task("words")
    .output_features["inputs"]
    .vocabulary.sentencepiece_model_file
  )
  texts = [
    tokenizer.decode(row[0])
    for batch in take(made, 0, 16)
    for row in batch.targets
  ]
  assert sum(text.startswith("es") for text in texts) == 768
  assert len(set(texts)) == 19 + 7
  assert len(made.examples("validation")) == 10


def test_long_inputs_may_keep_their_end(words, capsys):
  lengths = {"inputs": 5, "targets": 12}
  whole = seqio_source.SeqioSource(words, LENGTHS, 4).arrays.train[8]["inputs"]
  for from_left, wanted in (
    (False, [*whole[:4], 1]),
    (True, whole[-5:]),
  ):
    made = seqio_source.SeqioSource(
      words, lengths, 1, truncate_inputs_from_left=from_left, seed=0
    )
    inputs = [x.inputs[0].tolist() for x in take(made, 0, 19)]
    assert list(wanted) in inputs
  assert "inputs over 5 tokens" in capsys.readouterr().out


def test_a_task_registered_outside_xlrm_runs_all_its_steps(registry):
  def read(split, shuffle_files):
    return tf.data.Dataset.from_tensor_slices(
      {"inputs": ["niebla en la costa"], "targets": ["niebla"]}
    )

  def reverse(dataset):
    return dataset.map(lambda x: {**x, "targets": x["targets"][::-1]})

  pieces = seqio.SentencePieceVocabulary("gone.model")
  feature = seqio.Feature(pieces, add_eos=True)
  seqio.TaskRegistry.add(
    "foreign",
    seqio.FunctionDataSource(read, ["train"]),
    {"inputs": feature, "targets": feature},
    [seqio.preprocessors.tokenize, reverse, seqio.preprocessors.append_eos],
  )
  path = seqio_path(registry)
  own = tokenizer_lib.Tokenizer.load(path)
  made = seqio_source.SeqioSource("foreign", LENGTHS, 1, tokenizer=own)
  (row,) = made.arrays.train
  assert row["targets"].tolist() == [*own.encode("niebla")[::-1], 1]
  assert row["inputs"].tolist() == [*own.encode("niebla en la costa"), 1]


def seqio_path(registry):
  registry.register("any_summary.es", reader(1), kind="summary")
  features = seqio.get_mixture_or_task("any_summary.es").output_features
  return features["inputs"].vocabulary.sentencepiece_model_file


def test_a_file_may_register_the_task(tmp_path, registry):
  path = tmp_path / "my_tasks.py"
  path.write_text(
    "from xlrm.data import registry\n"
    "row = dict.fromkeys(registry.TEXTS, 'uno')\n"
    "read = lambda split: [row]\n"
    "registry.register('mine_summary.es', read, kind='summary')\n"
  )
  for _ in range(2):
    made = seqio_source.SeqioSource(
      "mine_summary.es", LENGTHS, 1, module=str(path)
    )
  assert made.examples("train")[0]["targets_pretokenized"] == "uno"


def test_g28_what_is_not_there_is_named(words, registry, tmp_path):
  with pytest.raises(ValueError, match="'xlrm.tasks.gone' cannot be imported"):
    seqio_source.SeqioSource(words, LENGTHS, 4, module="xlrm.tasks.gone")
  with pytest.raises(FileNotFoundError, match="no file gone.py"):
    seqio_source.SeqioSource(words, LENGTHS, 4, module="gone.py")
  with pytest.raises(ValueError, match="nearest: words_summary.es"):
    seqio_source.SeqioSource("words_sumary.es", LENGTHS, 4)
  made = seqio_source.SeqioSource(words, LENGTHS, 4)
  with pytest.raises(ValueError, match="no split 'tset'; it has train, valid"):
    made.examples("tset")
  with pytest.raises(ValueError, match="no '{language}'"):
    seqio_source.sources_by_language("words", ["es"], LENGTHS)
  registry.register("tests.es", reader(1), kind="summary", splits=("test",))
  made = seqio_source.SeqioSource("tests.es", LENGTHS, 4)
  assert made.examples("validation") == []
  with pytest.raises(ValueError, match="'tests.es' has no split 'train'"):
    made.train_batches(0)


def test_kinds_do_not_mix(words, registry):
  read = reader(3, responses=lambda i: ["a"], ranks=lambda i: [0])
  registry.register("words_ranks.es", read, kind="preference")
  registry.register_mixture("both", [words, "words_ranks.es"])
  with pytest.raises(ValueError, match=r"mixes kinds: \['preference', 'summ"):
    seqio_source.SeqioSource("both", LENGTHS, 4)


def test_sources_by_language(registry):
  for language in ("es", "ru"):
    registry.register(f"words.{language}", reader(2, language), kind="summary")
  made = seqio_source.sources_by_language(
    "words.{language}", ("es", "ru"), LENGTHS
  )
  assert made["ru"].examples("train")[0]["language"] == "ru"


def test_tensorflow_is_quiet_and_without_accelerators():
  program = (
    "import xlrm.data, tensorflow as tf\n"
    "assert not tf.config.get_visible_devices('GPU')\n"
    "assert not tf.config.get_visible_devices('TPU')\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", program], check=True, capture_output=True, text=True
  )
  assert done.stderr == "" and done.stdout == ""
