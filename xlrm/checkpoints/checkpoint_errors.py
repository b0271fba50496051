"""What is wrong with a checkpoint."""


class CheckpointError(ValueError):
  """A checkpoint that cannot be used; says which and what to do."""


class DamagedError(CheckpointError):
  """A checkpoint whose bytes are not those that were written."""
