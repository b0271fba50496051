"""A sequence-to-sequence model of ours as the judge.

It does not write an answer: the log-probabilities of "1" and "2" at the first
decoder position decide, so it is never invalid, however little it understands.
Look at its position bias before you believe it.
"""

from collections.abc import Mapping
import dataclasses
import functools
import math
import threading
from typing import Any

from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.evaluation.prompted import completions
from xlrm.models import verdict_scorer
from xlrm.rewards import text_scoring


@dataclasses.dataclass(frozen=True)
class LocalBackend:
  """A language model in a directory.

  Attributes:
    model: see `pretrained.load_language_model`.
    max_input_length: tokens of a prompt, EOS included.
    dtype: of the computation.
  """

  model: str
  max_input_length: int = 2048
  dtype: str = "float32"
  _lock: threading.Lock = dataclasses.field(
    default_factory=threading.Lock, compare=False, repr=False
  )

  @property
  def identity(self) -> Mapping[str, Any]:
    """What changes answers, see `completions.Backend`."""
    return {
      "backend": "local",
      "model": model_files.fingerprint(self.model),
      "parameters": {"dtype": self.dtype},
    }

  @property
  def max_output_tokens(self) -> int:
    """The most tokens of an answer."""
    return 1

  @functools.cached_property
  def _loaded(self) -> tuple[verdict_scorer.VerdictScorer, Any]:
    loaded = pretrained.load_language_model(self.model, dtype=self.dtype)
    scorer = verdict_scorer.VerdictScorer(
      loaded.model,
      loaded.tokenizer,
      max_input_length=self.max_input_length,
      input_format="{document}{summary}",
      good="1",
      bad="2",
    )
    return scorer, loaded.params

  def complete(self, prompt: str) -> completions.Completion:
    """The answer to a prompt, see `completions.Backend`; one at a time.

    Raises:
      BackendError: the prompt is longer than max_input_length.
    """
    with self._lock:
      scorer, params = self._loaded
      size = len(scorer.tokenizer.encode(prompt)) + 1
      if size > self.max_input_length:
        raise completions.BackendError(
          f"a prompt has {size} tokens, and max_input_length is "
          f"{self.max_input_length}: raise it, or judge shorter inputs"
        )
      ((logit,),) = text_scoring.score_texts(
        scorer, params, [""], [[prompt]], batch_size=1
      )
    return _answer(logit, size)


def _answer(logit: float, size: int) -> completions.Completion:
  """From log p(1) - log p(2).

  log p(1) = -log(1 + exp(-logit)) among the two.
  """
  smaller = -math.log1p(math.exp(-abs(logit)))
  one, two = smaller - max(-logit, 0.0), smaller - max(logit, 0.0)
  return completions.Completion(
    text="1" if logit > 0 else "2" if logit < 0 else "tie",
    logprobs={"1": one, "2": two},
    input_tokens=size,
    output_tokens=1,
  )
