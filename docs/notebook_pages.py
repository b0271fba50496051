"""Notebooks as pages of the site: executed, then written as Markdown.

docs/notebooks/*.ipynb are kept without outputs. An executed copy stays in a
cache under the hash of the notebook, so that `mkdocs serve` does not run it at
every keystroke; delete the folder to run all of them again.
"""

import base64
import hashlib
import pathlib
import shutil
import time

import nbclient
import nbformat

TIMEOUT = 600  # seconds, of one cell


def executed(path: pathlib.Path, cache: pathlib.Path) -> nbformat.NotebookNode:
  """A notebook with its outputs.

  Raises:
    CellExecutionError: a cell fails; the message has its traceback.
  """
  text = path.read_text(encoding="utf-8")
  digest = hashlib.sha256(text.encode()).hexdigest()[:16]
  kept = cache / f"{path.stem}.{digest}.ipynb"
  if kept.is_file():
    return nbformat.read(kept, as_version=4)
  start = time.monotonic()
  folder = cache / "work" / path.stem
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  notebook = nbformat.reads(text, as_version=4)
  nbclient.NotebookClient(
    notebook,
    timeout=TIMEOUT,
    kernel_name="python3",
    resources={"metadata": {"path": str(folder)}},
  ).execute()
  nbformat.write(notebook, kept)
  print(f"{path.name}: {time.monotonic() - start:.0f} s")
  return notebook


def _fence(text: str, kind: str) -> str:
  return f"```{kind}\n{text.rstrip()}\n```"


def _output(output: nbformat.NotebookNode, name: str) -> tuple[str, dict]:
  """Markdown of an output, and the files that it refers to."""
  if output.output_type == "stream":
    return (_fence(output.text, "text") if output.text.strip() else ""), {}
  data = output.get("data", {})
  if "image/png" in data:
    return f"![]({name})", {name: base64.b64decode(data["image/png"])}
  if "text/html" in data:
    return f'<div markdown="0">{data["text/html"]}</div>', {}
  if "text/plain" in data:
    return _fence(data["text/plain"], "text"), {}
  return "", {}


def _outputs(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
  """The outputs of a cell, printed lines joined to one."""
  joined: list[nbformat.NotebookNode] = []
  for output in cell.get("outputs", []):
    same = joined and joined[-1].get("name", "") == output.get("name", None)
    if output.output_type == "stream" and same:
      joined[-1].text += output.text
    elif output.get("name") != "stderr":
      joined.append(output)
  return joined


def page(notebook: nbformat.NotebookNode, stem: str) -> dict[str, str | bytes]:
  """Path within the site -> the notebook's page and its figures."""
  parts, files = [], {}
  for number, cell in enumerate(notebook.cells):
    if cell.cell_type == "markdown":
      parts.append(cell.source)
      continue
    parts.append(_fence(cell.source, "python"))
    for i, output in enumerate(_outputs(cell)):
      shown, made = _output(output, f"{stem}_{number}_{i}.png")
      parts.append(shown)
      files |= {f"notebooks/{name}": data for name, data in made.items()}
  text = "\n\n".join(part for part in parts if part) + "\n"
  return {f"notebooks/{stem}.md": text, **files}


def pages(folder: pathlib.Path, cache: pathlib.Path) -> dict[str, str | bytes]:
  """The pages of all notebooks of a folder."""
  made: dict[str, str | bytes] = {}
  for path in sorted(folder.glob("*.ipynb")):
    made |= page(executed(path, cache), path.stem)
  return made
