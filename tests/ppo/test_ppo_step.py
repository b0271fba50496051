"""An iteration of PPO: ratios, gradients, layouts, minibatches, bad scores.

Two policies: a tiny mT5 where dropout and the whole gradient matter, and one of
three matrices, which compiles in a moment, where layouts and counts do.
"""

import dataclasses
import functools
import types as python_types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xlrm import types
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.ppo import advantages
from xlrm.ppo import objective
from xlrm.ppo import ppo_step
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config
from xlrm.training import train_step

VOCABULARY, WIDTH, PROMPTS, SAMPLES, LENGTH = 512, 16, 16, 2, 5
SUPPORT = (np.arange(VOCABULARY) > 0) & (np.arange(VOCABULARY) < 500)
# Dropout as a checkpoint may have it: PPO must not use it (G5).
TINY = language_model.EncoderDecoder(
  t5.T5Config(
    vocab_size=VOCABULARY,
    emb_dim=WIDTH,
    num_heads=2,
    head_dim=4,
    mlp_dim=24,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.5,
  )
)
SCORER = response_scorer.ResponseScorer(TINY, None, 4, LENGTH)


@dataclasses.dataclass(frozen=True)
class Bigrams(language_model.LanguageModel):
  """Reads the last token and the first of the prompt."""

  config = python_types.SimpleNamespace(dtype="float32")

  def abstract(self):
    leaf = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    return {
      "token_embedder": {"embedding": leaf(VOCABULARY, WIDTH)},
      "decoder": {
        "mlp": {"wi": {"kernel": leaf(WIDTH, 256)}},
        "logits_dense": {"kernel": leaf(256, VOCABULARY)},
      },
    }

  def encode(self, params, inputs):
    return params["token_embedder"]["embedding"][inputs[:, 0]]

  def hidden(self, params, memory, targets):
    before = jnp.pad(targets, ((0, 0), (0, 0), (1, 0)))[..., :-1]
    return self._state(params, memory[:, None, None], before)

  def start(self, params, memory, num_lanes, max_tokens):
    return memory

  def step(self, params, cache, tokens, ages):
    return self._state(params, cache[:, None], tokens), cache

  def output_matrix(self, params):
    return params["decoder"]["logits_dense"]["kernel"]

  def _state(self, params, prompt, tokens):
    read = params["token_embedder"]["embedding"][tokens] + prompt
    return jnp.tanh(read @ params["decoder"]["mlp"]["wi"]["kernel"])


@dataclasses.dataclass(frozen=True)
class BigramValues:
  """A value model: a head on the states of `Bigrams`."""

  def abstract(self):
    backbone = Bigrams().abstract()
    del backbone["decoder"]["logits_dense"]
    head = jax.ShapeDtypeStruct((256, 1), jnp.float32)
    return {"backbone": backbone, "head": head}

  def token_values(self, params, batch):
    memory = Bigrams().encode(params["backbone"], batch.inputs)
    hidden = Bigrams().hidden(params["backbone"], memory, batch.targets)
    return (hidden @ params["head"])[..., 0]


def random_params(model, seed=0):
  """Like `init`, without the seconds that it takes to compile."""
  draw = np.random.default_rng(seed)

  def leaf(shape):
    if len(shape) == 1:
      return np.ones(shape, np.float32)
    scale = shape[0] ** -0.5 if shape[0] < VOCABULARY else 1.0
    return draw.normal(size=shape, scale=scale).astype(np.float32)

  return jax.tree.map(lambda x: leaf(x.shape), model.abstract())


def prompts():
  inputs = np.zeros((PROMPTS, 4), np.int32)
  inputs[:, 0] = 5 + np.arange(PROMPTS)
  inputs[:, 1] = 1
  return inputs


