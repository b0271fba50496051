"""Exports articles and summaries for `xlrm.tasks.gem` and SEAHORSE's articles.

  python docs/export_articles.py xsum         --output=data/gem
  python docs/export_articles.py mlsum        --output=data/gem
  python docs/export_articles.py wiki_lingua  --output=data/gem
  python docs/export_articles.py xlsum        --output=data/gem \\
    --files='downloads/xlsum/{name}-{split}*.parquet'

The first three come from TensorFlow Datasets' `gem` (its WikiLingua has the old
ids that SEAHORSE uses). XL-Sum is not in it: give the files of GEM/xlsum, in
Parquet or JSON lines, with {name} (english, russian, ..) and {split} in their
path; --files reads the others from files as well. Written are
{source}_{language}.{split}.jsonl.gz with gem_id, document and summary, each
file complete or not at all. Then

  export XLRM_GEM=data/gem XLRM_SEAHORSE_TRAIN=data/seahorse/train.tsv

and `gem_summary.ru` is a task, and $XLRM_GEM/*.jsonl.gz are the articles of
`xlrm.tasks.seahorse.register`.
"""

import argparse
from collections.abc import Iterator, Mapping
import json
from typing import Any

from xlrm.data import seahorse_files
from xlrm.storage import files
from xlrm.storage import row_files

# source -> language -> (name in TensorFlow Datasets, name in GEM's files)
SOURCES = {
  "xsum": {"en": ("gem/xsum", "xsum")},
  "mlsum": {x: (f"gem/mlsum_{x}", x) for x in ("de", "es")},
  "wiki_lingua": {
    code: (f"gem/wiki_lingua_{name}_{code}", f"{name}_{code}")
    for code, name in {
      "de": "german",
      "en": "english",
      "es": "spanish",
      "ru": "russian",
      "tr": "turkish",
      "vi": "vietnamese",
    }.items()
  },
  "xlsum": {
    code: (None, name)
    for code, name in {
      "en": "english",
      "es": "spanish",
      "ru": "russian",
      "tr": "turkish",
      "vi": "vietnamese",
    }.items()
  },
}
SPLITS = ("train", "validation", "test")


def tfds_rows(name: str, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
  """Texts of one split, downloaded and prepared if they are not there."""
  import tensorflow_datasets as tfds

  for number, row in enumerate(tfds.as_numpy(tfds.load(name, split=split))):
    texts = {k: x.decode() for k, x in row.items() if isinstance(x, bytes)}
    yield f"{name}/{split}/{number}", texts


def exported(place: str, row: Mapping[str, Any]) -> dict[str, str]:
  """gem_id, document and summary of a row of any of the sources."""
  present = [
    x for x in seahorse_files.ARTICLE_FIELDS if isinstance(row.get(x), str)
  ]
  if not present:
    wanted = " or ".join(seahorse_files.ARTICLE_FIELDS)
    raise row_files.missing(place, wanted, list(row))
  return {
    "gem_id": row_files.text(place, row, "gem_id"),
    "document": row[present[0]],
    "summary": row_files.text(place, row, "target"),
  }


def write(path: files.Name, rows) -> int:
  """Writes rows, all or none; how many."""
  count = 0
  with files.writing_text(path) as file:
    for place, row in rows:
      line = json.dumps(exported(place, row), ensure_ascii=False)
      file.write(f"{line}\n")
      count += 1
  return count


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("source", choices=SOURCES)
  parser.add_argument("--output", required=True, help="folder")
  parser.add_argument("--files", help="path with {name} and {split}")
  options = parser.parse_args()
  if options.source == "xlsum" and not options.files:
    parser.error("xlsum is not in TensorFlow Datasets: give --files")
  for language, (dataset, name) in SOURCES[options.source].items():
    for split in SPLITS:
      if options.files:
        rows = row_files.rows(options.files.format(name=name, split=split))
      else:
        rows = tfds_rows(dataset, split)
      target = f"{options.source}_{language}.{split}.jsonl.gz"
      count = write(files.path(options.output) / target, rows)
      print(f"{target}: {count:,} rows", flush=True)


if __name__ == "__main__":
  main()
