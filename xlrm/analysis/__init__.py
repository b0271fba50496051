"""Analysis: the numbers of transfer, over all (source, target) pairs."""
