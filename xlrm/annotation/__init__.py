"""People as judges: blind comparisons of two outputs in a local web page."""
