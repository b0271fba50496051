"""The miniworld's languages are told apart by its own words."""

import pytest

from xlrm.evaluation import language_id
from xlrm.miniworld import identification
from xlrm.miniworld import world_rows

IDENTIFIER = identification.WordIdentifier()


@pytest.mark.parametrize("code", IDENTIFIER.languages)
def test_references_and_documents_are_in_their_language(code):
  for row in world_rows.summary_rows(code, "test", 0, 60):
    assert IDENTIFIER.identify(row.summary) == code
    assert IDENTIFIER.identify(row.document) == code


def test_texts_of_no_or_of_two_languages_have_none():
  assert isinstance(IDENTIFIER, language_id.Identifier)
  for text in ("", "12", "xyzzy", "..."):
    assert IDENTIFIER.identify(text) is None
  # Half Spanish, half Vietnamese
  text = "Según Brown, un incendio destruyó một đám cháy ở Roma."
  assert IDENTIFIER.identify(text) is None
  assert IDENTIFIER.identify("Un incendio destruyó 3 Tonnen en Roma.") == "es"
