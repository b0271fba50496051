"""ROUGE-L and chrF that work in every script.

ROUGE-L (https://aclanthology.org/W04-1013) is the F1 of the longest common
subsequence of words. The common package keeps only a-z and 0-9, so a Russian
sentence has no words there; here a word is a run of Unicode letters and digits
with their accents, in NFC, without case.
"""

from collections.abc import Sequence
import re
import unicodedata

# Accents without a composed letter (Russian stress marks) belong to the word.
_WORD = re.compile(r"\w[\w\u0300-\u036f]*")
_DOTTED = ("tr", "az")  # I is the capital of dotless i, as I-with-dot of i


def fold(text: str, language: str) -> str:
  """The text in NFC without case; Turkish I and dotted I stay apart.

  "ISI", "tr" -> "ısı";  "ISI", "en" -> "isi"
  """
  text = unicodedata.normalize("NFC", text)
  if re.split("[-_]", language)[0].lower() in _DOTTED:
    text = text.replace("\u0130", "i").replace("I", "\u0131")
  return unicodedata.normalize("NFC", text.casefold())


def words(text: str, language: str) -> list[str]:
  """The words of a text: "Ты — в Риме?", "ru" -> ["ты", "в", "риме"]."""
  return _WORD.findall(fold(text, language))


def longest_common_subsequence(
  first: Sequence[str], second: Sequence[str]
) -> int:
  """The length of it, by the bit-parallel method of Hyyro (2004).

  A zero in bit i of `open_` marks a step up of the dynamic programme's row.
  """
  masks: dict[str, int] = {}
  for i, word in enumerate(first):
    masks[word] = masks.get(word, 0) | 1 << i
  full = (1 << len(first)) - 1
  open_ = full
  for word in second:
    hit = open_ & masks.get(word, 0)
    open_ = ((open_ + hit) | (open_ - hit)) & full
  return len(first) - open_.bit_count()


def rouge_l(output: str, reference: str, language: str) -> float:
  """The F1 of ROUGE-L in [0, 1]; 0 if either text has no word."""
  ours, theirs = words(output, language), words(reference, language)
  if not ours or not theirs:
    return 0.0
  # 2 P R / (P + R) with P = common / ours, R = common / theirs
  common = longest_common_subsequence(ours, theirs)
  return 2 * common / (len(ours) + len(theirs))


def chrf(output: str, reference: str) -> float:
  """The chrF of sacrebleu divided by 100, on NFC; case counts."""
  try:
    from sacrebleu.metrics import chrf as sacrebleu_chrf
  except ImportError as error:
    raise ImportError(
      "chrF needs sacrebleu: pip install 'xlrm[report]'"
    ) from error
  texts = [unicodedata.normalize("NFC", x) for x in (output, reference)]
  score = sacrebleu_chrf.CHRF().sentence_score(texts[0], [texts[1]])
  return score.score / 100
