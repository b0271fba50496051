"""Text metrics in six languages (G25)."""

import unicodedata

import numpy as np
import pytest

from xlrm.evaluation import text_metrics

SENTENCES = {
  "de": "Größere Straßen führen über die Brücke in München.",
  "en": "The mayor's well-known bridge, built in 1905, collapsed.",
  "es": "¿Mañana habrá más lluvia en Málaga? Sí, según Peña.",
  "ru": "Мэр подтвердил: в Орле объём за́мка вырос ещё на 24%.",
  "tr": "İstanbul'da ılık ışıklar söndü, Iğdır'da yığınla çığ düştü.",
  "vi": "Thị trưởng Nguyễn nói rằng cầu Hà Nội đã sập hôm thứ hai.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_g25_identical_sentences_score_one(language):
  text = SENTENCES[language]
  assert text_metrics.rouge_l(text, text, language) == 1.0
  assert text_metrics.chrf(text, text) == pytest.approx(1.0)
  assert len(text_metrics.words(text, language)) >= 8


@pytest.mark.parametrize("language", SENTENCES)
def test_g25_nfc_equals_nfd(language):
  composed = unicodedata.normalize("NFC", SENTENCES[language])
  split = unicodedata.normalize("NFD", composed)
  assert text_metrics.words(split, language) == text_metrics.words(
    composed, language
  )
  assert text_metrics.rouge_l(split, composed, language) == 1.0
  assert text_metrics.chrf(split, composed) == pytest.approx(1.0)


@pytest.mark.parametrize("language", SENTENCES)
def test_g25_other_sentences_score_less(language):
  for other in SENTENCES.values():
    if other != SENTENCES[language]:
      ours = SENTENCES[language]
      assert text_metrics.rouge_l(other, ours, language) < 0.3
      assert text_metrics.chrf(other, ours) < 0.3


def test_g25_turkish_i():
  assert text_metrics.fold("ISI İKİ", "tr") == "ısı iki"
  assert text_metrics.fold("ISI", "en") == "isi"
  assert text_metrics.rouge_l("IRAK", "ırak", "tr") == 1.0
  assert text_metrics.rouge_l("ılık", "ilik", "tr") == 0.0
  assert text_metrics.rouge_l("İğne", "iğne", "tr-TR") == 1.0
  # Decomposed: I and a dot above
  assert text_metrics.words("I\u0307ki", "tr") == ["iki"]
  assert text_metrics.chrf("kırık", "kirik") < 0.5


def test_g25_accents_without_a_composed_letter_stay_in_the_word():
  assert text_metrics.words("за́мок", "ru") == ["за́мок"]


def test_case_and_punctuation_do_not_count():
  assert text_metrics.rouge_l("STRASSE!", "Straße", "de") == 1.0
  assert text_metrics.words("Ты — в Риме?", "ru") == ["ты", "в", "риме"]


def test_longest_common_subsequence_against_the_table():
  def slow(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i, x in enumerate(a):
      for j, y in enumerate(b):
        table[i + 1, j + 1] = (
          table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
        )
    return table[-1, -1]

  rng = np.random.default_rng(0)
  for _ in range(200):
    first, second = (
      [str(x) for x in rng.integers(0, 5, rng.integers(0, 90))]
      for _ in range(2)
    )
    ours = text_metrics.longest_common_subsequence(first, second)
    assert ours == slow(first, second)


def test_rouge_l_by_hand():
  # common "police the gunman": P = 3/4, R = 3/5
  ours = text_metrics.rouge_l(
    "police ended the gunman", "police killed the tall gunman", "en"
  )
  assert ours == pytest.approx(2 * 3 / 9)


@pytest.mark.parametrize("output, reference", [("", "a"), ("a", ""), ("", "…")])
def test_texts_without_words_score_zero(output, reference):
  assert text_metrics.rouge_l(output, reference, "en") == 0.0
