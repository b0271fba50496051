"""Facts and events, and which facts are held out."""

import collections
import dataclasses

import pytest

from xlrm.miniworld import randomness
from xlrm.miniworld import world


def test_partition_shares():
  counts = collections.Counter(
    world.partition(world.Facts(kind, person, city, number, "monday"))
    for kind in world.KINDS
    for person in world.PEOPLE
    for city in world.CITIES
    for number in world.NUMBERS
  )
  total = sum(counts.values())
  assert abs(counts["train"] / total - 0.8) < 0.01
  assert abs(counts["validation"] / total - 0.05) < 0.01
  assert abs(counts["test"] / total - 0.15) < 0.01


def test_facts_are_of_this_world():
  with pytest.raises(ValueError, match="city 'oslo' is not in"):
    world.Facts("fire", "nam", "oslo", 22, "monday")
  with pytest.raises(ValueError, match="number 1 is not in"):
    world.Facts("fire", "nam", "rome", 1, "monday")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_event_belongs_to_its_split(split):
  for index in range(60):
    event = world.draw_event(randomness.stream("world", split, index), split)
    assert world.partition(event.main) == split
    assert event.witness != event.main.person
    old, main = event.old, event.main
    assert old.city != main.city and old.number != main.number
    assert (old.person, old.day) == (main.person, main.day)
    assert world.may_be_told(old, event)
    if split == "train":
      assert world.partition(old) == "train"


def test_a_day_does_not_change_the_split():
  facts = world.Facts("fire", "nam", "rome", 22, "monday")
  days = [dataclasses.replace(facts, day=day) for day in world.DAYS]
  assert len({world.partition(x) for x in days}) == 1
