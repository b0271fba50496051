"""Docstrings in the house style, as Markdown. Reads source, imports nothing.

A docstring is prose, deeper-indented formulas and examples, and the sections
Args, Attributes, Returns and Raises.
"""

import ast
from collections.abc import Iterator
import inspect
import pathlib
import re
import textwrap

SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")
WIDTH = 78  # columns of a signature


def escaped(text: str) -> str:
  """Prose as Markdown that shows the same characters; `code` stays code.

  a_b * [c] -> a\\_b \\* \\[c]
  """
  parts = re.split(r"(`[^`\n]+`)", text)
  for i in range(0, len(parts), 2):
    part = re.sub(r"([\\*_\[|#~])", r"\\\1", parts[i])
    parts[i] = part.replace("<", "&lt;").replace(">", "&gt;")
  text = "".join(parts)
  return re.sub(
    r"https?://[^\s),;]+[^\s),;.:]",
    lambda x: "<" + re.sub(r"\\(.)", r"\1", x[0]) + ">",
    text,
  )


def _blocks(text: str) -> Iterator[list[str]]:
  """Runs of lines between empty ones."""
  block: list[str] = []
  for line in [*text.splitlines(), ""]:
    if line.strip():
      block.append(line)
    elif block:
      yield block
      block = []


def prose(text: str) -> str:
  """Paragraphs; runs of indented lines are shown as they are."""
  out = []
  for block in _blocks(text):
    runs: list[tuple[bool, list[str]]] = []
    for line in block:
      indented = line.startswith("  ")
      item = runs and re.match(r"[-*] ", runs[-1][1][0])
      if runs and (runs[-1][0] == indented or (indented and item)):
        runs[-1][1].append(line)
      else:
        runs.append((indented, [line]))
    for indented, lines in runs:
      body = textwrap.dedent("\n".join(lines))
      if indented:
        out.append(f"```text\n{body}\n```")
      elif re.match(r"[-*] ", body):
        marker = lambda x: escaped(x).replace("\\*", "-", 1)
        out.append("\n".join(map(marker, lines)))
      else:
        out.append(escaped(body))
  return "\n\n".join(out)


def parse(docstring: str) -> tuple[str, dict[str, str]]:
  """The prose before the sections, and the text of each section."""
  text = inspect.cleandoc(docstring or "")
  pattern = rf"^({'|'.join(SECTIONS)}):[ ]*\n?"
  head, *rest = re.split(pattern, text, flags=re.MULTILINE)
  return head.strip(), {
    name: textwrap.dedent(body).strip("\n")
    for name, body in zip(rest[::2], rest[1::2])
  }


def entries(section: str) -> dict[str, str]:
  """name -> meaning of an Args or Attributes section.

  'a, b: what both are' gives both names the same meaning.
  """
  found: dict[str, list[str]] = {}
  names: list[str] = []
  for line in section.splitlines():
    match = re.match(r"(\**\w+(?:, \**\w+)*)(?: \([^)]*\))?:\s*(.*)", line)
    if match and not line.startswith(" "):
      names = match[1].replace("*", "").split(", ")
      for name in names:
        found[name] = [match[2]]
    else:
      for name in names:
        found[name].append(line.strip())
  return {name: " ".join(lines).strip() for name, lines in found.items()}


def markdown(docstring: str) -> str:
  """A whole docstring."""
  head, sections = parse(docstring)
  out = [prose(head)]
  for name, body in sections.items():
    listed = entries(body)
    if listed and name != "Returns":
      out.append(f"**{name}**")
      out.append("\n".join(f"- `{k}`: {escaped(v)}" for k, v in listed.items()))
    else:
      out.append(f"**{name}** {escaped(' '.join(body.split()))}")
  return "\n\n".join(x for x in out if x)


def signature(node: ast.FunctionDef, name: str) -> str:
  """`name(arguments) -> result`, one argument a line where it is long."""
  result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
  line = f"{name}({ast.unparse(node.args)}){result}".replace("'", '"')
  if len(line) <= WIDTH:
    return line
  spec, parts = node.args, []
  plain = [*spec.posonlyargs, *spec.args]
  defaults = [None] * (len(plain) - len(spec.defaults)) + list(spec.defaults)
  value = lambda x: f" = {ast.unparse(x)}" if x is not None else ""
  written = lambda arg, default: ast.unparse(arg) + value(default)
  parts += [written(*pair) for pair in zip(plain, defaults)]
  if spec.vararg:
    parts.append(f"*{ast.unparse(spec.vararg)}")
  elif spec.kwonlyargs:
    parts.append("*")
  parts += [written(*x) for x in zip(spec.kwonlyargs, spec.kw_defaults)]
  if spec.kwarg:
    parts.append(f"**{ast.unparse(spec.kwarg)}")
  body = "".join(f"  {part},\n" for part in parts).replace("'", '"')
  return f"{name}(\n{body}){result}".replace("'", '"')


def _public(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
  for node in nodes:
    kinds = (ast.FunctionDef, ast.ClassDef)
    if isinstance(node, kinds) and not node.name.startswith("_"):
      yield node


def _fields(node: ast.ClassDef) -> str:
  """The fields of a dataclass with their types and defaults, as code."""
  lines = [
    ast.unparse(x).replace("'", '"')
    for x in node.body
    if isinstance(x, ast.AnnAssign) and not x.target.id.startswith("_")
  ]
  return "\n".join(lines)


def _code(text: str) -> str:
  return f"```python\n{text}\n```"


def module(path: pathlib.Path, name: str) -> str:
  """A section: what the module is for, its public functions and classes."""
  tree = ast.parse(path.read_text(encoding="utf-8"))
  out = [f"## {escaped(name)}", markdown(ast.get_docstring(tree) or "")]
  for node in _public(tree.body):
    out.append(f"### {escaped(node.name)} {{#{name}.{node.name}}}")
    if isinstance(node, ast.FunctionDef):
      out.append(_code(signature(node, node.name)))
    elif _fields(node):
      out.append(_code(_fields(node)))
    out.append(markdown(ast.get_docstring(node) or ""))
    if isinstance(node, ast.ClassDef):
      for method in _public(node.body):
        if isinstance(method, ast.FunctionDef):
          title = f"{node.name}.{method.name}"
          out.append(_code(signature(method, title)))
          out.append(markdown(ast.get_docstring(method) or ""))
  return "\n\n".join(x for x in out if x)
