"""Sampling: prefill, continuous batching, and texts in, texts out.

from xlrm import sampling
sampling.load("runs/sft_es")("Un incendio destruyó 54 casas.", n=8)
"""


def __getattr__(name: str):
  """`load` and `Sampler`, imported when they are asked for."""
  if name in ("load", "Sampler"):
    from xlrm.sampling import text_sampler

    return getattr(text_sampler, name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
