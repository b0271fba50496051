"""The controller of the KL coefficient, by hand."""

import jax.numpy as jnp
import pytest

from xlrm.ppo import kl_controller
from xlrm.ppo import objective


@pytest.mark.parametrize(
  ("kl", "factor"),
  [(12.0, 1.00512), (6.6, 1.00256), (6.0, 1.0), (5.7, 0.99872), (-3, 0.99488)],
)
def test_adaptive_coefficient_by_hand(kl, factor):
  """Target 6, 256 responses of a horizon of 10,000: at most 0.2 x 0.0256."""
  settings = objective.PPOConfig(kl_target=6.0, kl_horizon=10_000.0)
  found = kl_controller.adapted_kl_coefficient(
    jnp.float32(0.2), jnp.float32(kl), 256.0, settings
  )
  assert float(found) == pytest.approx(0.2 * factor, rel=1e-5)
  fixed = kl_controller.adapted_kl_coefficient(
    jnp.float32(0.2), jnp.float32(kl), 256.0, objective.PPOConfig()
  )
  assert fixed == jnp.float32(0.2)


def test_a_horizon_shorter_than_a_step_is_refused():
  settings = objective.PPOConfig(kl_target=6.0, kl_horizon=100.0)
  kl_controller.check_horizon(settings, 499)
  with pytest.raises(ValueError, match="kl_horizon 100.0 .* 500 responses"):
    kl_controller.check_horizon(settings, 500)
  kl_controller.check_horizon(
    objective.PPOConfig(kl_horizon=100.0), 500
  )  # nothing adapts
