"""Continuous batching: prompts in, responses out, to the end.

P slots hold a prompt each, N rows of a slot draw its responses. A slot whose
responses are all drawn gets the next prompt; when no prompt is left, the batch
is halved again and again to what is still under way. Prompts come longest
first, so that the memory of the slots can shrink. The host only schedules: it
reads back which slots are done, and works on their responses while the device
draws on.
"""

from collections.abc import Callable, Sequence
import dataclasses

import jax
import numpy as np

from xlrm import types
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_programs
from xlrm.sampling import decode_state
from xlrm.sampling import sampling_config

MIN_ROWS = 4  # a step with fewer rows is not faster


@dataclasses.dataclass
class Usage:
  """How many rows were computed, and how many of them drew a token."""

  row_steps: int = 0
  useful: int = 0

  @property
  def share(self) -> float:
    """The share of the computed rows that drew a token."""
    return self.useful / max(1, self.row_steps)


Done = Callable[[int, np.ndarray, np.ndarray], None]


class Scheduler:
  """One pass over a list of prompts.

  Args:
    model: of the weights.
    weights: of `prepare`.
    config: how a token is drawn.
    prompts: token ids, EOS included.
    hashes: one uint32 per prompt: its key, with the seed.
    num_samples: n, responses per prompt.
    shape: how many at once; its slots a multiple of the mesh's data shards.
    lengths: ascending; what prompts are padded to.
    seed: of the draws.
    mesh: slots are spread over its 'data' axis.
    min_rows: the batch is not made smaller than this at the end.
  """

  def __init__(
    self,
    model: language_model.EncoderDecoder,
    weights: decode_state.Weights,
    config: sampling_config.SamplingConfig,
    prompts: Sequence[np.ndarray],
    hashes: Sequence[int],
    *,
    num_samples: int,
    shape: batch_shapes.BatchShape,
    lengths: Sequence[int],
    seed: int = 0,
    mesh: jax.sharding.Mesh | None = None,
    min_rows: int = MIN_ROWS,
  ):
    self.model, self.weights, self.config = model, weights, config
    self.prompts, self.hashes, self.seed = prompts, hashes, np.uint32(seed)
    self.num_samples, self.shape, self.mesh = num_samples, shape, mesh
    self.lengths, self.min_rows = sorted(lengths), min_rows
    self.unit = 1 if mesh is None else mesh.shape["data"]
    # The next prompt is the last.
    self.queue = sorted(
      range(len(prompts)), key=lambda i: (len(prompts[i]), -i)
    )
    self.usage = Usage()

  def run(self, done: Done) -> Usage:
    """Draws the responses to all prompts; says how many rows that took.

    Args:
      done: called with (prompt index, tokens [n T], logprobs [n T]) for each
        prompt, in the order in which they end.
    """
    if not self.queue:
      return self.usage
    self._start()
    waiting = []
    while True:
      self._refill()
      if not any(x is not None for x in self.held):
        break
      with meshes.active(self.mesh):
        self.state, news = decode_programs.advance(
          self.model, self.config, self.weights, self.state, *self._limits()
        )
      for part in waiting:  # while the device draws
        self._report(done, *part)
      busy, oldest, steps = jax.device_get(news)
      self.usage.row_steps += int(steps) * self.shape.rows
      waiting = self._ended(busy)
      self._reshape(busy, int(oldest))
    for part in waiting:
      self._report(done, *part)
    return self.usage

  def _start(self) -> None:
    self.length = self._padded(len(self.prompts[self.queue[-1]]))
    self.windows = batch_shapes.window_lengths(self.config.max_tokens)
    self.window = self.windows.pop(0)
    self.held: list[int | None] = [None] * self.shape.slots
    self.prefill_size = meshes.round_up(self.shape.prefill_size, self.unit)
    with meshes.active(self.mesh):
      self.state = decode_programs.empty(
        self.model,
        self.weights.params,
        self.shape,
        self.num_samples,
        self.length,
        self.config.max_tokens,
        self.window,
      )

  def _padded(self, length: int) -> int:
    return next(x for x in self.lengths if x >= length)

  def _refill(self) -> None:
    free = [slot for slot, prompt in enumerate(self.held) if prompt is None]
    while self.queue and len(free) >= self.prefill_size:
      slots, free = free[: self.prefill_size], free[self.prefill_size :]
      self._prefill(slots)

  def _prefill(self, slots: list[int]) -> None:
    """The next prompts, one per slot as long as there are any."""
    places = np.full(len(slots), self.shape.slots, np.int32)
    hashes = np.zeros(len(slots), np.uint32)
    length = self._padded(len(self.prompts[self.queue[-1]]))
    inputs = np.zeros((len(slots), length), np.int32)
    for row, slot in enumerate(slots[: len(self.queue)]):
      prompt = self.queue.pop()
      self.held[slot] = prompt
      places[row], hashes[row] = slot, self.hashes[prompt]
      inputs[row, : len(self.prompts[prompt])] = self.prompts[prompt]
    wanted = np.full(len(slots), self.num_samples, np.int32)
    if self.mesh is not None:
      inputs, hashes = sharding.shard((inputs, hashes), self.mesh)
    with meshes.active(self.mesh):
      self.state = decode_programs.prefill(
        self.model,
        self.weights.params,
        self.state,
        inputs,
        hashes,
        self.seed,
        places,
        wanted,
      )

  def _limits(self) -> tuple[np.int32, np.int32]:
    """Stop when this few slots, or rows of each slot, are busy."""
    slots, rows = 0, 0
    if self.queue:
      slots = self.shape.slots - self.prefill_size
    else:
      if self._can_halve_slots():
        slots = self.shape.slots // 2
      if self._can_halve_rows():
        rows = self.shape.rows_per_slot // 2
    return np.int32(slots), np.int32(rows)

  def _can_halve_slots(self) -> bool:
    return (
      self.shape.slots % (2 * self.unit) == 0
      and self.shape.rows // 2 >= self.min_rows
    )

  def _can_halve_rows(self) -> bool:
    return (
      self.shape.rows_per_slot % 2 == 0
      and self.shape.rows // 2 >= self.min_rows
    )

  def _ended(self, busy: np.ndarray) -> list[tuple]:
    """Takes the responses of the slots that are done."""
    slots = [
      slot
      for slot, prompt in enumerate(self.held)
      if prompt is not None and not busy[slot]
    ]
    if not slots:
      return []
    prompts = [self.held[slot] for slot in slots]
    for slot in slots:
      self.held[slot] = None
    # A power of two of them, so that few sizes are compiled.
    padded = slots + [0] * ((1 << (len(slots) - 1).bit_length()) - len(slots))
    with meshes.active(self.mesh):
      found = decode_programs.responses(
        self.state, np.asarray(padded, np.int32)
      )
    return [(prompts, found)]

  def _report(self, done: Done, prompts, found) -> None:
    tokens, logprobs = jax.device_get(found)
    for row, prompt in enumerate(prompts):
      self.usage.useful += int((tokens[row] != types.PAD_ID).sum())
      done(prompt, tokens[row], logprobs[row])

  def _reshape(self, busy: np.ndarray, oldest: int) -> None:
    """A longer window, shorter prompts, fewer slots and rows."""
    with meshes.active(self.mesh):
      if oldest >= self.window:
        self.window = self.windows.pop(0)
        self.state = decode_programs.grow(self.state, self.window)
      held = [len(self.prompts[x]) for x in self.held if x is not None]
      following = [len(self.prompts[x]) for x in self.queue[-1:]]
      length = self._padded(max(held + following, default=self.length))
      if 2 * length <= self.length:
        self.length = length
        self.state = decode_programs.shorten(self.state, length)
      if not self.queue:
        self._halve(busy)

  def _halve(self, busy: np.ndarray) -> None:
    before, shape = self.shape, self.shape
    under_way = [s for s, x in enumerate(self.held) if x is not None]
    most = max((int(busy[s]) for s in under_way), default=0)
    while self._can_halve_slots() and len(under_way) <= self.shape.slots // 2:
      self.shape = dataclasses.replace(self.shape, slots=self.shape.slots // 2)
    while self._can_halve_rows() and most <= self.shape.rows_per_slot // 2:
      self.shape = dataclasses.replace(
        self.shape, rows_per_slot=self.shape.rows_per_slot // 2
      )
    shape = self.shape
    if shape == before or not under_way:
      return
    rest = [s for s in range(before.slots) if s not in under_way]
    slots = (under_way + rest)[: shape.slots]
    self.held = [self.held[s] for s in slots]
    self.state = decode_programs.take(
      self.state, np.asarray(slots, np.int32), shape.rows_per_slot
    )