def synthetic_rollout(seed=0):
  """Ragged responses with random numbers; a response that does not end."""
  draw = np.random.default_rng(seed)
  shape = (PROMPTS, SAMPLES, LENGTH)
  lengths = draw.integers(1, LENGTH + 1, shape[:2])
  places = np.arange(LENGTH)
  mask = places < lengths[..., None]
  tokens = np.where(mask, draw.integers(2, 500, shape), 0)
  ends = lengths < LENGTH
  tokens[ends[..., None] & (places == lengths[..., None] - 1)] = types.EOS_ID
  numbers = [
    np.where(mask, draw.normal(-6.2, 0.3, shape), np.nan).astype(np.float32)
    for _ in range(2)
  ]
  values = np.where(mask, draw.normal(size=shape), np.nan).astype(np.float32)
  batch = types.Batch(
    prompts(), tokens.astype(np.int32), mask.astype(np.float32)
  )
  scores = draw.normal(size=shape[:2]).astype(np.float32)
  return types.Rollout(batch, *numbers, values, scores), ends


@functools.partial(jax.jit, static_argnums=(0, 1))
def first_minibatch(model, temperature, params, key):
  """Metrics of a rollout and of its loss, with the parameters that drew it."""
  config = objective.PPOConfig(advantage=advantages.LeaveOneOut())
  inputs = jnp.asarray(prompts())
  samples = decoding.sample(
    model,
    params,
    inputs,
    jax.random.split(key, PROMPTS),
    sampling_config.SamplingConfig(max_tokens=LENGTH, temperature=temperature),
    SAMPLES,
    jnp.asarray(SUPPORT),
  )
  reference = ppo_step.reference_logprobs(
    model, params, inputs, samples.tokens, temperature, jnp.asarray(SUPPORT)
  )
  weights = (samples.tokens > 0).astype(jnp.float32)
  batch = types.Batch(inputs, samples.tokens, weights)
  none = jnp.zeros_like(reference)
  scores = jnp.sum(samples.tokens, axis=-1).astype(jnp.float32)
  rollout = types.Rollout(batch, samples.logprobs, reference, none, scores)
  experience, metrics = objective.experience_of(
    rollout, samples.finished, jnp.float32(0.1), config
  )
  loss_fn = ppo_step.policy_loss_of(
    model, config, temperature, jnp.asarray(SUPPORT)
  )
  loss = loss_fn(params, experience, jax.random.key(1))
  return {**metrics, **loss.metrics}


MODELS = {"bigrams": Bigrams(), "mt5 with dropout": TINY}


@pytest.mark.parametrize(
  ("name", "temperature"),
  [
    ("bigrams", 0.7),
    ("bigrams", 1.0),
    ("mt5 with dropout", 1.3),
    pytest.param("bigrams", 1.3, marks=pytest.mark.slow),
    pytest.param("mt5 with dropout", 0.7, marks=pytest.mark.slow),
    pytest.param("mt5 with dropout", 1.0, marks=pytest.mark.slow),
  ],
)
def test_g05_first_minibatch_has_ratio_1_and_no_kl(name, temperature):
  model = MODELS[name]
  metrics = first_minibatch(
    model, temperature, random_params(model), jax.random.key(3)
  )
  for name in ("val/ratio_deviation", "policy/approxkl_avg"):
    total, weight = metrics[name]
    assert weight > 100 and total / weight <= 1e-5
  for name in ("objective/kl", "objective/k1", "objective/k2", "objective/k3"):
    total, weight = metrics[name]
    assert weight == PROMPTS * SAMPLES and abs(total / weight) <= 2e-5
  assert metrics["policy/clipfrac_avg"][0] == 0


