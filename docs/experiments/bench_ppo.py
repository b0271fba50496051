"""One PPO iteration of xlrm and one of TRL 0.11.4, in turn.

  python docs/experiments/bench_ppo.py --trl=TRL_ENVIRONMENT/bin/python

A machine that is shared is never the same for two runs: here the two take
turns, iteration by iteration, on the same cores, while the other one waits.
docs/experiments/bench_trl.py says what is compared, and what TRL needs. Prints
a JSON line per pair, then the ratio of the medians.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import jax

from xlrm.checkpoints import model_files
from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_ppo
from xlrm.launch import main as launch_main

HERE = pathlib.Path(__file__).parent
PARTS = ("rollout_seconds", "score_seconds", "update_seconds", "core_seconds")


def ours():
  """xlrm's step; its parts come of further steps, which are not timed whole."""
  program = benchmark_ppo.PPOSteps(
    benchmark_config.BenchmarkConfig(size="tiny", batch=16, samples=1)
  )
  for _ in range(2):  # compiles everything
    jax.block_until_ready(program.call())
  program.facts(1)

  def timed() -> dict[str, float]:
    start, worked = time.perf_counter(), time.process_time()
    jax.block_until_ready(program.call())
    found = {
      "seconds_per_call": time.perf_counter() - start,
      "core_seconds": time.process_time() - worked,
    }
    return {**found, **program.facts(1)}

  return timed


def theirs(python: str):
  """TRL's iteration, in a process that waits until it is asked."""
  vocabulary = model_files.vocabulary_path("nano")
  command = [python, HERE / "bench_trl.py", f"--vocabulary={vocabulary}"]
  child = subprocess.Popen(
    [*command, "--turns"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  )
  assert child.stdout.readline() == "ready\n"

  def timed() -> dict[str, float]:
    print(file=child.stdin, flush=True)
    return json.loads(child.stdout.readline())

  return timed


def main() -> None:
  parser = argparse.ArgumentParser()
  parser.add_argument("--trl", required=True, help="python with TRL 0.11.4")
  parser.add_argument("--pairs", type=int, default=10)
  options = parser.parse_args()
  launch_main._cache_compilations()
  sides = {"xlrm": ours(), "trl": theirs(options.trl)}
  found = {name: [] for name in sides}
  for _ in range(options.pairs):
    for name, timed in sides.items():
      found[name].append(timed())
    print(json.dumps({name: rows[-1] for name, rows in found.items()}))
  for part in ("seconds_per_call", *PARTS):
    xlrm, trl = (
      statistics.median(row[part] for row in rows) for rows in found.values()
    )
    print(f"{part}: xlrm {xlrm:.3f}, trl {trl:.3f}, ratio {trl / xlrm:.2f}")


if __name__ == "__main__":
  main()
