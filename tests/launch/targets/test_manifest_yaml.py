"""What is written as YAML reads back as the same objects."""

import yaml

from xlrm.launch.targets import manifest_yaml

OBJECTS = [
  {"zeta": 1, "alpha": {"text": "one\ntwo\n", "word": "Hà Nội"}},
  {"list": ["yes", "1", 1, None, "a: b"]},
]


def test_it_reads_back_in_the_same_order():
  text = manifest_yaml.dump(OBJECTS)
  found = list(yaml.safe_load_all(text))
  assert found == OBJECTS
  assert list(found[0]) == ["zeta", "alpha"]


def test_lines_stand_as_a_block_and_letters_as_they_are():
  text = manifest_yaml.dump(OBJECTS)
  assert "text: |\n    one\n    two\n" in text
  assert "Hà Nội" in text
