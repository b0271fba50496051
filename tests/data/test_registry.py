"""Tasks are genuine SeqIO tasks; the same definition twice is fine."""

import numpy as np
import pytest
import seqio

ROW = {
  "id": "1",
  "language": "es",
  "dataset": "letters",
  "inputs": "Di: uno",
  "reward_inputs": "uno",
  "targets": "dos",
}


def reader(word="dos", rows=1, **more):
  return lambda split: [{**ROW, "targets": word, **more}] * rows


def test_a_summary_task_is_a_seqio_task(registry):
  registry.register("letters_summary.es", reader(), kind="summary")
  task = seqio.get_mixture_or_task("letters_summary.es")
  dataset = task.get_dataset(
    {"inputs": 99, "targets": 9}, "train", shuffle=False
  )
  row = next(dataset.as_numpy_iterator())
  vocabulary = task.output_features["inputs"].vocabulary
  assert row["inputs"].tolist() == [*vocabulary.encode("Di: uno"), 1]
  assert row["targets"].tolist() == [*vocabulary.encode("dos"), 1]
  assert row["inputs_pretokenized"] == b"Di: uno"
  assert row["reward_inputs"] == b"uno" and row["id"] == b"1"


def test_a_reward_model_reads_no_instruction_and_mixtures_keep_ratings(
  registry,
):
  register = registry.register
  register("letters_rating.es", reader(rating=0.5), kind="rating")
  registry.register_mixture("letters_rating", ["letters_rating.es"])
  mixture = seqio.get_mixture_or_task("letters_rating")
  dataset = mixture.get_dataset(None, "train", shuffle=False, num_epochs=1)
  row = next(dataset.as_numpy_iterator())
  vocabulary = mixture.output_features["inputs"].vocabulary
  assert row["inputs"].tolist() == [*vocabulary.encode("uno"), 1]
  assert row["rating"] == np.float32(0.5)


def test_a_feature_converter_of_t5x_takes_a_task(registry):
  registry.register("letters_summary.es", reader(), kind="summary")
  dataset = seqio.get_dataset(
    "letters_summary.es",
    {"inputs": 16, "targets": 8},
    seqio.EncDecFeatureConverter(pack=False),
    shuffle=False,
  )
  row = next(dataset.as_numpy_iterator())
  assert row["encoder_input_tokens"].shape == (16,)
  assert row["decoder_target_tokens"].shape == (8,)


def test_g24_the_same_definition_again_is_fine(registry):
  for _ in range(2):  # every round has function objects of its own
    registry.register("letters_summary.es", reader("a"), kind="summary")
    registry.register_mixture("letters_summary", ["letters_summary.es"])


def test_g24_another_definition_is_an_error_that_shows_both(registry):
  registry.register("letters_summary.es", reader("first"), kind="summary")
  with pytest.raises(ValueError, match="registered already") as caught:
    registry.register("letters_summary.es", reader("second"), kind="summary")
  message = str(caught.value)
  assert "'first'" in message and "'second'" in message
  assert message.index("before") < message.index("'first'")
  for change in (
    dict(kind="rating"),
    dict(kind="summary", splits=("train",)),
    dict(kind="summary", vocabulary="other.model"),
  ):
    with pytest.raises(ValueError, match="registered already"):
      registry.register("letters_summary.es", reader("first"), **change)


def test_g24_a_mixture_with_other_tasks_or_rates_is_an_error(registry):
  for language in ("es", "ru"):
    registry.register(f"letters.{language}", reader(), kind="summary")
  both = ["letters.es", "letters.ru"]
  registry.register_mixture("letters", both)
  for tasks, rates in ((both[:1], None), (both, [2, 1])):
    with pytest.raises(ValueError, match="before: .*letters.ru': 1.0"):
      registry.register_mixture("letters", tasks, rates)


def test_g24_a_name_taken_outside_xlrm_is_an_error(registry):
  features = {"inputs": seqio.Feature(seqio.ByteVocabulary())}
  seqio.TaskRegistry.add(
    "foreign", seqio.FunctionDataSource(_nothing, ["train"]), features, []
  )
  with pytest.raises(ValueError, match="outside xlrm"):
    registry.register("foreign", reader(), kind="summary")


def _nothing(split, shuffle_files):
  raise AssertionError("never read")


def test_a_removed_task_can_be_defined_anew(registry):
  registry.register("letters_summary.es", reader("a"), kind="summary")
  registry.remove("letters_summary.es")
  registry.register("letters_summary.es", reader("b"), kind="summary")


@pytest.mark.parametrize(
  "read, message",
  [
    (reader(rows=0), "split 'train' is empty"),
    (reader(rating=1.5), r"row 0: rating 1.5 is not in \[0, 1\]"),
    (reader(), "row 0: lacks or adds rating"),
  ],
)
def test_g28_wrong_rows_name_task_split_and_row(registry, read, message):
  registry.register("wrong_rating.es", read, kind="rating")
  with pytest.raises(ValueError, match=message):
    seqio.get_mixture_or_task("wrong_rating.es").get_dataset(None, "train")


def test_g28_unknown_names_come_with_the_nearest(registry):
  registry.register("letters_summary.es", reader(), kind="summary")
  with pytest.raises(ValueError, match="nearest: letters_summary.es"):
    registry.get("leters_summary.es")
  with pytest.raises(ValueError, match="no task or mixture 'gone'"):
    registry.register_mixture("letters", ["gone"])
  with pytest.raises(ValueError, match="kind 'sumary' is none of summary"):
    registry.register("x", reader(), kind="sumary")


def test_the_instruction_names_the_language(registry):
  text = "Summarize the following text in Turkish: "
  assert registry.instruction("tr") == text
  assert "in Catalan: " in registry.instruction("ca", "Catalan")
  with pytest.raises(ValueError, match="'ca' has no English name"):
    registry.instruction("ca")
