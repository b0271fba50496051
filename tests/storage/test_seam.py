"""Nothing but xlrm.storage opens, writes, replaces or lists files by name.

What else holds a file says why in HELD; it gets its path from `files.local`,
which refuses what lies in a bucket.
"""

import ast
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "docs"))

import package_graph

HELD = {
  "xlrm.annotation.annotation_study": "the lock of a study",
  "xlrm.launch.studies.study_state": "the locks of a study",
  "xlrm.evaluation.prompted.answer_rescue": "takes room before it is needed",
  "xlrm.training.metric_writer": "appends",
  "xlrm.batches.mapped_npz": "maps into memory",
  "xlrm.batches.batch_feed": "copies into memory-mapped temporary files",
  "xlrm.checkpoints.run_checkpoints": "removes and renames what Orbax wrote",
  "xlrm.distributed.device_memory": "/proc",
  "xlrm.distributed.machine": "/proc",
  "xlrm.launch.process_options": "/dev/null",
  "xlrm.launch.main": "/dev/null",
  "xlrm.paper.paper_tables": "ships with the package",
  "xlrm.analysis.exhibits.exhibit": "files of a report",
  "xlrm.analysis.reports.report": "removes figures of an earlier report",
  "xlrm.launch.report": "shows a name",
  "xlrm.config.gin_files": "reads what configures the rest",
  "xlrm.config.gin_jobs": "refuses buckets itself, with MODEL_DIR's name",
}
METHODS = {"write_text", "write_bytes", "read_text", "read_bytes"}
FUNCTIONS = {
  "os": {
    *("open", "replace", "rename", "remove", "unlink", "makedirs", "mkdir"),
    *("listdir", "scandir", "rmdir"),
  },
  "shutil": {"copy", "copy2", "copyfile", "copytree", "move", "rmtree"},
  "glob": {"glob", "iglob"},
  "gzip": {"open"},
  "epath": {"Path"},
  "tempfile": {"NamedTemporaryFile", "mkstemp"},
}
MODULES = [
  name
  for name in package_graph.modules()
  if not name.startswith("xlrm.storage") and name not in HELD
]


def found(tree: ast.AST) -> list[str]:
  """Calls that touch files, as source."""
  seen = []
  for call in ast.walk(tree):
    if not isinstance(call, ast.Call):
      continue
    if isinstance(call.func, ast.Name) and call.func.id == "open":
      seen.append(call)
    if not isinstance(call.func, ast.Attribute):
      continue
    owner = call.func.value
    module = owner.id if isinstance(owner, ast.Name) else ""
    if call.func.attr in METHODS and module not in ("files", "files_lib"):
      seen.append(call)
    if call.func.attr in FUNCTIONS.get(module, ()):
      seen.append(call)
    # A path of one's own choice is none of the user's.
    given = [x for x in call.args if not isinstance(x, ast.Constant)]
    named = [
      x for x in given if not (isinstance(x, ast.Name) and x.id.isupper())
    ]
    own = [x for x in named if getattr(x, "id", "") != "__file__"]
    if (module, call.func.attr) == ("pathlib", "Path") and own:
      seen.append(call)
  return [ast.unparse(x) for x in seen]


@pytest.mark.parametrize("module", MODULES)
def test_files_go_through_storage(module):
  path = package_graph.modules()[module]
  calls = found(ast.parse(path.read_text(encoding="utf-8")))
  # The metrics' writer has a method of that name, for TensorBoard.
  assert not [x for x in calls if "writer.write_text(" not in x]


def test_the_exceptions_are_still_needed():
  paths = package_graph.modules()
  for name in HELD:
    assert found(ast.parse(paths[name].read_text(encoding="utf-8"))), name


@pytest.mark.parametrize(
  "source",
  [
    "open(path)",
    "pathlib.Path(name) / 'x'",
    "os.replace(a, b)",
    "(folder / 'x').write_text('a')",
    "path.read_bytes()",
    "epath.Path(x)",
  ],
)
def test_what_touches_files_is_noticed(source):
  assert found(ast.parse(source))


def test_what_does_not_is_left_alone():
  for source in (
    "files.write_text(path, 'a')",
    "pathlib.Path(__file__)",
    "pathlib.Path('/proc/mounts')",
    "archive.open(member)",
  ):
    assert not found(ast.parse(source))
