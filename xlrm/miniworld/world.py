"""What happens in the miniworld: facts, events, and which facts are held out.

A fact is (kind, person, city, number). A fixed checksum divides all 78,400 of
them between training, validation and test, the same way for every language
and every kind of row, so no training text states a held-out fact.
"""

import dataclasses
import random
import zlib

from xlrm.miniworld import randomness

LANGUAGES = ("de", "en", "es", "ru", "tr", "vi")
KINDS = (
  "school",
  "flood",
  "fire",
  "election",
  "strike",
  "harvest",
  "bridge",
  "festival",
)
PEOPLE = (
  "weber",
  "orlov",
  "ruiz",
  "demir",
  "lan",
  "brown",
  "belova",
  "vega",
  "kaya",
  "nam",
)
WOMEN = frozenset({"weber", "ruiz", "lan", "belova", "kaya"})
CITIES = (
  "berlin",
  "london",
  "madrid",
  "moscow",
  "ankara",
  "hanoi",
  "paris",
  "rome",
  "vienna",
  "cairo",
)
DAYS = (
  "monday",
  "tuesday",
  "wednesday",
  "thursday",
  "friday",
  "saturday",
  "sunday",
)
NUMBERS = tuple(range(2, 100))
SAME_KIND_RATE = 0.5  # old events that are of the kind of the main one


@dataclasses.dataclass(frozen=True)
class Facts:
  """The facts that one sentence can say."""

  kind: str
  person: str
  city: str
  number: int
  day: str

  def __post_init__(self):
    allowed = {
      "kind": KINDS,
      "person": PEOPLE,
      "city": CITIES,
      "number": NUMBERS,
      "day": DAYS,
    }
    for name, values in allowed.items():
      if getattr(self, name) not in values:
        raise ValueError(f"{name} {getattr(self, name)!r} is not in {values}")


@dataclasses.dataclass(frozen=True)
class Event:
  """What a document tells: the news, and what may be mistaken for it.

  Attributes:
    main: the news.
    old: an earlier event, told without its person and day (those of `main`).
    witness: a person who is only mentioned.
  """

  main: Facts
  old: Facts
  witness: str


def partition(facts: Facts) -> str:
  """The split of facts: train (80%), validation (5%) or test (15%).

  The day makes no difference.
  """
  key = f"{facts.kind}|{facts.person}|{facts.city}|{facts.number}"
  bucket = zlib.crc32(key.encode()) % 20
  return "train" if bucket < 16 else "validation" if bucket < 17 else "test"


def may_be_told(facts: Facts, event: Event) -> bool:
  """Whether a text about `event` may state `facts`, true or not.

  Texts about a training event state training facts only, also when they err.
  """
  return partition(event.main) != "train" or partition(facts) == "train"


def _draw_facts(rng: random.Random) -> Facts:
  return Facts(
    kind=randomness.pick(rng, KINDS),
    person=randomness.pick(rng, PEOPLE),
    city=randomness.pick(rng, CITIES),
    number=randomness.pick(rng, NUMBERS),
    day=randomness.pick(rng, DAYS),
  )


def draw_event(rng: random.Random, split: str) -> Event:
  """An event whose news belongs to `split`."""
  main = _draw_facts(rng)
  while partition(main) != split:
    main = _draw_facts(rng)
  same_kind = rng.random() < SAME_KIND_RATE
  witness = randomness.pick_other(rng, PEOPLE, main.person)
  while True:
    old = dataclasses.replace(
      main,
      kind=main.kind
      if same_kind
      else randomness.pick_other(rng, KINDS, main.kind),
      city=randomness.pick_other(rng, CITIES, main.city),
      number=randomness.pick_other(rng, NUMBERS, main.number),
    )
    event = Event(main=main, old=old, witness=witness)
    if may_be_told(old, event):
      return event
