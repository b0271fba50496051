"""Functions are equal when their code and what they hold are."""

import functools

from xlrm.data import identity

CELL = """
def make(word, number=3):
  helper = lambda x: x + number
  def read(split):
    return [word, helper(1), split]
  return read
read = make("a")
"""


def run(cell):
  scope = {"__name__": "__main__"}
  exec(compile(cell, f"<cell {id(cell)}>", "exec"), scope)
  return scope["read"]


def test_the_same_cell_again_is_the_same():
  one, other = run(CELL), run("\n\n" + CELL)
  assert one is not other
  assert identity.describe(one) == identity.describe(other)


def test_changed_code_closure_or_argument_is_another():
  first = identity.describe(run(CELL))
  for change in (
    CELL.replace('make("a")', 'make("b")'),
    CELL.replace("[word, ", "[split, "),
    CELL.replace("def read(split)", "def read(split, more=1)"),
    CELL.replace("return [word", "return ['x', word"),
  ):
    assert identity.describe(run(change)) != first


def test_partials_show_their_arguments():
  made = functools.partial(run, {"b": 1, "a": (2, None)})
  text = identity.describe(made)
  assert text.endswith("({'a': [2, None], 'b': 1})")
  again = functools.partial(run, {"a": [2, None], "b": 1})
  assert identity.describe(again) == text


def test_long_values_are_short_and_functions_may_hold_themselves():
  texts = [identity.describe(list(range(n))) for n in (10_000, 10_001)]
  assert max(map(len, texts)) < 300 and texts[0] != texts[1]

  def outer():
    def inner():
      return inner()

    return inner

  assert identity.describe(outer()) == identity.describe(outer())


class Plain:
  def read(self, split):
    return split


def test_objects_without_a_text_of_their_own_are_their_class():
  one, other = identity.describe(Plain().read), identity.describe(Plain().read)
  assert one == other and "Plain" in one and "0x" not in one
