"""A small pool, for tests of what is made of pools."""

from xlrm.best_of_n import pools


def pool(name="a", scores=(1.0, 3.0, 3.0, 0.0), language="es"):
  """Three samples, the baseline behind them, and the greedy output."""
  row = {
    "id": name,
    "language": language,
    "dataset": "d",
    "task": "t",
    "inputs_pretokenized": f"Resume: {name}",
    "reward_inputs": name,
    "targets_pretokenized": "r",
  }
  samples = {
    "example_id": name,
    "texts": ["x", "y", "y", "z"],
    "logprobs": [-1.0, -2.0, -2.0, -3.0],
  }
  greedy = {"example_id": name, "texts": ["g"], "logprobs": [-0.5]}
  by_reward = {"en": [*scores, 9.0], "es": [5.0, 4.0, 4.0, 1.0, 2.0]}
  return pools.Pool.of(row, samples, greedy, by_reward)
