"""Text to token ids and back: sentencepiece, without TensorFlow.

Ids follow T5 and mT5: 0 pads, 1 ends a text (EOS). Sentinels mark hidden
spans in pre-training and are never written out: either `extra_ids` rows
behind the pieces of the file, as SeqIO counts them, or pieces of the file
itself (mT5's has `<extra_id_0>` to `<extra_id_99>`).
"""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import functools
import hashlib
import itertools
import os

import sentencepiece

from xlrm import types
from xlrm.storage import files
from xlrm.types import checks

MAX_SENTENCE_BYTES = 2**20  # sentencepiece drops longer lines in silence


@dataclasses.dataclass(frozen=True)
class Tokenizer:
  """One vocabulary file.

  Attributes:
    path: the sentencepiece model file.
    extra_ids: sentinel ids behind its pieces.
  """

  path: str
  extra_ids: int = 0

  @classmethod
  def load(cls, path: str | os.PathLike, extra_ids: int = 0) -> "Tokenizer":
    """Loads a vocabulary file and checks its ids.

    Args:
      path: sentencepiece model file.
      extra_ids: sentinels behind the vocabulary's pieces.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no sentencepiece model, it pads with another id than 0
        or ends with another than 1, or it has sentinels of its own and
        `extra_ids` asks for more.
    """
    loaded = cls(str(path), extra_ids)
    ids = (loaded._processor.pad_id(), loaded._processor.eos_id())
    if ids != (types.PAD_ID, types.EOS_ID):
      raise ValueError(
        f"{path}: pad id {ids[0]} and EOS id {ids[1]}; T5 and xlrm need 0 and "
        "1 (train a vocabulary with `xlrm vocab`)"
      )
    if extra_ids and loaded._own_sentinels:
      raise ValueError(
        f"{path} has {len(loaded._own_sentinels)} sentinels of its own, so "
        f"extra_ids must be 0, not {extra_ids}"
      )
    return loaded

  def __post_init__(self):
    checks.at_least("extra_ids", self.extra_ids, 0)

  @functools.cached_property
  def _processor(self) -> sentencepiece.SentencePieceProcessor:
    processor = sentencepiece.SentencePieceProcessor()
    try:
      processor.LoadFromSerializedProto(self._content)
    except RuntimeError as error:
      raise ValueError(
        f"{self.path} is no sentencepiece model, or a damaged one"
      ) from error
    return processor

  @property
  def _content(self) -> bytes:
    try:
      return files.read_bytes(self.path)
    except FileNotFoundError as error:
      raise FileNotFoundError(f"no vocabulary file {self.path}") from error

  @functools.cached_property
  def _own_sentinels(self) -> list[int]:
    found = []
    for mark in ("\u2581", ""):
      while True:
        piece = f"{mark}<extra_id_{len(found)}>"
        index = self._processor.PieceToId(piece)
        if self._processor.IdToPiece(index) != piece:
          break
        found.append(index)
    return found

  def encode(self, text: str) -> list[int]:
    """The ids of a text, without EOS."""
    return self._processor.EncodeAsIds(text)

  def pieces(self, text: str) -> list[str]:
    """The pieces of a text, one per id of `encode`."""
    return self._processor.EncodeAsPieces(text)

  def decode(self, ids: Iterable[int]) -> str:
    """The text up to the first EOS; padding and sentinels are left out."""
    kept = []
    for token in map(int, ids):
      if token == types.EOS_ID:
        break
      if types.PAD_ID < token < self.vocab_size and (
        token not in self._own_sentinels
      ):
        kept.append(token)
    return self._processor.DecodeIds(kept)

  @property
  def vocab_size(self) -> int:
    """The number of pieces in the file; `extra_ids` come on top."""
    return self._processor.GetPieceSize()

  @property
  def pad_id(self) -> int:
    """The id of padding."""
    return types.PAD_ID

  @property
  def eos_id(self) -> int:
    """The id that ends a text."""
    return types.EOS_ID

  @property
  def unk_id(self) -> int:
    """The id of what the vocabulary has no piece for."""
    return self._processor.unk_id()

  @property
  def sentinel_ids(self) -> list[int]:
    """The ids of sentinels, <extra_id_0> first: the highest, as in SeqIO."""
    last = self.vocab_size + self.extra_ids - 1
    return [last - i for i in range(self.extra_ids)] or self._own_sentinels

  def fingerprint(self) -> str:
    """A text that equal vocabularies share, wherever their files are."""
    digest = hashlib.sha256(self._content).hexdigest()
    return f"{digest}+{self.extra_ids}"


def _lines(sentences: Iterable[str], failures: list) -> Iterator[str]:
  """One line at a time: a line break inside would be cut off.

  sentencepiece turns any exception into one of its own; `failures` keeps it.
  """
  try:
    for sentence in sentences:
      for line in sentence.splitlines():
        if line.strip():
          yield line
  except Exception as error:
    failures.append(error)
    raise


def train_vocabulary(
  sentences: Iterable[str],
  size: int,
  path: str | os.PathLike,
  *,
  model_type: str = "bpe",
  byte_fallback: bool = False,
  split_digits: bool = True,
  user_defined_symbols: Sequence[str] = (),
  character_coverage: float = 1.0,
  normalization: str = "nmt_nfkc",
) -> None:
  """Trains a sentencepiece vocabulary with T5's ids; written atomically.

  The same sentences in the same order give the same file.

  Args:
    sentences: texts, split into lines here.
    size: number of pieces, the special ones included.
    path: the file to write.
    model_type: 'bpe' or 'unigram'.
    byte_fallback: spell unknown characters in bytes instead of `unk`.
    split_digits: every digit is a piece of its own.
    user_defined_symbols: strings that stay one piece, such as language tags.
    character_coverage: share of characters covered, in (0, 1].
    normalization: sentencepiece's rule; 'identity' changes nothing.

  Raises:
    ValueError: an option is unknown, there is no text, or it does not give
      that many pieces; sentencepiece's own words are kept.
  """
  checks.one_of("model_type", model_type, ("bpe", "unigram"))
  failures: list[Exception] = []
  lines = _lines(sentences, failures)
  first = next(lines, None)
  if first is None:
    raise ValueError("no text to train a vocabulary on")
  try:
    with files.writing(path) as file:
      sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=itertools.chain([first], lines),
        model_writer=file,
        vocab_size=size,
        model_type=model_type,
        byte_fallback=byte_fallback,
        split_digits=split_digits,
        user_defined_symbols=list(user_defined_symbols),
        character_coverage=character_coverage,
        normalization_rule_name=normalization,
        max_sentence_length=MAX_SENTENCE_BYTES,
        pad_id=types.PAD_ID,
        eos_id=types.EOS_ID,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
      )
  except (RuntimeError, OSError) as error:
    if failures:
      raise failures[0] from None
    message = str(error).strip().rpartition("] ")[2] or repr(error)
    raise ValueError(f"no vocabulary of {size} pieces: {message}") from error
