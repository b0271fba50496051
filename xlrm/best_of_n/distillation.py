"""Best-of-n distillation: a policy trained on what a reward model chose.

SFT on the winners of best-of-n moves the policy towards best-of-n, so that one
sample of it is worth several (https://arxiv.org/abs/2308.08998 does it round
after round).
"""

from collections.abc import Mapping
import zlib

import numpy as np

from xlrm import types
from xlrm.batches import batch_sources
from xlrm.best_of_n import estimators
from xlrm.best_of_n import pools
from xlrm.storage import files
from xlrm.text import tokenizer as tokenizer_lib


def winners_source(
  run: str,
  reward: str,
  lengths: Mapping[str, int],
  batch_size: int,
  tokenizer: tokenizer_lib.Tokenizer,
  validation_share: float = 0.1,
  seed: int = 0,
) -> batch_sources.ArraySource:
  """SFT batches: the prompts of a best-of-n run, each with its winner.

  Args:
    run: MODEL_DIR of the run.
    reward: name of the reward model that chooses.
    lengths: tokens of `inputs` and `targets`, EOS included.
    batch_size: prompts per batch.
    tokenizer: of the policy that is trained.
    validation_share: of the prompts, chosen by their id.
    seed: of the order.

  Raises:
    ValueError: the run was not scored by `reward`, or no prompt is left.
  """
  if not 0 <= validation_share < 1:
    raise ValueError(f"validation_share {validation_share} is not in [0, 1)")
  path = files.path(run) / pools.FILE
  if not path.exists():
    raise FileNotFoundError(
      f"{run} holds no {pools.FILE}: a MODEL_DIR of best_of_n.run was expected"
    )
  texts = {"train": [], "validation": []}
  for pool in pools.read(path):
    winner = pool.texts[int(estimators.select(pool.scores_by(reward)))]
    part = zlib.crc32(pool.example_id.encode()) / 2**32
    split = "validation" if part < validation_share else "train"
    texts[split].append(
      {
        "id": pool.example_id,
        "language": pool.language,
        "dataset": pool.dataset,
        "task": pool.task,
        "inputs_pretokenized": pool.inputs,
        "targets_pretokenized": winner,
        "reward_inputs": pool.reward_inputs,
      }
    )
  if not texts["train"]:
    raise ValueError(f"{path}: no prompt is left for training")

  def ids(text: str) -> np.ndarray:
    return np.asarray([*tokenizer.encode(text), types.EOS_ID], np.int32)

  examples = {
    split: [
      {name: ids(row[f"{name}_pretokenized"]) for name in ("inputs", "targets")}
      for row in rows
    ]
    for split, rows in texts.items()
  }
  return batch_sources.ArraySource(
    train=examples["train"],
    validation=examples["validation"],
    lengths=lengths,
    batch_size=batch_size,
    seed=seed,
    texts=texts,
  )
