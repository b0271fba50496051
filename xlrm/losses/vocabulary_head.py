"""Log-probabilities of tokens, without [tokens, vocabulary] logits."""

import functools

from flax import struct
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Bool, Float, Int

from xlrm import types
from xlrm.distributed import meshes
from xlrm.types import checks

CHUNK_SIZE = 256  # tokens; at 250,112 rows a chunk of logits is 244 MiB
EXCLUDED = -1e9  # logit of a token outside the support


@struct.dataclass
class TokenStatistics:
  """What is asked of each token's next-token distribution, in float32."""

  logprobs: types.Array  # [..] log p(target)
  entropy: types.Array  # [..]
  log_z: types.Array  # [..] log of the sum of exp(logits)


def token_statistics(
  hidden: Float[types.Array, "*shape D"],
  output_matrix: Float[types.Array, "D V"],
  targets: Int[types.Array, "*shape"],
  *,
  mask: Bool[types.Array, "*shape"] | None = None,
  support: Bool[types.Array, " V"] | None = None,
  temperature: float = 1.0,
  chunk_size: int = CHUNK_SIZE,
) -> TokenStatistics:
  """The log-probability, entropy and log_z of softmax(hidden.W / temperature).

  All three may be differentiated. The product is taken in the dtype of
  `hidden` and accumulated in float32.

  Args:
    hidden: on an active mesh (`meshes.active`) axis 0 is split over 'data'.
    output_matrix: on an active mesh V is split over 'model'.
    targets: token ids.
    mask: where False, all results and gradients are 0, whatever `hidden` and
      `targets` hold there.
    support: tokens that can be drawn; others have probability 0, and as
      targets a log-probability of about -1e9 with no gradient.
    temperature: > 0.
    chunk_size: tokens whose logits exist at one time on a device (but at least
      one for each of its rows).

  Raises:
    ValueError: the temperature is not positive.
  """
  checks.positive("temperature", temperature)
  if mask is not None:
    hidden = jnp.where(mask[..., None], hidden, 0)
    targets = jnp.where(mask, targets, 0)
  shape = targets.shape
  rows = shape[0] if len(shape) > 1 else 1
  statistics = _statistics(
    hidden.reshape(rows, -1, hidden.shape[-1]),
    output_matrix,
    targets.reshape(rows, -1),
    support,
    temperature,
    chunk_size,
  )
  statistics = [x.reshape(shape) for x in statistics]
  if mask is not None:
    statistics = [jnp.where(mask, x, 0.0) for x in statistics]
  return TokenStatistics(*statistics)


def _logits(hidden, output_matrix, support, temperature):
  logits = jnp.dot(hidden, output_matrix, preferred_element_type=jnp.float32)
  logits = logits / temperature
  if support is None:
    return logits
  return jnp.where(support[None, None], logits, EXCLUDED)


def _is_target(targets, logits, axis):
  """[r c], [r c v] -> [r c v]; a comparison, as the id may be of another part
  of the vocabulary."""
  size = logits.shape[-1]
  first = 0 if axis is None else jax.lax.axis_index(axis) * size
  return targets[..., None] == first + jnp.arange(size)[None, None]


def _over(axis, reduce, x):
  return x if axis is None else reduce(x, axis)


