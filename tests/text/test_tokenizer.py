"""Vocabularies: ids, round trips, sentinels, training, damaged files."""

import os
import subprocess
import sys
import unicodedata

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from xlrm.text import tokenizer as tokenizer_lib

SENTENCES = [
  "Según la alcaldesa Weber, 91 grupos tocaron en un festival en Sevilla.",
  "Am Montag spielten 42 Gruppen auf einem Fest in Köln.",
  "On Monday 35 groups played at a festival in Leeds.",
  "В понедельник 17 групп выступили на фестивале в Казани.",
  "Pazartesi günü 28 grup İzmir'deki şenlikte çaldı; ılık bir gündü.",
  "Hôm thứ Hai, 64 ban nhạc đã biểu diễn tại lễ hội ở Huế.",
]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
  path = tmp_path_factory.mktemp("vocabulary") / "spiece.model"
  tokenizer_lib.train_vocabulary(
    SENTENCES * 3, 260, path, user_defined_symbols=("<es>", "<de>")
  )
  return path


def test_ids_follow_t5(vocabulary):
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary)
  ids = (tokenizer.pad_id, tokenizer.eos_id, tokenizer.unk_id)
  assert ids == (0, 1, 2)
  assert tokenizer.vocab_size == 260
  assert 1 not in tokenizer.encode(SENTENCES[0])


@pytest.mark.parametrize("sentence", SENTENCES)
def test_nfc_text_comes_back_and_nfd_gives_the_same_ids(vocabulary, sentence):
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary)
  ids = tokenizer.encode(sentence)
  assert tokenizer.decode(ids) == sentence
  assert tokenizer.encode(unicodedata.normalize("NFD", sentence)) == ids
  assert len(tokenizer.pieces(sentence)) == len(ids)


def test_dotted_and_dotless_i_stay_apart(vocabulary):
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary)
  assert tokenizer.encode("ılık") != tokenizer.encode("ilik")
  assert tokenizer.decode(tokenizer.encode("ılık İzmir")) == "ılık İzmir"


def test_digits_are_split_and_tags_are_one_piece(vocabulary):
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary)
  assert [x.strip("\u2581") for x in tokenizer.pieces("91")][-2:] == ["9", "1"]
  assert "<es>" in tokenizer.pieces("<es> festival")


def test_g02_decoding_ends_at_the_first_eos_and_skips_padding(vocabulary):
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary, extra_ids=4)
  ids = tokenizer.encode("festival en Sevilla")
  rest = tokenizer.encode("Köln")
  text = "festival en Sevilla"
  assert tokenizer.decode([*ids, 1, *rest]) == text
  assert tokenizer.decode([0, *ids, 0, 0]) == text
  assert tokenizer.decode([263, *ids, 260]) == text
  assert tokenizer.decode([1, *ids]) == tokenizer.decode([]) == ""


def test_sentinels_behind_the_pieces_count_down(vocabulary):
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary, extra_ids=3)
  assert tokenizer.sentinel_ids == [262, 261, 260]
  assert tokenizer_lib.Tokenizer.load(vocabulary).sentinel_ids == []


def test_sentinels_inside_the_file_are_found_as_in_mt5(vocabulary, tmp_path):
  proto = sentencepiece_model_pb2.ModelProto()
  proto.ParseFromString(vocabulary.read_bytes())
  for number in (1, 0):
    proto.pieces.add(piece=f"\u2581<extra_id_{number}>", score=0.0, type=4)
  path = tmp_path / "own.model"
  path.write_bytes(proto.SerializeToString())
  tokenizer = tokenizer_lib.Tokenizer.load(path)
  assert tokenizer.sentinel_ids == [261, 260]
  assert tokenizer.decode([261, *tokenizer.encode("Köln")]) == "Köln"
  with pytest.raises(ValueError, match="2 sentinels of its own"):
    tokenizer_lib.Tokenizer.load(path, extra_ids=100)


