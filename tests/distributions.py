"""What tokens should be drawn, and whether counts agree with it."""

import numpy as np
from scipy import stats


def reference_distribution(logits, temperature=1.0, top_k=0, top_p=1.0):
  """By sorting, in float64."""
  logits = np.asarray(logits, np.float64) / temperature
  probabilities = np.exp(logits - logits.max())
  order = np.argsort(-logits, kind="stable")
  if top_k:
    probabilities[order[top_k:]] = 0
  probabilities /= probabilities.sum()
  mass_before = np.cumsum(probabilities[order]) - probabilities[order]
  probabilities[order[mass_before >= top_p]] = 0
  return probabilities / probabilities.sum()


def check_counts(counts, probabilities):
  """Chi-square; rare tokens are counted together."""
  assert counts[probabilities == 0].sum() == 0
  expected = probabilities * counts.sum()
  rare = expected < 10
  pooled = np.append(counts[~rare], counts[rare].sum())
  expected = np.append(expected[~rare], expected[rare].sum())
  used = expected > 0
  p_value = stats.chisquare(pooled[used], expected[used]).pvalue
  assert p_value > 1e-3, p_value
