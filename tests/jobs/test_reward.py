"""The reward job on a handful of rows: what it writes is what it trained."""

import json

import jax
import killed_runs
import numpy as np
import process_jobs
import pytest

from xlrm.batches import batch_sources
from xlrm.batches import converters
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.jobs import asked_judgments
from xlrm.jobs import reward
from xlrm.jobs import score
from xlrm.miniworld import world_rows
from xlrm.rewards import reward_models
from xlrm.rewards import text_scoring
from xlrm.training import fit
from xlrm.training import optimizers

LENGTHS = {"inputs": 64, "targets": 32}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  base = pretrained.load_language_model("nano")

  def ids(text):
    return np.asarray([*base.tokenizer.encode(text), 1], np.int32)

  examples = [
    {
      "inputs": ids(row.document),
      "targets": ids(row.summary),
      "rating": np.float32(row.rating),
    }
    for row in world_rows.rating_rows("en", "train", 0, 16)
  ]
  folder = tmp_path_factory.mktemp("reward")
  result = reward.RewardTraining(
    source=batch_sources.ArraySource(
      train=examples[:8],
      validation=examples[8:],
      lengths=LENGTHS,
      batch_size=8,
      converter=converters.to_ratings,
    ),
    optimizer=optimizers.adafactor(1e-3),
    config=fit.TrainConfig(train_steps=2, eval_period=2),
    model_dir=str(folder),
    initial=base,
    lengths=LENGTHS,
    frozen=("backbone/encoder/", "backbone/token_embedder/"),
    mesh=meshes.MeshConfig(data=8),
  ).run()
  return base, folder, result


def test_frozen_parameters_stay_and_others_move(trained):
  base, _, result = trained
  same = jax.tree.map(
    np.array_equal, result.params["backbone"]["encoder"], base.params["encoder"]
  )
  assert all(jax.tree.leaves(same))
  moved = result.params["backbone"]["decoder"]["decoder_norm"]["scale"]
  assert not np.array_equal(
    moved, base.params["decoder"]["decoder_norm"]["scale"]
  )


def test_g11_a_loaded_reward_model_scores_as_the_trained_one(trained):
  _, folder, result = trained
  loaded = pretrained.load_scorer(folder)
  row = world_rows.summary_rows("de", "test", 0, 1)[0]
  responses = [[row.summary, "Paris."]]
  scores = [
    text_scoring.score_texts(
      loaded.model, params, [row.document], responses, batch_size=1
    )
    for params in (jax.device_get(result.params), loaded.params)
  ]
  np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
  assert loaded.description.history[-1] == "reward model"


@pytest.mark.slow
def test_a_reward_model_is_trained_further(trained, tmp_path):
  """It keeps its head: with a learning rate of 0 nothing changes."""
  _, folder, _ = trained
  row = {"inputs": np.array([5, 1]), "targets": np.array([6, 1]), "rating": 1.0}
  loaded = pretrained.load_scorer(folder, dropout_rate=0.1)
  further = reward.RewardTraining(
    source=batch_sources.ArraySource(
      train=[row] * 8,
      validation=[row],
      lengths=LENGTHS,
      batch_size=8,
      converter=converters.to_ratings,
    ),
    optimizer=optimizers.adafactor(0.0),
    config=fit.TrainConfig(train_steps=1, eval_period=1),
    model_dir=str(tmp_path),
    initial=loaded,
    lengths=LENGTHS,
    mesh=meshes.MeshConfig(data=8),
  ).run()
  same = jax.tree.map(np.array_equal, further.params, loaded.params)
  assert all(jax.tree.leaves(same))
  history = model_files.read_description(tmp_path).history
  assert history[-2:] == ("reward model", "reward model")


def test_a_language_model_is_no_reward_model():
  with pytest.raises(ValueError, match="holds a language_model"):
    pretrained.load_scorer("nano")


