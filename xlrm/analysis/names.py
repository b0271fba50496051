"""How languages and judges are called in reports."""

from xlrm import language_names
from xlrm.analysis import cells

JUDGES = {
  "gold": "gold judge",
  f"reward/{cells.TARGET}": "target-language reward model",
  "chrf": "chrF against the reference",
  "rouge_l": "ROUGE-L against the reference",
}
METRICS = {
  "train/loss": "training loss",
  "validation/loss": "validation loss",
  "validation/rouge_l": "validation ROUGE-L",
  "validation/gold": "gold quality of validation outputs",
  "validation/accuracy": "validation accuracy",
}
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
  return JUDGES.get(name, name)


def judge_title(name: str) -> str:
  """At the beginning of a line; 'chrF' stays as it is."""
  text = judge(name)
  return text if name in ("chrf", "rouge_l") else text[:1].upper() + text[1:]


def by_judge(name: str) -> str:
  """'By the gold judge', 'By chrF against the reference'."""
  article = "" if name in ("chrf", "rouge_l") else "the "
  return f"By {article}{judge(name)}"


def method(name: str) -> str:
  return METHODS.get(name, name)


def metric(name: str) -> str:
  return METRICS.get(name, name)


def pair(source: str, target: str) -> str:
  return f"{language(source)} \u2192 {language(target)}"


def fault(name: str) -> str:
  return name.replace("_", " ")
