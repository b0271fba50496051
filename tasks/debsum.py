"""debsum: documents of free software and their human-written summaries.

    {"id": "cmus", "language": "es", "document": "C* Music Player es un
     reproductor de sonido modular y muy configurable basado en ncurses. ...",
     "summary": "Reproductor ligero de sonido basado en ncurses",
     "section": "sound", "source": "ddtp", "kind": "package"}

Files $XLRM_REAL_DATA/debsum/{language}.{split}.jsonl.gz. Tasks:
debsum_summary.{language}; debsum_bare.{language}, the same for reward models
that were trained on bare summaries; both without a suffix as even mixtures.
"""

from xlrm.data import file_tasks
from xlrm.data import registry

FOLDER = "$XLRM_REAL_DATA/debsum"
LANGUAGES = ("de", "en", "es", "ru", "tr", "vi")
SPLITS = ("train", "validation")


def register(name: str, folder: str = FOLDER, *, bare: bool = False) -> None:
  """Registers the tasks `name`.{language} and their mixture.

  Args:
    name: 'dataset_kind'.
    folder: holds the files; may be another one of the same form.
    bare: reward models read no document.
  """
  names = []
  for language in LANGUAGES:
    paths = {split: f"{folder}/{language}.{split}.jsonl.gz" for split in SPLITS}
    task = f"{name}.{language}"
    names.append(
      file_tasks.register_summaries(task, paths, language, bare=bare)
    )
  registry.register_mixture(name, names)


register("debsum_summary")
register("debsum_bare", bare=True)
