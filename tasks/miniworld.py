"""miniworld: summaries and ratings of a generated world in six languages.

    id         es/train/000000
    language   es
    document   Lan sacó una foto. El lunes 91 grupos tocaron en un festival ...
    summary    Según la alcaldesa Weber, 91 grupos tocaron en un festival ...
    rating     1.0   (rating tasks)

Tasks: miniworld_summary.{language}, miniworld_rating.{language}, and both
without a suffix as even mixtures.
"""

from collections.abc import Mapping
import functools

from xlrm.batches import batch_sources
from xlrm.batches import converters
from xlrm.batches import denoising
from xlrm.data import registry
from xlrm.miniworld import pretraining
from xlrm.miniworld import world_rows
from xlrm.text import tokenizer as tokenizer_lib

SUMMARY_SPLITS = tuple(world_rows.SUMMARY_SIZES)
RATING_SPLITS = tuple(world_rows.RATING_SIZES)


def _summaries(language: str, split: str) -> list[dict]:
  return [
    {
      "id": row.id,
      "language": language,
      "dataset": "miniworld",
      "inputs": world_rows.policy_input(row),
      "reward_inputs": row.document,
      "targets": row.summary,
    }
    for row in world_rows.summary_rows(language, split)
  ]


def _ratings(language: str, split: str) -> list[dict]:
  return [
    {
      "id": row.id,
      "language": language,
      "dataset": "miniworld",
      "inputs": world_rows.policy_input(row),
      "reward_inputs": row.document,
      "targets": row.summary,
      "rating": row.rating,
      "fault": row.fault,
    }
    for row in world_rows.rating_rows(language, split)
  ]


for _kind, _read, _splits in (
  ("summary", _summaries, SUMMARY_SPLITS),
  ("rating", _ratings, RATING_SPLITS),
):
  _names = [
    registry.register(
      f"miniworld_{_kind}.{language}",
      functools.partial(_read, language),
      kind=_kind,
      splits=_splits,
    )
    for language in world_rows.LANGUAGES
  ]
  registry.register_mixture(f"miniworld_{_kind}", _names)


def pretraining_source(
  vocabulary: str,
  lengths: Mapping[str, int],
  batch_size: int,
  *,
  extra_ids: int = 32,
  num_rows: int = 100_000,
  num_validation_rows: int = 500,
  seed: int = 0,
) -> batch_sources.ArraySource:
  """The batches of `pretrain.train`: masked, translated, corrupted text.

  Args:
    vocabulary: sentencepiece file.
    lengths: tokens of `inputs` and `targets`.
    batch_size: rows per batch.
    extra_ids: sentinels behind its pieces.
    num_rows: rows generated; more are other facts and wordings.
    num_validation_rows: rows about facts that training rows never state.
    seed: of the order and of the masks.
  """
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary, extra_ids=extra_ids)
  spans = denoising.SpanCorruption()

  def examples(split: str, count: int):
    return [
      denoising.example(
        pretraining.pretraining_row(index, split),
        tokenizer,
        spans,
        denoising.generator(seed, index),
      )
      for index in range(count)
    ]

  return batch_sources.ArraySource(
    train=examples("train", num_rows),
    validation=examples("validation", num_validation_rows),
    lengths=lengths,
    batch_size=batch_size,
    converter=converters.to_corrupted,
    seed=seed,
  )
