"""gin texts as gin itself reads them, whatever stands in quotes or comments."""

import shlex

import pytest

from xlrm.config import gin_statements

Macro, Reference = gin_statements.Macro, gin_statements.Reference
TEXT = '''# %HIDDEN @hidden
A = '/home/me@uni.edu/50%OFF # no comment'  # %HIDDEN
B = """
include 'not_a_file.gin'
C = %HIDDEN
"""
D = \\
    [@a/b/f(), {'k': @g},
     # @hidden
     %A, -1]
E = @f()

h.i:  # a block
  j = 'k = @hidden'

  l = (1,
       2)
a/b/h.i.j = 3
'''
SOURCE = gin_statements.Source("x.gin", TEXT)


def test_bindings_have_their_values_and_lines():
  found = {x.left: (x.value, x.line) for x in SOURCE.bindings}
  assert found == {
    "A": ("/home/me@uni.edu/50%OFF # no comment", 2),
    "B": ("\ninclude 'not_a_file.gin'\nC = %HIDDEN\n", 3),
    "D": (
      [
        Reference(("a", "b"), "f", True),
        {"k": Reference((), "g", False)},
        Macro("A"),
        -1,
      ],
      7,
    ),
    "E": (Reference((), "f", True), 11),
    "h.i.j": ("k = @hidden", 14),
    "h.i.l": ((1, 2), 16),
    "a/b/h.i.j": (3, 18),
  }
  assert SOURCE.blocks == [("h.i", 13)] and not SOURCE.includes


def test_references_know_their_own_lines():
  value = next(x.value for x in SOURCE.bindings if x.left == "D")
  found = {repr(x): x.line for x in gin_statements.inside(value)}
  assert found == {"@a/b/f()": 8, "@g": 8, "%A": 10}


def test_references_are_written_as_they_are_read():
  for text in ("@f", "@a/f()", "%X", "%gin.REQUIRED", "[@a/b/f, {%X: @g()}]"):
    assert repr(gin_statements.value(text)) == text


def test_replaced_changes_what_is_nested():
  value = gin_statements.value("{%X: (1, [@f, %X])}")
  changed = gin_statements.replaced(value, lambda x: x.name.lower())
  assert changed == {"x": (1, ["f", "x"])}


def test_a_scope_of_a_macro_belongs_to_its_name():
  (binding,) = gin_statements.Source("x", "a/X = 3\n").bindings
  assert (binding.scope, binding.name, binding.parameter) == ((), "a/X", "")


def test_imports_and_includes():
  text = "import a.b\nfrom c import d\ninclude \\\n  'e.gin'  # %X\nA = 1\n"
  source = gin_statements.Source("x.gin", text)
  assert source.imports == [
    ("a.b", "import a.b", 1),
    ("c.d", "from c import d", 2),
  ]
  assert source.includes == [("e.gin", 3)]
  rest = source.without_includes()
  assert rest.text == "import a.b\nfrom c import d\n\n\nA = 1\n"
  assert rest.bindings == source.bindings and not rest.includes


def test_code_is_without_comments_and_no_more():
  assert SOURCE.code() == [
    "A = '/home/me@uni.edu/50%OFF # no comment'",
    'B = """',
    "include 'not_a_file.gin'",
    "C = %HIDDEN",
    '"""',
    "D = \\",
    "    [@a/b/f(), {'k': @g},",
    "     %A, -1]",
    "E = @f()",
    "h.i:",
    "  j = 'k = @hidden'",
    "  l = (1,",
    "       2)",
    "a/b/h.i.j = 3",
  ]


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("A = 1\nB = runs\n", "x.gin:2: runs is no value; text is quoted"),
    ("A = {'b': x}\n", "x.gin:1: x is no value; text is quoted. In: A = {"),
    ("A = 1\nB = (2,\n", "x.gin:2: what is opened here is never closed"),
    ("A = '''b\n\n\n", "x.gin:1: what is opened here is never closed"),
    ("A = 1\nB = 'b\n", "x.gin:2: "),  # each Python has words of its own
    ("\n\nA == 3\n", "x.gin:3: Couldn't parse statement"),
    ("include sft.gin\n", "x.gin:1: sft is no value; text is quoted"),
    ("import a, b\n", "x.gin:1: Expected newline. In: import a, b"),
    ("f:\n  a = 1\n b = 2\n", "x.gin:3: unindent"),
    ("f:\nA = 1\n", "x.gin:2: Expected indentation"),
  ],
)
def test_what_gin_cannot_read_is_named_with_its_line(text, said):
  with pytest.raises(gin_statements.ConfigError) as caught:
    _ = gin_statements.Source("x.gin", text).statements
  assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
  "text",
  [
    *("1e5", "-3", "1_000", "None", "True", "'half'", '"a" "b"', "[1, 2]"),
    *("(1,\n 2)", "{'en': 'runs/x'}", "@f()", "@a/f", "%X", "[%X, @f()]"),
  ],
)
def test_a_value_of_gin_stays_what_it_is(text):
  assert gin_statements.line("N", text) == f"N = {text}"


@pytest.mark.parametrize(
  "text",
  [
    *("runs/x", "runs/x y", "gs://b/x", "a.b", "~/x", "miniworld_summary.es"),
    *("1e5x", "007", "1,000", "5 # five", "-x", "it's", 'say "x"', "é", "..."),
    *("x\\", "#1", "a = b", "1\nOTHER = 2", "Nonesuch", "nano"),
  ],
)
def test_text_that_is_no_value_is_text(text):
  line = gin_statements.line("N", text)
  (binding,) = gin_statements.Source("x", line).bindings
  assert (binding.left, binding.value) == ("N", text)


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("'half", "begins like a value"),
    ("[1, ", "never closed"),
    ("{en: 'x'}", "en is no value"),
    ("(draft) x", "draft is no value"),
    ("'a' # b", "goes on after the value"),
    ("@", "begins like a value"),
    ("%", "begins like a value"),
    ("", "has no value"),
    ("  ", "has no value"),
    ("yes", "--gin.N=True"),
    ("FALSE", "--gin.N=False"),
    ("null", "--gin.N=None"),
  ],
)
def test_what_may_be_meant_as_a_value_is_refused_with_the_way_out(text, said):
  with pytest.raises(gin_statements.ConfigError) as caught:
    gin_statements.line("N", text)
  assert f"--gin.N={text}" in str(caught.value) and said in str(caught.value)


@pytest.mark.parametrize("text", ["[1, ", "yes", "'half", "(it's", '"a'])
def test_the_quoted_form_that_a_message_names_is_that_text(text):
  with pytest.raises(gin_statements.ConfigError) as caught:
    gin_statements.line("N", text)
  (word,) = shlex.split(str(caught.value).rpartition("text: ")[2])
  assert gin_statements.value(word.removeprefix("--gin.N=")) == text
