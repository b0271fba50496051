"""Keeps the lanes of the sampler busy: prompts in, responses out, to the end.

P slots hold a prompt each, N lanes of a slot draw its responses. A slot whose
responses are all drawn gets the next prompt; when no prompt is left, the batch
is halved again and again to what is still under way. Prompts come longest
first, so that the memory of the slots can shrink. The host only schedules: it
reads back which slots are done, and works on their responses while the device
draws on.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np

from xlrm import sampling
from xlrm import sharding
from xlrm import types
from xlrm.models import language_model

FIRST_RING = 64  # tokens; the ring of keys and values grows fourfold
MIN_ROWS = 4  # a step with fewer rows is not faster


@dataclasses.dataclass(frozen=True)
class Grid:
  """P slots for prompts, N lanes for responses in each."""

  slots: int
  lanes: int

  @property
  def rows(self) -> int:
    return self.slots * self.lanes


@dataclasses.dataclass
class Usage:
  """How many rows were computed, and how many of them drew a token."""

  row_steps: int = 0
  useful: int = 0

  @property
  def share(self) -> float:
    return self.useful / max(1, self.row_steps)


def _round_up(number: int, unit: int) -> int:
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
  return Grid(_round_up(slots, data_shards), lanes)


def ring_lengths(max_tokens: int) -> list[int]:
  """64 -> [64];  512 -> [64, 256, 512]"""
  lengths = []
  ring = FIRST_RING
  while ring < max_tokens:
    lengths.append(ring)
    ring *= 4
  return [*lengths, max_tokens]


def _on_mesh(lanes: sampling.Lanes) -> sampling.Lanes:
  """Slots over 'data', heads over 'model', while a mesh is active."""
  axes = sharding.active_axes()
  if not axes:
    return lanes

  def place(x, heads=None):
    spec = [None] * x.ndim
    if x.ndim:
      spec[0] = "data"
    if heads is not None and x.shape[heads] % axes["model"] == 0:
      spec[heads] = "model"
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))

  cache = lanes.cache
  placed = jax.tree.map(place, lanes.replace(cache=None))
  return placed.replace(
    cache=cache.replace(
      cross=jax.tree.map(functools.partial(place, heads=1), cache.cross),
      past=jax.tree.map(functools.partial(place, heads=2), cache.past),
      clock=place(cache.clock),
      mask=place(cache.mask),
    )
  )


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4, 5, 6))
def _empty(model, params, grid, num_samples, prompt_length, max_tokens, ring):
  """Lanes without prompts: zeros of the shapes that the model gives."""

  def start(params, inputs):
    return model.start(params, model.encode(params, inputs), grid.lanes, ring)

  inputs = jax.ShapeDtypeStruct((grid.slots, prompt_length), jnp.int32)
  cache = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(start, params, inputs)
  )
  return _on_mesh(
    sampling.begin(
      cache,
      jax.vmap(jax.random.key)(jnp.zeros(grid.slots, jnp.uint32)),
      jnp.zeros(grid.slots, jnp.int32),
      num_lanes=grid.lanes,
      num_samples=num_samples,
      max_tokens=max_tokens,
    )
  )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def _insert(model, params, lanes, inputs, hashes, seed, slots, wanted):
  """Reads F prompts and puts them into slots; a slot outside is none."""
  num_lanes = lanes.sample.shape[1]
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), hashes)
  fresh = sampling.begin(
    model.start(params, model.encode(params, inputs), num_lanes, 1),
    keys,
    wanted,
    num_lanes=num_lanes,
    num_samples=lanes.tokens.shape[1],
    max_tokens=lanes.tokens.shape[2],
  )
  put = lambda old, new: old.at[slots].set(new, mode="drop")
  rest = jax.tree.map(
    put,
    lanes.replace(cache=None, steps=None),
    fresh.replace(cache=None, steps=None),
  )
  cache = lanes.cache.insert(fresh.cache, slots)
  return _on_mesh(rest.replace(cache=cache, steps=lanes.steps))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def _advance(model, config, weights, lanes, slots_limit, lanes_limit):
  """New lanes; busy lanes per slot, the oldest response and the steps taken."""
  before = lanes.steps
  lanes = _on_mesh(
    sampling.advance(
      model,
      config,
      weights,
      lanes,
      lanes.cache.length,
      slots_limit,
      lanes_limit,
    )
  )
  busy = jnp.sum(lanes.busy, axis=1)
  return lanes, (busy, jnp.max(lanes.age), lanes.steps - before)


@functools.partial(jax.jit, static_argnums=1)
def _grow(lanes, ring):
  return _on_mesh(lanes.replace(cache=lanes.cache.grown(ring)))


@functools.partial(jax.jit, static_argnums=1)
def _shorten(lanes, prompt_length):
  return _on_mesh(lanes.replace(cache=lanes.cache.shortened(prompt_length)))


@functools.partial(jax.jit, static_argnums=2)
def _take(lanes, slots, num_lanes):
  """These slots, and of each num_lanes lanes, the busy ones first."""
  order = jnp.argsort(~lanes.busy[slots], axis=1, stable=True)[:, :num_lanes]
  rows = slots[:, None]
  whole = lambda x: x[slots]
  return _on_mesh(
    sampling.Lanes(
      cache=lanes.cache.take(slots, order),
      prompt_keys=whole(lanes.prompt_keys),
      wanted=whole(lanes.wanted),
      started=whole(lanes.started),
      sample=lanes.sample[rows, order],
      age=lanes.age[rows, order],
      last=lanes.last[rows, order],
      tokens=whole(lanes.tokens),
      logprobs=whole(lanes.logprobs),
      steps=lanes.steps,
    )
  )


@jax.jit
def _responses(lanes, slots):
  return lanes.tokens[slots], lanes.logprobs[slots]


_output_layer = jax.jit(sampling.output_layer, static_argnums=(0, 2))


def prepare(
  model: language_model.LanguageModel,
  params: types.Params,
  config: sampling.SamplingConfig,
  support: np.ndarray,
) -> sampling.Weights:
  """What a `Stream` reads; the output matrix is laid out once, beside params.

  Args:
    support: [V] bool, see `sampling.support_mask`.
  """
  return sampling.Weights(params, _output_layer(model, params, config, support))


Done = Callable[[int, np.ndarray, np.ndarray], None]


class Stream:
  """One pass over a list of prompts.

  Args:
    model: of the weights.
    weights: of `prepare`.
    config: how a token is drawn.
    prompts: token ids, EOS included.
    hashes: one uint32 per prompt: its key, with the seed.
    num_samples: n, responses per prompt.
    grid: how many at once; its slots a multiple of the mesh's data shards.
    lengths: ascending; what prompts are padded to.
    seed: of the draws.
    mesh: slots are spread over its 'data' axis.
    min_rows: the batch is not made smaller than this at the end.
  """

  def __init__(
    self,
    model: language_model.EncoderDecoder,
    weights: sampling.Weights,
    config: sampling.SamplingConfig,
    prompts: Sequence[np.ndarray],
    hashes: Sequence[int],
    *,
    num_samples: int,
    grid: Grid,
    lengths: Sequence[int],
    seed: int = 0,
    mesh: jax.sharding.Mesh | None = None,
    min_rows: int = MIN_ROWS,
  ):
    self.model, self.weights, self.config = model, weights, config
    self.prompts, self.hashes, self.seed = prompts, hashes, np.uint32(seed)
    self.num_samples, self.grid, self.mesh = num_samples, grid, mesh
    self.lengths, self.min_rows = sorted(lengths), min_rows
    self.unit = 1 if mesh is None else mesh.shape["data"]
    # The next prompt is the last.
    self.queue = sorted(
      range(len(prompts)), key=lambda i: (len(prompts[i]), -i)
    )
    self.usage = Usage()

  def run(self, done: Done) -> Usage:
    """Calls done(prompt index, tokens [n T], logprobs [n T]) for each prompt,
    in the order in which they end."""
    if not self.queue:
      return self.usage
    self._start()
    waiting = []
    while True:
      self._refill()
      if not any(x is not None for x in self.held):
        break
      with sharding.active(self.mesh):
        self.lanes, news = _advance(
          self.model, self.config, self.weights, self.lanes, *self._limits()
        )
      for part in waiting:  # while the device draws
        self._report(done, *part)
      busy, oldest, steps = jax.device_get(news)
      self.usage.row_steps += int(steps) * self.grid.rows
      waiting = self._ended(busy)
      self._reshape(busy, int(oldest))
    for part in waiting:
      self._report(done, *part)
    return self.usage

  def _start(self) -> None:
    self.length = self._padded(len(self.prompts[self.queue[-1]]))
    self.rings = ring_lengths(self.config.max_tokens)
    self.ring = self.rings.pop(0)
    self.held: list[int | None] = [None] * self.grid.slots
    # Prompts that are read together: few, so that no slot waits long.
    self.num_read = _round_up(max(1, self.grid.slots // 16), self.unit)
    with sharding.active(self.mesh):
      self.lanes = _empty(
        self.model,
        self.weights.params,
        self.grid,
        self.num_samples,
        self.length,
        self.config.max_tokens,
        self.ring,
      )

  def _padded(self, length: int) -> int:
    return next(x for x in self.lengths if x >= length)

  def _refill(self) -> None:
    free = [slot for slot, prompt in enumerate(self.held) if prompt is None]
    while self.queue and len(free) >= self.num_read:
      slots, free = free[: self.num_read], free[self.num_read :]
      self._read(slots)

  def _read(self, slots: list[int]) -> None:
    """The next prompts, one per slot as long as there are any."""
    places = np.full(len(slots), self.grid.slots, np.int32)
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
    with sharding.active(self.mesh):
      self.lanes = _insert(
        self.model,
        self.weights.params,
        self.lanes,
        inputs,
        hashes,
        self.seed,
        places,
        wanted,
      )

  def _limits(self) -> tuple[np.int32, np.int32]:
    """Stop when this few slots, or lanes of each slot, are busy."""
    slots, lanes = 0, 0
    if self.queue:
      slots = self.grid.slots - self.num_read
    else:
      if self._can_halve_slots():
        slots = self.grid.slots // 2
      if self._can_halve_lanes():
        lanes = self.grid.lanes // 2
    return np.int32(slots), np.int32(lanes)

  def _can_halve_slots(self) -> bool:
    return (
      self.grid.slots % (2 * self.unit) == 0
      and self.grid.rows // 2 >= self.min_rows
    )

  def _can_halve_lanes(self) -> bool:
    return self.grid.lanes % 2 == 0 and self.grid.rows // 2 >= self.min_rows

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
    with sharding.active(self.mesh):
      found = _responses(self.lanes, np.asarray(padded, np.int32))
    return [(prompts, found)]

  def _report(self, done: Done, prompts, found) -> None:
    tokens, logprobs = jax.device_get(found)
    for row, prompt in enumerate(prompts):
      self.usage.useful += int((tokens[row] != types.PAD_ID).sum())
      done(prompt, tokens[row], logprobs[row])

  def _reshape(self, busy: np.ndarray, oldest: int) -> None:
    """A longer ring, shorter prompts, fewer slots and lanes."""
    with sharding.active(self.mesh):
      if oldest >= self.ring:
        self.ring = self.rings.pop(0)
        self.lanes = _grow(self.lanes, self.ring)
      held = [len(self.prompts[x]) for x in self.held if x is not None]
      following = [len(self.prompts[x]) for x in self.queue[-1:]]
      length = self._padded(max(held + following, default=self.length))
      if 2 * length <= self.length:
        self.length = length
        self.lanes = _shorten(self.lanes, length)
      if not self.queue:
        self._halve(busy)

  def _halve(self, busy: np.ndarray) -> None:
    before, grid = self.grid, self.grid
    under_way = [s for s, x in enumerate(self.held) if x is not None]
    most = max((int(busy[s]) for s in under_way), default=0)
    while self._can_halve_slots() and len(under_way) <= self.grid.slots // 2:
      self.grid = dataclasses.replace(self.grid, slots=self.grid.slots // 2)
    while self._can_halve_lanes() and most <= self.grid.lanes // 2:
      self.grid = dataclasses.replace(self.grid, lanes=self.grid.lanes // 2)
    grid = self.grid
    if grid == before or not under_way:
      return
    rest = [s for s in range(before.slots) if s not in under_way]
    slots = (under_way + rest)[: grid.slots]
    self.held = [self.held[s] for s in slots]
    self.lanes = _take(self.lanes, np.asarray(slots, np.int32), grid.lanes)
