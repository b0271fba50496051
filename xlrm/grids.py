"""How many prompts and responses are under way together."""

import dataclasses
import math

import jax

from xlrm.models import language_model

FIRST_RING = 64  # tokens; the ring of keys and values grows fourfold


@dataclasses.dataclass(frozen=True)
class Grid:
  """P slots for prompts, N lanes for responses in each."""

  slots: int
  lanes: int

  @property
  def rows(self) -> int:
    return self.slots * self.lanes

  @property
  def num_read(self) -> int:
    """Prompts that are read together: few, so that no slot waits long."""
    return max(1, self.slots // 16)


def round_up(number: int, unit: int) -> int:
  return unit * -(-number // unit)


def choose_grid(
  model: language_model.EncoderDecoder,
  *,
  batch_size: int,
  num_prompts: int,
  num_samples: int,
  prompt_length: int,
  data_shards: int = 1,
) -> Grid:
  """How `batch_size` responses under way are spread over prompts.

  Few lanes per prompt keep all of them busy to the end, many read the prompt's
  keys and values for more responses at once. So: about sqrt(n / 2) lanes, and
  more while the slots' keys and values would outweigh half of the weights,
  which a step reads, too; never fewer rows than the prompts can fill.

  Args:
    model: its sizes say what a prompt weighs.
    batch_size: P * N at most, apart from rounding to data_shards.
    num_prompts: to draw for.
    num_samples: n, responses per prompt.
    prompt_length: S.
    data_shards: P is a multiple.
  """
  config = model.config
  prompt = prompt_length * config.num_heads * config.head_dim
  prompt *= 2 * config.num_decoder_layers
  weights = sum(math.prod(x.shape) for x in jax.tree.leaves(model.abstract()))
  lanes = 1 << max(0, int(math.log2(max(1.0, (num_samples / 2) ** 0.5))))
  while lanes < num_samples and batch_size // lanes * prompt > weights / 2:
    lanes *= 2
  lanes = min(lanes, num_samples, batch_size)
  slots = batch_size // lanes
  if slots > num_prompts:
    slots = num_prompts
    lanes = min(num_samples, max(lanes, batch_size // slots))
  return Grid(round_up(slots, data_shards), lanes)


def ring_lengths(max_tokens: int) -> list[int]:
  """64 -> [64];  512 -> [64, 256, 512]"""
  lengths = []
  ring = FIRST_RING
  while ring < max_tokens:
    lengths.append(ring)
    ring *= 4
  return [*lengths, max_tokens]