def test_gradients_of_the_whole_losses_equal_finite_differences():
  """Along a random direction of every parameter, by a stencil of fourth order.

  float32 leaves some 1e-7 in each of the stencil's four losses of about 1,
  divided by a step of 0.02: 1e-5, plus what the order leaves. The minima and
  maxima of the losses have kinks, so the old log-probabilities and values are
  put where no kink is near, on both sides of each.
  """
  rollout, _ = synthetic_rollout()
  batch, mask = rollout.batch, rollout.batch.weights > 0
  support = jnp.asarray(SUPPORT)
  config = objective.PPOConfig(entropy_coefficient=0.05)
  policy_loss = ppo_step.policy_loss_of(TINY, config, 0.8, support)
  value_loss = ppo_step.value_loss_of(SCORER, config)

  def total(params, experience):
    found = [
      loss_fn(tree, experience, jax.random.key(0))
      for loss_fn, tree in zip((policy_loss, value_loss), params)
    ]
    metrics = found[0].metrics | found[1].metrics
    return sum(loss.total / loss.weight for loss in found), metrics

  @jax.jit
  def slopes_and_predictions(params, experience):
    logprobs = ppo_step.reference_logprobs(
      TINY, params[0], batch.inputs, batch.targets, 0.8, support
    )
    values = SCORER.token_values(params[1], batch)
    found = jax.grad(total, has_aux=True)(params, experience)
    return *found, logprobs, values

  params = random_params(TINY), random_params(SCORER)
  nothing = objective.Experience(batch, *[jnp.zeros(mask.shape)] * 4)
  *_, logprobs, values = slopes_and_predictions(params, nothing)
  draw = np.random.default_rng(0)
  pick = lambda *choices: draw.choice(np.float32(choices), mask.shape)
  experience = objective.Experience(
    batch,
    logprobs=logprobs + pick(-0.6, -0.05, 0.05, 0.6),
    values=values + pick(-0.6, -0.05, 0.05, 0.6),
    advantages=jnp.float32(draw.normal(size=mask.shape)),
    returns=values + pick(-3, 3),
  )
  slopes, metrics, *_ = slopes_and_predictions(params, experience)
  for name in ("policy/clipfrac_avg", "val/clipfrac_avg"):
    clipped, weight = metrics[name]
    assert 0.1 < clipped / weight < 0.9
  leaves, structure = jax.tree.flatten(params)
  direction = [draw.normal(size=x.shape).astype(np.float32) for x in leaves]
  direction = [x / np.linalg.norm(x) for x in direction]

  @jax.jit
  def along(sizes):
    moved = [x + size * d for x, size, d in zip(leaves, sizes, direction)]
    return total(jax.tree.unflatten(structure, moved), experience)[0]

  step, stencil = 0.02, ((-2, 1), (-1, -8), (1, 8), (2, -1))
  for i, slope in enumerate(jax.tree.leaves(slopes)):
    only = np.float32(np.arange(len(leaves)) == i)
    found = sum(c * float(along(x * step * only)) for x, c in stencil)
    expected = float(np.vdot(slope, direction[i]))
    assert found / (12 * step) == pytest.approx(expected, abs=5e-5, rel=2e-3)


def _mesh(data=1, model=1):
  return meshes.MeshConfig(data, model).build(jax.devices()[: data * model])


CONFIG = objective.PPOConfig(
  kl_target=0.5,
  kl_horizon=100.0,
  entropy_coefficient=0.01,
  num_minibatches=2,
  num_epochs=2,
)


class Learner:
  """`make_learn` compiled on a mesh, as the job does it."""

  def __init__(self, mesh, parts=1):
    self.mesh = mesh
    self.models = Bigrams(), BigramValues()
    # Not Adafactor: it divides each element by its own size, so one whose
    # gradient sums up to almost 0 takes its rounding error for a direction.
    self.optimizer = optax.sgd(0.03, momentum=0.5)
    make_step = functools.partial(
      train_step.make_train_step,
      optimizer=self.optimizer,
      num_microbatches=parts,
    )
    policy_loss = ppo_step.policy_loss_of(
      self.models[0], CONFIG, 1.0, jnp.asarray(SUPPORT)
    )
    value_loss = ppo_step.value_loss_of(self.models[1], CONFIG)
    learn = ppo_step.make_learn(
      make_step(policy_loss), make_step(value_loss), CONFIG
    )
    places = jax.tree.map(lambda x: x.sharding, self.initial())
    self._learn = jax.jit(learn, out_shardings=(places, None))

  def initial(self):
    states = [
      train_step.initial_state(random_params(x), self.optimizer, self.mesh)
      for x in self.models
    ]
    state = ppo_step.initial_state(*states, CONFIG.kl_coefficient)
    return jax.device_put(state, sharding.tree_shardings(state, self.mesh))

  def __call__(self, state, rollout, ends):
    rollout, ends = sharding.shard((rollout, ends), self.mesh)
    with meshes.active(self.mesh):
      state, metrics = self._learn(state, rollout, ends, jax.random.key(0))
    return state, jax.device_get(metrics)


