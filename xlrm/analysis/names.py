"""How languages and judges are called in reports."""

from xlrm.analysis import transfer_matrices
from xlrm.text import language_names

JUDGES = {
  "gold": "gold judge",
  f"reward/{transfer_matrices.TARGET}": "target-language reward model",
  "chrf": "chrF against the reference",
  "rouge_l": "ROUGE-L against the reference",
}
SHORT_JUDGES = {  # beside a figure; at the colon a second line begins
  f"reward/{transfer_matrices.TARGET}": "reward model:of the target",
  "chrf": "chrF",
  "rouge_l": "ROUGE-L",
}
METRICS = {
  "train/loss": "training loss",
  "validation/loss": "validation loss",
  "validation/rouge_l": "validation ROUGE-L",
  "validation/gold": "gold quality of validation outputs",
  "validation/accuracy": "validation accuracy",
}
SWEPT = {"kl": "\u03b2", "temperature": "temperature", "n": "n"}
METHODS = {
  "sample": "one SFT sample",
  "greedy": "greedy decoding",
  "best_of_n": "best-of-n",
  "ppo": "PPO",
}


def language(code: str) -> str:
  """Its English name; a code that has none stays as it is."""
  return language_names.english(code)


def judge(name: str) -> str:
  """A prompted judge is called as it calls itself, a person by its name."""
  return JUDGES.get(name, name.removeprefix("person/"))


def judge_title(name: str) -> str:
  """At the beginning of a line; 'chrF' stays as it is."""
  text = judge(name)
  known = ("gold", f"reward/{transfer_matrices.TARGET}", "people")
  return text[:1].upper() + text[1:] if name in known else text


def by_judge(name: str) -> str:
  """'By the gold judge', 'By chrF against the reference', 'By people'."""
  article = (
    "the " if name in ("gold", f"reward/{transfer_matrices.TARGET}") else ""
  )
  return f"By {article}{judge(name)}"


def method(name: str) -> str:
  return METHODS.get(name, name)


def method_title(name: str) -> str:
  """At the beginning of a line."""
  text = method(name)
  return text[:1].upper() + text[1:]


def metric(name: str) -> str:
  return METRICS.get(name, name)


def pair(source: str, target: str) -> str:
  return f"{language(source)} \u2192 {language(target)}"


def fault(name: str) -> str:
  return name.replace("_", " ")