def _chunks(x, chunk_size):
  """[R C ..] -> [K R width ..]: some columns of every row, the last padded."""
  rows, columns = x.shape[:2]
  width = min(columns, max(1, chunk_size // max(1, rows)))
  x = jnp.pad(x, ((0, 0), (0, -columns % width), *[(0, 0)] * (x.ndim - 2)))
  return jnp.moveaxis(x.reshape(rows, -1, width, *x.shape[2:]), 1, 0)


def _unchunk(x, columns):
  """[K R width ..] -> [R C ..]."""
  x = jnp.moveaxis(x, 0, 1)
  return x.reshape(x.shape[0], -1, *x.shape[3:])[:, :columns]


def _shard_statistics(
  hidden, matrix, targets, support, *, temperature, chunk_size, axis=None
):
  """(logprobs, entropy, log_z), each [r C], from hidden [r C D], one device.

  `matrix` [D v] is a part of the vocabulary if `axis` names the mesh axis that
  holds the parts.
  """

  def chunk(arrays):
    logits = _logits(arrays[0], matrix, support, temperature)
    peak = _over(axis, jax.lax.pmax, jnp.max(logits, axis=-1, keepdims=True))
    unnormed = jnp.exp(logits - peak)
    is_target = _is_target(arrays[1], logits, axis)
    total, weighted, target_logit = _over(
      axis,
      jax.lax.psum,
      (
        jnp.sum(unnormed, axis=-1),
        jnp.sum(unnormed * (logits - peak), axis=-1),
        jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1),
      ),
    )
    log_z = jnp.log(total) + peak[..., 0]
    return target_logit - log_z, jnp.log(total) - weighted / total, log_z

  chunks = tuple(_chunks(x, chunk_size) for x in (hidden, targets))
  columns = targets.shape[1]
  return jax.tree.map(
    lambda x: _unchunk(x, columns), jax.lax.map(chunk, chunks)
  )


def _shard_gradients(
  hidden,
  matrix,
  targets,
  support,
  entropy,
  log_z,
  gradients,
  *,
  temperature,
  chunk_size,
  axis=None,
  scatter=False,
):
  """Gradients of hidden [r C D] and, in float32, of matrix [D v], one device.

  With l the logits, p = exp(l - log_z), y the target, H the entropy:

  d logprob/dl_j = [j=y] - p_j,  d log_z/dl_j = p_j,
  d H/dl_j = -p_j (log p_j + H).
  """
  product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
  depth = matrix.shape[0]

  def chunk(matrix_gradient, arrays):
    state, target, entropy, log_z, (g_logprob, g_entropy, g_log_z) = arrays
    logits = _logits(state, matrix, support, temperature)
    logprobs = logits - log_z[..., None]
    common = g_log_z - g_logprob - g_entropy * entropy
    slope = common[..., None] - g_entropy[..., None] * logprobs
    gradient = jnp.exp(logprobs) * slope + jnp.where(
      _is_target(target, logits, axis), g_logprob[..., None], 0.0
    )
    if support is not None:
      gradient = jnp.where(support[None, None], gradient, 0.0)
    gradient = (gradient / temperature).astype(state.dtype)
    # Rows flat and the states transposed by themselves: XLA's CPU would copy
    # the chunk of gradients for this product, once or twice.
    gradient = gradient.reshape(-1, gradient.shape[-1])
    columns = jax.lax.optimization_barrier(state.reshape(-1, depth).T)
    matrix_gradient += product("dn,nv->dv", columns, gradient)
    state_gradient = product("nv,dv->nd", gradient, matrix)
    state_gradient = _over(axis, jax.lax.psum, state_gradient)
    return matrix_gradient, state_gradient.astype(state.dtype).reshape(
      state.shape
    )

  arrays = (hidden, targets, entropy, log_z, tuple(gradients))
  arrays = jax.tree.map(lambda x: _chunks(x, chunk_size), arrays)
  zeros = jnp.zeros(matrix.shape, jnp.float32)
  matrix_gradient, hidden_gradient = jax.lax.scan(chunk, zeros, arrays)
  if scatter:
    matrix_gradient = jax.lax.psum_scatter(
      matrix_gradient, "data", scatter_dimension=0, tiled=True
    )
  elif axis is not None:
    matrix_gradient = jax.lax.psum(matrix_gradient, "data")
  return _unchunk(hidden_gradient, targets.shape[1]), matrix_gradient


def _fits(axes, hidden, matrix) -> bool:
  return (
    bool(axes)
    and hidden.shape[0] % axes["data"] == 0
    and matrix.shape[1] % axes["model"] == 0
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _statistics(hidden, matrix, targets, support, temperature, chunk_size):
  """(logprobs, entropy, log_z), each [R C], from hidden [R C D]."""
  matrix = matrix.astype(hidden.dtype)
  options = {"temperature": temperature, "chunk_size": chunk_size}
  compute = functools.partial(_shard_statistics, **options)
  if _fits(meshes.active_axes(), hidden, matrix):
    rows, parts = PartitionSpec("data"), PartitionSpec("model")
    compute = jax.shard_map(
      functools.partial(compute, axis="model"),
      in_specs=(rows, PartitionSpec(None, "model"), rows, parts),
      out_specs=rows,
      check_vma=False,
    )
  return compute(hidden, matrix, targets, support)


def _statistics_forward(
  hidden, matrix, targets, support, temperature, chunk_size
):
  results = _statistics(
    hidden, matrix, targets, support, temperature, chunk_size
  )
  _, entropy, log_z = results
  return results, (hidden, matrix, targets, support, entropy, log_z)


def _statistics_backward(temperature, chunk_size, saved, gradients):
  hidden, matrix, *rest = saved
  dtype, matrix = matrix.dtype, matrix.astype(hidden.dtype)
  options = {"temperature": temperature, "chunk_size": chunk_size}
  compute = functools.partial(_shard_gradients, **options)
  axes = meshes.active_axes()
  if _fits(axes, hidden, matrix):
    rows, parts = PartitionSpec("data"), PartitionSpec("model")
    scatter = axes["data"] > 1 and matrix.shape[0] % axes["data"] == 0
    compute = jax.shard_map(
      functools.partial(compute, axis="model", scatter=scatter),
      in_specs=(rows, PartitionSpec(None, "model"), rows, parts, *[rows] * 3),
      out_specs=(rows, PartitionSpec("data" if scatter else None, "model")),
      check_vma=False,
    )
  gradient, matrix_gradient = compute(hidden, matrix, *rest, tuple(gradients))
  return gradient, matrix_gradient.astype(dtype), None, None


_statistics.defvjp(_statistics_forward, _statistics_backward)
