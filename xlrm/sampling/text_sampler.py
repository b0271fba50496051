"""A language model for notebooks: a text in, responses out.

sampler = sampling.load("runs/sft_es")
sampler("Resume: Un incendio destruyó 35 casas.", n=8)
"""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation

DEFAULT_LENGTHS = {"inputs": 1024, "targets": 512}  # the paper's


def lengths_of(
  description: model_description.Description, inputs: int = 0
) -> dict[str, int]:
  """The tokens of a prompt and of a response.

  Args:
    description: of the model; it says what the model was trained on.
    inputs: tokens of a prompt; 0 is as trained, or else the paper's.
  """
  return {
    "inputs": inputs
    or description.max_input_length
    or DEFAULT_LENGTHS["inputs"],
    "targets": description.max_response_length or DEFAULT_LENGTHS["targets"],
  }


@dataclasses.dataclass(frozen=True)
class Sampler:
  """Draws responses; the same arguments give the same responses.

  Attributes:
    policy: the model.
    batch_size: responses under way together.
  """

  policy: pretrained.Pretrained
  batch_size: int = 32

  def __call__(
    self, prompts: str | Sequence[str], n: int = 1, **options: Any
  ) -> list[str] | list[list[str]]:
    """The texts of n responses to a prompt, or to each of several prompts.

    See `generate` for the options.
    """
    if isinstance(prompts, str):
      return self.generate([prompts], n, **options)[0].texts
    return [x.texts for x in self.generate(prompts, n, **options)]

  def generate(
    self,
    prompts: Sequence[str],
    n: int = 1,
    *,
    seed: int = 0,
    max_input_length: int = 0,
    **options: Any,
  ) -> list[text_generation.Generation]:
    """The responses with their log-probabilities and lengths.

    Args:
      prompts: what the policy reads, instruction included.
      n: responses per prompt.
      seed: a response depends on it, on the prompt's place in the list and on
        its own number.
      max_input_length: tokens of a prompt; 0 is what the policy was trained on.
      **options: fields of `SamplingConfig`: temperature, top_k, max_tokens
        (without it as the policy was trained), ...
    """
    lengths = lengths_of(self.policy.description, max_input_length)
    config = sampling_config.SamplingConfig(**options)
    generator = text_generation.Generator(
      model=self.policy.model,
      tokenizer=self.policy.tokenizer,
      config=config.of_at_most(lengths["targets"]),
      max_input_length=lengths["inputs"],
      batch_size=self.batch_size,
      num_samples=n,
      seed=seed,
      truncate_inputs_from_left=(
        self.policy.description.truncate_inputs_from_left
      ),
    )
    ids = [str(number) for number in range(len(prompts))]
    return generator.generate(self.policy.params, prompts, ids)


def load(
  path: str | os.PathLike, dtype: str = "float32", batch_size: int = 32
) -> Sampler:
  """Loads a policy.

  Args:
    path: see `pretrained.load_language_model`.
    dtype: of the computation, 'float32' or 'bfloat16'.
    batch_size: responses under way together.
  """
  return Sampler(pretrained.load_language_model(path, dtype=dtype), batch_size)
