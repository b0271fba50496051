"""Records of two methods for tests of judges."""

from xlrm.evaluation import records


def record(
  output,
  *,
  method="best_of_n",
  source="en",
  target="es",
  index=0,
  dataset="d",
  **fields,
):
  """A response to prompt `index`."""
  values = {
    "study": "s",
    "method": method,
    "source": source if method != "sample" else "",
    "target": target,
    "seed": 0,
    "task": "t",
    "dataset": dataset,
    "language": target,
    "example_id": f"{target}/{dataset}/{index:04d}",
    "sample": 0,
    "input": f"document {index}",
    "reference": "",
    "output": output,
    "policy": "p",
  }
  return records.EvalRecord(**{**values, **fields})


def both(ours, theirs, **fields):
  """Records of prompts 0, 1, ... with these outputs of either method."""
  return [
    *(record(x, index=i, **fields) for i, x in enumerate(ours)),
    *(
      record(x, index=i, method="sample", **fields)
      for i, x in enumerate(theirs)
    ),
  ]


class ByPrefix:
  """'ru: ...' is Russian: exact, so that counts can be."""

  name, languages = "prefix", ("en", "es", "ru")

  def identify(self, text):
    return text.split(":")[0] if ":" in text else None
