"""Studies: which jobs an experiment over languages consists of."""