@pytest.fixture(scope="module")
def one_device():
  return Learner(_mesh())


def iterations(learner, number=5):
  state, history = learner.initial(), []
  for i in range(number):
    state, metrics = learner(state, *synthetic_rollout(i))
    history.append(metrics)
  return jax.device_get(state), history


@pytest.fixture(scope="module")
def five_iterations(one_device):
  return iterations(one_device)


@pytest.mark.parametrize(
  ("data", "model", "parts"),
  [
    (4, 2, 2),
    pytest.param(1, 1, 4, marks=pytest.mark.slow),
    pytest.param(4, 2, 1, marks=pytest.mark.slow),
    pytest.param(1, 8, 1, marks=pytest.mark.slow),
  ],
)
def test_g07_layouts_and_microbatches_give_the_same_parameters(
  five_iterations, data, model, parts
):
  expected, history = five_iterations
  state, found = iterations(Learner(_mesh(data, model), parts))
  moved = []
  for ours, theirs, start in zip(
    (state.params, state.value.params),
    (expected.params, expected.value.params),
    map(random_params, (Bigrams(), BigramValues())),
  ):
    for a, b, c in zip(*map(jax.tree.leaves, (ours, theirs, start))):
      np.testing.assert_allclose(a, b, atol=1e-5, rtol=0)
      moved.append(np.abs(b - c).max())
  assert min(moved) > 1e-3  # a hundred times the tolerance
  np.testing.assert_allclose(
    state.kl_coefficient, expected.kl_coefficient, rtol=1e-6
  )
  assert state.kl_coefficient != np.float32(CONFIG.kl_coefficient)
  for a, b in zip(found, history, strict=True):
    assert set(a) == set(b)
    for name, (total, weight) in b.items():
      assert a[name][1] == weight, name
      np.testing.assert_allclose(a[name][0], total, rtol=1e-4, atol=1e-3)


def test_every_model_takes_every_update(five_iterations):
  state, history = five_iterations
  assert (int(state.step), int(state.nonfinite_total)) == (5, 0)
  assert int(state.policy.step) == int(state.value.step) == 5 * 2 * 2
  assert state.policy.params is None
  for metrics in history:
    assert metrics["policy/skipped"] == metrics["val/skipped"] == (0, 4)
    number = synthetic_rollout()[0].batch.weights.sum()
    assert metrics["val/first_ratio_deviation"][1] < number
    assert "val/ratio_deviation" not in metrics


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_g22_a_score_that_is_not_finite_skips_the_update_and_is_counted(
  one_device, bad
):
  rollout, ends = synthetic_rollout()
  scores = rollout.scores.copy()
  scores[3, 1] = bad
  state, _ = one_device(one_device.initial(), rollout, ends)
  after, metrics = one_device(state, rollout.replace(scores=scores), ends)
  # Advantages are whitened over the batch, so the policy learns nothing; the
  # value model misses the minibatch of each epoch that holds the prompt.
  assert metrics["skipped"] == (1, 1)
  assert metrics["policy/skipped"] == (4, 4)
  assert metrics["val/skipped"] == (2, 4)
  before, now = ((x.params, x.policy.opt_state) for x in (state, after))
  jax.tree.map(np.testing.assert_array_equal, now, before)
  leaves = jax.tree.leaves(after.value)
  assert all(np.isfinite(leaf).all() for leaf in leaves)
  assert np.isfinite(after.kl_coefficient)
  once_more, _ = one_device(after, rollout.replace(scores=scores), ends)
  counts = lambda x: (int(x.nonfinite_streak), int(x.nonfinite_total))
  assert (counts(after), counts(once_more)) == ((1, 1), (2, 2))
  good, metrics = one_device(once_more, rollout, ends)
  assert counts(good) == (0, 2) and metrics["skipped"] == (0, 1)
  assert int(good.step) == 4


