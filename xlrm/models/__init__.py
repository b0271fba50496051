"""Backbones, and the protocols by which everything else sees them."""
