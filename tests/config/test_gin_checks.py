"""What gin takes in silence, or a look at its text alone mistakes."""

import pytest

from xlrm.config import gin_checks
from xlrm.config import gin_statements

JOB = """JOB = @sft.train
sft.train.optimizer = @adafactor()
sft.train.value = @value/adafactor()
adafactor.learning_rate = %RATE
RATE = 1e-3
"""


def checked(text: str, *said: str) -> None:
  """The checks of a file that the user wrote, and of the command line."""
  sources = [gin_statements.Source("x.gin", JOB + text)]
  if said:
    line = "".join(f"{x}\n" for x in said)
    sources.append(gin_statements.Source("command line", line))
  gin_checks.check(sources, sources)
  if said:
    gin_checks.check_numbers(sources[:-1], sources[-1])


def refused(text: str, *said: str) -> str:
  with pytest.raises(gin_statements.ConfigError) as caught:
    checked(text, *said)
  return str(caught.value)


@pytest.mark.parametrize(
  "text",
  [
    # What stands in quotes is text.
    "sft.train.source = '/home/me@uni.edu/x'\n",
    "sft.train.source = '50%OFF'\n",
    "sft.train.source = {'a@b': ['%NONE'], 'c': \"@d/e()\"}\n",
    'sft.train.source = """\nNONE = 3\nAdamW.x = @nothing()\n"""\n',
    "sft.train.source = 'it is # no comment, @nothing'\n",
    # So is a comment, whatever quotes it has.
    "# @nothing() and %NONE, it's said\nsft.train.a = 1  # don't @nothing\n",
    # A value may go on over several lines.
    "OTHER = \\\n    2\nsft.train.a = %OTHER\n",
    "OTHER = {'a': [1,  # %NONE\n  @adamw(),\n  ]}\nsft.train.a = %OTHER\n",
    "sft.train.a = [@adamw(),\n  @warmup_constant()]\n",
    # Any depth of scopes; blocks; a macro that holds a call.
    "sft.train.a = @x/y/adamw()\nx/adamw.b = 1\nx/y/adamw:\n  c = 2\n",
    "sft.train.a = %OTHER\nOTHER = @adamw()\nOTHER/adamw.b = 1\n",
    "sft.train.a = %other\nother = 'a macro in small letters'\n",
    "sft.train.a = %x/OTHER\nx/OTHER = 3\n",
    "sft.train:  # it's one\n\n  a = 1\n\n  # @nothing\n  b = @adamw()\n",
    "sft.train.a = @adamw\nadamw.b = 1\n",
  ],
)
def test_what_is_right_is_taken(text):
  checked(text)