def test_a_kl_that_is_not_finite_leaves_its_coefficient(one_device):
  rollout, ends = synthetic_rollout()
  wrong = rollout.reference_logprobs.copy()
  wrong[0, 0, 0] = np.nan
  start = one_device.initial()
  state, _ = one_device(start, rollout.replace(reference_logprobs=wrong), ends)
  assert state.kl_coefficient == start.kl_coefficient
  assert int(state.nonfinite_total) == 1


def counting_step(state, part, key):
  """An update that counts the prompts that it reads."""
  del key
  read = jnp.sum(part.batch.inputs[:, 0] > 0)
  return state.replace(params=state.params + read, step=state.step + 1), {}


def counter():
  zero = jnp.zeros((), jnp.int32)
  return train_step.TrainState(zero, zero, None, zero, zero)


@pytest.mark.parametrize(
  ("policy_step", "value_step"),
  [(None, counting_step), (counting_step, None), (None, None)],
)
def test_a_frozen_policy_and_no_value_model_are_left_as_they_are(
  policy_step, value_step
):
  state = ppo_step.initial_state(counter(), value_step and counter(), 0.1)
  if policy_step is None:
    state = state.replace(params=None)  # not an argument of the program
  learn = ppo_step.make_learn(policy_step, value_step, CONFIG)
  after, metrics = jax.jit(learn)(
    state, *synthetic_rollout(), jax.random.key(0)
  )
  read = 2 * PROMPTS  # in two epochs
  assert after.params == (read if policy_step else None)
  assert after.value is None or after.value.params == read
  assert (after.value is None) == (value_step is None)
  assert (int(after.step), int(after.nonfinite_total)) == (1, 0)
  assert metrics["skipped"] == (0, 1)


def rows_taken(config, steps=(0,)):
  """[updates, rows] per step: which prompts each update reads."""
  size = PROMPTS // config.num_minibatches
  updates = config.num_epochs * config.num_minibatches

  def policy_step(state, part, key):
    del key
    rows = part.batch.inputs[:, 0] - 5
    params = state.params.at[state.step].set(rows)
    return state.replace(params=params, step=state.step + 1), {}

  policy = counter().replace(params=jnp.zeros((updates, size), jnp.int32))
  state = ppo_step.initial_state(policy, None, 0.1)
  learn = jax.jit(ppo_step.make_learn(policy_step, None, config))
  for step in steps:
    start = state.replace(step=jnp.int32(step))
    found, _ = learn(start, *synthetic_rollout(), jax.random.key(0))
    yield np.asarray(found.params)


def test_every_epoch_reads_every_prompt_once_in_another_order():
  config = objective.PPOConfig(num_epochs=3, num_minibatches=4)
  rows, again, other = rows_taken(config, steps=(0, 0, 1))
  assert rows.shape == (12, 4)
  epochs = rows.reshape(3, PROMPTS)
  np.testing.assert_array_equal(np.sort(epochs), [np.arange(PROMPTS)] * 3)
  assert len({tuple(epoch) for epoch in epochs}) == 3
  np.testing.assert_array_equal(again, rows)
  assert (other != rows).any()


def test_one_minibatch_takes_the_batch_as_it_is():
  (rows,) = rows_taken(objective.PPOConfig(num_epochs=2))
  np.testing.assert_array_equal(rows, [np.arange(PROMPTS)] * 2)


def test_prompts_that_do_not_divide_over_minibatches_are_refused():
  with pytest.raises(ValueError, match="16 prompts .* 3 minibatches"):
    list(rows_taken(objective.PPOConfig(num_minibatches=3)))
