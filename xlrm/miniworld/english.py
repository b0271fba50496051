"""English."""

from xlrm.miniworld import grammar

LANGUAGE = grammar.Language(
  code="en",
  people={
    "": (
      "Weber",
      "Orlov",
      "Ruiz",
      "Demir",
      "Lan",
      "Brown",
      "Belova",
      "Vega",
      "Kaya",
      "Nam",
    ),
  },
  cities={
    "": (
      "Berlin",
      "London",
      "Madrid",
      "Moscow",
      "Ankara",
      "Hanoi",
      "Paris",
      "Rome",
      "Vienna",
      "Cairo",
    ),
  },
  days=(
    "on Monday",
    "on Tuesday",
    "on Wednesday",
    "on Thursday",
    "on Friday",
    "on Saturday",
    "on Sunday",
  ),
  cores={
    "school": (
      "a school with {number} classes opened in {city}",
      "{city} got a school with {number} classes",
    ),
    "flood": (
      "a flood damaged {number} houses in {city}",
      "{number} houses in {city} were flooded",
    ),
    "fire": (
      "a fire destroyed {number} houses in {city}",
      "{number} houses burned in {city}",
    ),
    "election": (
      "{city} elected {number} women to the council",
      "{number} women won the election in {city}",
    ),
    "strike": (
      "{number} drivers went on strike in {city}",
      "a strike of {number} drivers began in {city}",
    ),
    "harvest": (
      "farmers harvested {number} tonnes of apples in {city}",
      "the harvest in {city} reached {number} tonnes of apples",
    ),
    "bridge": (
      "a bridge collapsed in {city} and {number} people were hurt",
      "{number} people were hurt in {city} when a bridge collapsed",
    ),
    "festival": (
      "a festival with {number} bands began in {city}",
      "{number} bands played at a festival in {city}",
    ),
  },
  reports=(
    "{core}, said {person}.",
    "according to {person}, {core}.",
    "Mayor {person} announced that {core}.",
    "as Mayor {person} told the press {day}, {core}.",
    "{day} {core}, {person} confirmed.",
  ),
  dated="{day} {core}.",
  confirmations=(
    "Mayor {person} confirmed this.",
    "Mayor {person} visited the place.",
  ),
  dated_confirmations=(
    "Mayor {person} confirmed this {day}.",
    "Mayor {person} visited the place {day}.",
  ),
  memories=(
    "a year ago {core}.",
    "last summer {core}.",
    "ten years ago {core}.",
  ),
  witnesses=(
    "{person} heard the news on the radio.",
    "{person} took a photo.",
    "{person} lives nearby.",
  ),
  backgrounds=(
    "it rained all night.",
    "the morning was cold.",
    "many people stood in the street.",
    "the police closed the street.",
  ),
  bound=frozenset("in with of to at the that when a were on".split()),
  needed=frozenset("in with of to at the when".split()),
  plural=grammar.invariant,
)
