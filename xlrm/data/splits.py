"""Splits by a key that rows share: an article, a conversation tree."""

import hashlib

SPLITS = ("train", "validation", "test")
HELD_OUT = 0.1  # share of keys in each of validation and test


def split_of(key: str) -> str:
  """Stable, whatever else is in the file: all rows of a key on one side."""
  digest = hashlib.sha256(key.encode("utf-8")).digest()
  place = int.from_bytes(digest[:8], "big") / 2**64
  if place < HELD_OUT:
    return "validation"
  return "test" if place < 2 * HELD_OUT else "train"
