"""Conversations from every form of messages to one text."""

import pytest

from xlrm.data import dialogue


def test_speakers_are_named_before_their_turns():
  turns = [
    dialogue.Turn("system", "Be kind."),
    dialogue.Turn("prompter", "Hi."),
    dialogue.Turn("gpt", "Hello!\nHow are you?"),
  ]
  assert dialogue.text_of(turns) == (
    "System: Be kind.\nUser: Hi.\nAssistant: Hello!\nHow are you?"
  )
  assert dialogue.text_of([]) == ""


@pytest.mark.parametrize(
  ("role", "content"), [("role", "content"), ("from", "value")]
)
def test_both_forms_of_messages_are_the_same_turns(role, content):
  messages = [
    {role: "human", content: "Hi.", "id": 3},
    {role: "assistant", content: ""},
  ]
  assert dialogue.turns_of("f:1", messages) == (
    dialogue.Turn("human", "Hi."),
    dialogue.Turn("assistant", ""),
  )


@pytest.mark.parametrize(
  ("messages", "said"),
  [
    ("Hi.", "f:1: a list of messages was expected: 'Hi.'"),
    ([{"role": "bot", "content": "x"}], "one of system, user, .*'bot'"),
    ([{"role": "user", "content": None}], "the text 'content', not .*None"),
    (["Hi."], "f:1: a message was expected"),
  ],
)
def test_g28_what_is_no_message_is_shown(messages, said):
  with pytest.raises(ValueError, match=said):
    dialogue.turns_of("f:1", messages)