def test_the_same_text_gives_the_same_file(vocabulary, tmp_path):
  again = tmp_path / "again.model"
  tokenizer_lib.train_vocabulary(
    SENTENCES * 3, 260, again, user_defined_symbols=("<es>", "<de>")
  )
  assert again.read_bytes() == vocabulary.read_bytes()
  one, other = map(tokenizer_lib.Tokenizer.load, (again, vocabulary))
  assert one.fingerprint() == other.fingerprint()
  more = tokenizer_lib.Tokenizer.load(again, extra_ids=1)
  assert more.fingerprint() != one.fingerprint()


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_byte_fallback_spells_what_the_text_never_had(tmp_path, model_type):
  path = tmp_path / "bytes.model"
  tokenizer_lib.train_vocabulary(
    SENTENCES * 3, 370, path, model_type=model_type, byte_fallback=True
  )
  tokenizer = tokenizer_lib.Tokenizer.load(path)
  assert tokenizer.decode(tokenizer.encode("夏祭り")) == "夏祭り"


def test_identity_keeps_compatibility_characters(tmp_path):
  path = tmp_path / "identity.model"
  lines = [*SENTENCES, "Die Größe beträgt 5 ㎞ ½ ﬁn"] * 3
  tokenizer_lib.train_vocabulary(lines, 260, path, normalization="identity")
  tokenizer = tokenizer_lib.Tokenizer.load(path)
  assert tokenizer.decode(tokenizer.encode("5 ㎞ ½")) == "5 ㎞ ½"


def test_long_texts_with_line_breaks_are_not_dropped(tmp_path):
  text = "\n".join(["palabra " * 2000, "ж"])
  path = tmp_path / "long.model"
  tokenizer_lib.train_vocabulary([text], 20, path)
  tokenizer = tokenizer_lib.Tokenizer.load(path)
  assert 2 not in tokenizer.encode("ж palabra")


@pytest.mark.parametrize(
  "arguments, message",
  [
    (dict(sentences=[], size=100), "no text"),
    (dict(sentences=[" ", "\n"], size=100), "no text"),
    (dict(sentences=["a b c"], size=5000), "of 5000 pieces: Vocabulary size"),
    (dict(sentences=SENTENCES, size=10), "no vocabulary of 10 pieces"),
    (dict(sentences=SENTENCES, size=9, model_type="word2vec"), "word2vec"),
  ],
)
def test_g28_training_that_cannot_work_leaves_nothing(
  tmp_path, arguments, message
):
  with pytest.raises(ValueError, match=message):
    tokenizer_lib.train_vocabulary(path=tmp_path / "x.model", **arguments)
  assert not list(tmp_path.iterdir())


def test_g28_an_error_of_the_reader_is_kept(tmp_path):
  def read():
    yield from SENTENCES
    raise ValueError("a.jsonl:7: broken JSON")

  with pytest.raises(ValueError, match="^a.jsonl:7: broken JSON$"):
    tokenizer_lib.train_vocabulary(read(), 100, tmp_path / "x.model")
  assert not list(tmp_path.iterdir())


def test_g28_missing_damaged_and_foreign_files_are_named(vocabulary, tmp_path):
  load = tokenizer_lib.Tokenizer.load
  with pytest.raises(FileNotFoundError, match="no vocabulary file .*gone"):
    load(tmp_path / "gone.model")
  for name, content in (
    ("text", b"no model\n" * 20),
    ("cut", vocabulary.read_bytes()[:1001]),
    ("empty", b""),
  ):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is no sentencepiece model"):
      load(path)
  foreign = tmp_path / "foreign"
  with open(foreign, "wb") as file:
    sentencepiece.SentencePieceTrainer.Train(
      sentence_iterator=iter(SENTENCES),
      model_writer=file,
      vocab_size=100,
      minloglevel=2,
    )
  with pytest.raises(ValueError, match="pad id -1 and EOS id 2"):
    load(foreign)
  with pytest.raises(ValueError, match="extra_ids -1"):
    load(vocabulary, extra_ids=-1)


def test_tokenizer_and_batches_need_no_tensorflow():
  program = (
    "import sys\n"
    "for name in ('tensorflow', 'tensorflow_text', 'seqio', 'gin'):\n"
    "  sys.modules[name] = None\n"
    "import xlrm.text.tokenizer\n"
    "import xlrm.batches.batch_sources, xlrm.batches.converters\n"
  )
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  subprocess.run([sys.executable, "-c", program], check=True, env=environment)