@pytest.mark.parametrize(
  ("text", "said"),
  [
    # A comment and quoted text use no macro and call nothing.
    ("TRIAN = 3  # or %TRIAN\n", "x.gin:6: nothing uses the macro TRIAN"),
    ("RTAE = 3\n", "x.gin:6: nothing uses the macro RTAE; did you mean RATE?"),
    ("small = 3\n", "x.gin:6: nothing uses the macro small"),
    ("TRIAN = '%TRIAN'\n", "x.gin:6: nothing uses the macro TRIAN"),
    ("adamw.b = '@adamw()'\n", "x.gin:6: nothing calls adamw, so what"),
    ("adamw.b = 1  # @adamw()\n", "x.gin:6: nothing calls adamw, so what"),
    ("adamw:\n  b = 1\n", "x.gin:7: nothing calls adamw, so what it is given"),
    ("x/y/adamw.b = 1\n", "x.gin:6: nothing calls adamw, so what"),
    # Macros that are used.
    ("sft.train.a = (1,\n %RTAE)\n", "x.gin:7: the macro %RTAE is used but ne"),
    ("sft.train.a = %RTAE\n", "used but never set; nearest: RATE"),
    ("A = %B\nB = [%A]\nsft.train.a = %A\n", "x.gin:6: the macro A holds its"),
    # Names, on the line where they stand.
    (
      "sft.trian.a = 1\n",
      "x.gin:6: nothing configurable is called 'sft.trian'",
    ),
    ("sft.trian:\n  a = 1\n", "x.gin:6: nothing configurable is called 'sft.t"),
    ("x/y/adamww.b = 1\n", "x.gin:6: nothing configurable is called 'adamww'"),
    ("sft.train.a = [1,\n  @x/y/adamww()]\n", "x.gin:7: nothing configurable"),
    ("sft.train.a = %A\nA = @adamww()\n", "'adamww'; nearest: adamw"),
    # A scope that nothing enters; one that all calls have.
    ("vlaue/adafactor.b = 1\n", "x.gin:6: nothing calls vlaue/adafactor, so"),
    ("vlaue/adafactor.b = 1\n", "called are: adafactor, value/adafactor"),
    # What is still to be set, however deep.
    ("A = %gin.REQUIRED\nsft.train.a = %A\n", "still to be set: A (--gin.A="),
    ("A = {'a': [%gin.REQUIRED]}\nsft.train.a = %A\n", "still to be set: A"),
    ("sft.train.a = %gin.REQUIRED\n", "still to be set: sft.train.a (--gin.s"),
    ("MODEL_DIR = 2024\nsft.train.a = %MODEL_DIR\n", "MODEL_DIR 2024 is no te"),
  ],
)
def test_what_is_wrong_is_named_with_its_line(text, said):
  assert said in refused(text)


def test_a_binding_that_every_call_hides_is_named():
  own = "value/adafactor.b = 1\nsft.train.optimizer = @value/adafactor()\n"
  said = refused(own + "adafactor.b = 2\n")
  assert said.startswith("x.gin:8: adafactor.b is never used: it is set for")
  assert said.endswith("value/adafactor.b")
  # A later word on the same parameter may hide what stood there.
  checked("adafactor.b = 2\n", "value/adafactor.b = 1", "/adafactor.b = 1"[1:])


def test_included_files_may_leave_bindings_that_nothing_calls():
  included = gin_statements.Source("sft.gin", JOB + "adamw.b = 1\n")
  own = gin_statements.Source(
    "x.gin", "sft.train.optimizer = @warmup_rsqrt()\n"
  )
  gin_checks.check([included, own], [own])
  with pytest.raises(gin_statements.ConfigError, match="nothing calls adamw"):
    gin_checks.check([included, own], [included, own])


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("RATE = 1", "names no job (JOB = @sft.train)"),
    ("JOB = 'sft.train'", "names no job"),
    ("JOB = @x/sft.train", "JOB is @x/sft.train: a job has no scope"),
  ],
)
def test_a_job_is_named(text, said):
  source = gin_statements.Source("x.gin", text)
  with pytest.raises(gin_statements.ConfigError) as caught:
    gin_checks.check_job([source])
  assert said in str(caught.value)


def test_text_does_not_take_the_place_of_a_number():
  assert refused("", "RATE = '1e-3x'") == (
    "command line:1: RATE = '1e-3x' is text, and 0.001 in the files; a number, "
    "True or False is expected"
  )
  assert "is text, and 0.001" in refused("", "adafactor.learning_rate = 'x'")
  assert "is text, and True" in refused(
    "sft.train.a = True\n", "sft.train.a='n'"
  )
  checked("sft.train.a = None\n", "sft.train.a = 'x'", "RATE = None")
  checked("sft.train.a = 'x'\n", "sft.train.a = 'y'", "RATE = @warmup_rsqrt()")


def test_what_is_unset_is_listed_in_order():
  text = (
    "A = %gin.REQUIRED\nB = 1\nC = %gin.REQUIRED\nC = 2\nD = (%gin.REQUIRED,)"
  )
  source = gin_statements.Source("x.gin", text)
  assert gin_checks.unset([source]) == ["A", "D"]
