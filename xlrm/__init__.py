"""xlrm: cross-lingual alignment by reward-model transfer."""

__version__ = "0.1.0"
