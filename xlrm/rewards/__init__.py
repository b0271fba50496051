"""Rewards: reward models as functions of texts, and files of their scores.

from xlrm import rewards
rewards.load("runs/rm_en")(["A fire destroyed 35 houses."], [["No."]])
"""


def __getattr__(name: str):
  """`load`, `RewardModel` or `Ensemble`, imported when they are asked for."""
  if name in ("load", "RewardModel", "Ensemble"):
    from xlrm.rewards import reward_models

    return getattr(reward_models, name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
