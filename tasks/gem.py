"""Summarisation of the paper: XSum, XL-Sum, MLSum, WikiLingua (from GEM).

    {"gem_id": "xlsum_russian-train-3012", "document": "В столице ...",
     "summary": "Мэр ..."}

Files $XLRM_GEM/{source}_{language}.{split}.jsonl.gz as docs/export_articles.py
writes them. Tasks {source}_summary.{language}; gem_summary.{language} mixes the
sources of a language evenly. Articles in $XLRM_SEAHORSE_TRAIN (SEAHORSE's
train.tsv), if it is set, are left out of every split: no policy is trained or
tested on what a reward model was trained on.
"""

import os

from xlrm.data import file_tasks
from xlrm.data import registry

FILES = "$XLRM_GEM/{source}_{language}.{split}.jsonl.gz"
EXCLUDED = "$XLRM_SEAHORSE_TRAIN"
SPLITS = ("train", "validation", "test")
SOURCES = {
  "de": ("mlsum", "wiki_lingua"),
  "en": ("xsum", "xlsum", "wiki_lingua"),
  "es": ("xlsum", "mlsum", "wiki_lingua"),
  "ru": ("xlsum", "wiki_lingua"),
  "tr": ("xlsum", "wiki_lingua"),
  "vi": ("xlsum", "wiki_lingua"),
}
FIELDS = {"id": "gem_id", "document": "document", "summary": "summary"}


def register(
  name: str = "gem_summary",
  files: str = FILES,
  excluded: str | None = None,
) -> None:
  """Registers the tasks of every source and an even mixture per language.

  Args:
    name: of the mixtures, before '.language'.
    files: path with the places {source}, {language} and {split}.
    excluded: TSV files with a column `gem_id`, whose articles are left out.
  """
  prefix = "" if name == "gem_summary" else f"{name}_"
  for language, sources in SOURCES.items():
    tasks = []
    for source in sources:
      paths = {
        split: files.format(source=source, language=language, split=split)
        for split in SPLITS
      }
      task = f"{prefix}{source}_summary.{language}"
      tasks.append(
        file_tasks.register_summaries(
          task, paths, language, fields=FIELDS, excluded=excluded
        )
      )
    registry.register_mixture(f"{name}.{language}", tasks)


register(
  excluded=EXCLUDED if os.environ.get(EXCLUDED.removeprefix("$")) else None
)
