"""OpenAssistant: conversations and people's rankings of the replies.

    {"message_tree_id": "054e1df3-..", "tree_state": "ready_for_export",
     "prompt": {"message_id": "054e1df3-..", "role": "prompter", "lang": "en",
       "text": "How can I find the best 401k plan?", "deleted": false, ...
       "replies": [{"role": "assistant", "rank": 0, "text": "The first ...

Files of trees or of messages, as published. Tasks, each with the language as a
suffix and without one as an even mixture: oasst_sft (the best reply),
oasst_preference (every pair of replies), oasst_ranking (all replies of a
conversation), oasst_prompt (conversations to sample for). Long conversations
lose their beginning. `register` takes other files and languages.
"""

from collections.abc import Sequence
import functools

from xlrm.data import oasst
from xlrm.data import registry
from xlrm.data import splits

FILE = "$XLRM_REAL_DATA/oasst/*tree*.jsonl.gz"
LANGUAGES = ("de", "en", "es", "ru", "tr", "vi")
READERS = {
  "sft": ("summary", oasst.sft_rows),
  "preference": ("preference", oasst.pair_rows),
  "ranking": ("preference", oasst.ranking_rows),
  "prompt": ("summary", oasst.prompt_rows),
}


def register(
  prefix: str = "oasst",
  file: str = FILE,
  languages: Sequence[str] = LANGUAGES,
) -> None:
  """Registers the tasks and their mixtures.

  Args:
    prefix: of their names.
    file: path or glob of .jsonl, .jsonl.gz or .parquet.
    languages: as the file's `lang` spells them.
  """
  for name, (kind, read) in READERS.items():
    tasks = [
      registry.register(
        f"{prefix}_{name}.{language}",
        functools.partial(read, file=file, language=language),
        kind=kind,
        splits=splits.SPLITS,
        truncate_inputs_from_left=True,
      )
      for language in languages
    ]
    registry.register_mixture(f"{prefix}_{name}", tasks)


register()
