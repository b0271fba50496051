"""What model.json keeps, and what is no model.json."""

import json

import pytest

from xlrm.checkpoints import model_description
from xlrm.models import t5

DESCRIPTION = model_description.Description(
  model_description.RESPONSE_SCORER,
  t5.T5Config(8, 4, 1, 4, 4, 1, 1, mlp_activations=("gelu", "linear")),
  64,
  32,
  100,
  ("one", "two"),
  scorer_layer=2,
  truncate_inputs_from_left=True,
)


@pytest.fixture
def vocabulary(tmp_path):
  (tmp_path / "other.model").write_bytes(b"pieces")
  return tmp_path / "other.model"


def test_a_description_comes_back_as_it_was(tmp_path, vocabulary):
  run = tmp_path / "new" / "run"
  model_description.write(run, DESCRIPTION, vocabulary)
  assert model_description.read(run / "model.json") == DESCRIPTION
  assert (run / "spiece.model").read_bytes() == b"pieces"
  # By a job that goes on, with the vocabulary that is there.
  model_description.write(run, DESCRIPTION, run / "spiece.model")
  assert sorted(x.name for x in run.iterdir()) == ["model.json", "spiece.model"]


def test_one_of_a_bucket_is_written_and_read(bucket, vocabulary):
  model_description.write("gs://bucket/m", DESCRIPTION, vocabulary)
  assert model_description.read("gs://bucket/m/model.json") == DESCRIPTION
  model_description.write("m", DESCRIPTION, "gs://bucket/m/spiece.model")


def test_what_older_files_lack_has_defaults(tmp_path, vocabulary):
  model_description.write(tmp_path, DESCRIPTION, vocabulary)
  fields = json.loads((tmp_path / "model.json").read_text())
  for name in ("history", "scorer_layer", "truncate_inputs_from_left"):
    del fields[name]
  found = model_description.of_fields(fields)
  assert (found.history, found.scorer_layer) == ((), None)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"kind": "other"}, "model kind 'other' is neither"),
    ({"config": None}, "describes no model"),
    ({"more": 1}, "describes no model: .*more"),
  ],
)
def test_g28_what_is_no_description_is_named(
  tmp_path, vocabulary, change, said
):
  model_description.write(tmp_path, DESCRIPTION, vocabulary)
  path = tmp_path / "model.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | change))
  with pytest.raises(
    ValueError, match=f"model.json describes no.*{said}|{said}"
  ):
    model_description.read(path)
  path.write_text("{")
  with pytest.raises(ValueError, match="model.json describes no model"):
    model_description.read(path)


def test_g28_without_its_vocabulary_nothing_is_written(tmp_path):
  with pytest.raises(FileNotFoundError, match="no file .*gone.model"):
    model_description.write(tmp_path / "run", DESCRIPTION, "gone.model")
  assert not (tmp_path / "run").exists()