@pytest.fixture(scope="module")
def conversations(tmp_path_factory):
  """A reward model of two steps on long conversations, and its source."""
  from xlrm.data import file_tasks
  from xlrm.data import registry
  from xlrm.data import seqio_source

  folder = tmp_path_factory.mktemp("dialogue")
  path = folder / "pairs.jsonl"
  turns = ["A fire destroyed 35 houses in Hanoi.", "Snow fell in Rome."]
  made = [
    {
      "prompt": " ".join([turns[i % 2]] * (2 + 3 * i)),
      "responses": ["The mayor of Rome left.", turns[0], turns[1]][: 2 + i % 2],
      "ranks": [0, 1, 1][: 2 + i % 2],
      "margin": 0.5,
    }
    for i in range(4)
  ]
  path.write_text("".join(json.dumps(row) + "\n" for row in made))
  name = "same_preference.en"
  paths = {"train": str(path), "validation": str(path), "test": str(path)}
  file_tasks.register_preferences(name, paths, "en")
  base = pretrained.load_language_model("nano")
  lengths = {"inputs": 40, "targets": 12}
  data = seqio_source.SeqioSource(name, lengths, 4, tokenizer=base.tokenizer)
  result = reward.RewardTraining(
    source=data,
    optimizer=optimizers.adafactor(1e-3),
    config=fit.TrainConfig(train_steps=2, eval_period=2),
    model_dir=str(folder / "rm"),
    initial=base,
    lengths=lengths,
    loss=reward.RewardLossConfig(margin=0.1, centring=0.01),
    mesh=meshes.MeshConfig(data=4, model=2),
  ).run()
  yield data, str(folder / "rm"), result
  registry.remove(name)


def test_g08_one_example_scores_the_same_in_every_job(conversations, tmp_path):
  """In training batches, as texts, in a file, in the diagnosis; long prompts
  lose their beginning in all of them."""
  data, path, _ = conversations
  loaded = pretrained.load_scorer(path)
  assert loaded.description.truncate_inputs_from_left
  (batch,) = data.validation_batches()
  trained = loaded.model.scores(loaded.params, batch.batch)
  rows = data.examples("test")
  texts = [row["responses"] for row in rows]
  documents = [row["reward_inputs"] for row in rows]
  as_texts = reward_models.load(path)(documents, texts)
  for i, (row, own) in enumerate(zip(rows, as_texts)):
    np.testing.assert_allclose(trained[i, : len(own)], own, atol=1e-5)
    assert (batch.ranks[i, : len(own)] == row["ranks"]).all()
  file = tmp_path / "rows.jsonl"
  lines = [
    json.dumps({"prompt": a, "response": b}) for a, b in zip(documents, texts)
  ]
  file.write_text("\n".join(lines) + "\n")
  output = str(tmp_path / "out.jsonl")
  score.Scoring(input=str(file), output=output, rewards=path).run()
  in_file = [json.loads(x)["score"] for x in open(output, encoding="utf-8")]
  found = asked_judgments.ask(
    {"en": path},
    {"en": data},
    lengths=data.lengths,
    split="test",
    batch_size=2,
    max_training_rows=4,
  )
  diagnosed = [row["scores"] for row in found.scores]
  for own, *others in zip(as_texts, in_file, diagnosed, strict=True):
    for other in others:
      np.testing.assert_allclose(own, other, atol=1e-5)
  assert found.accuracies[0].n == 4 and found.rows[0].words.n == 10


def test_metrics_of_rankings_have_gap_and_centring(conversations):
  _, _, result = conversations
  last = result.history[-1]
  for name in ("accuracy", "score_gap", "centring", "loss"):
    assert np.isfinite(last[f"validation/{name}"])


@pytest.mark.parametrize("field", ["margin", "margin_scale", "centring"])
def test_loss_options_are_checked(field):
  with pytest.raises(ValueError, match=f"{field} -1.0 is not a number from 0"):
    reward.RewardLossConfig(**{field: -1.0})


def test_g18_killed_it_ends_bit_equal(place, tmp_path, compile_once):
  """`launch/test_killed_jobs.py` kills the whole command, more slowly."""
  killed, whole = tmp_path / "killed", tmp_path / "whole"
  process_jobs.run_reward(place, whole)
  said = killed_runs.kill_and_restart(place, killed, "reward", compile_once, 4)
  # A kill may come before the first checkpoint is whole: then it begins anew.
  anew = "checkpoint_3 was not finished; removed" in said
  assert "continues at step 3" in said or anew, said
  killed_runs.assert_same(killed, whole, "best.json")
