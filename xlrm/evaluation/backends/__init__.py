"""Who answers a prompted judge's questions, each a thin adapter."""
