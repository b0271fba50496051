"""German. The finite verb is second, so what stands first decides the order."""

from xlrm.miniworld import grammar

_MAYOR = "{person?Bürgermeister|Bürgermeisterin} {person}"

LANGUAGE = grammar.Language(
  code="de",
  people={
    "": (
      "Weber",
      "Orlow",
      "Ruiz",
      "Demir",
      "Lan",
      "Brown",
      "Belowa",
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
      "Moskau",
      "Ankara",
      "Hanoi",
      "Paris",
      "Rom",
      "Wien",
      "Kairo",
    ),
  },
  days=(
    "am Montag",
    "am Dienstag",
    "am Mittwoch",
    "am Donnerstag",
    "am Freitag",
    "am Samstag",
    "am Sonntag",
  ),
  cores={
    "school": (
      "in {city} / wurde / eine Schule mit {number} Klassen eröffnet",
      "{city} / bekam / eine Schule mit {number} Klassen",
    ),
    "flood": (
      "eine Flut / beschädigte / {number} Häuser in {city}",
      "in {city} / wurden / {number} Häuser überflutet",
    ),
    "fire": (
      "ein Feuer / zerstörte / {number} Häuser in {city}",
      "in {city} / brannten / {number} Häuser",
    ),
    "election": (
      "{city} / wählte / {number} Frauen in den Rat",
      "{number} Frauen / gewannen / die Wahl in {city}",
    ),
    "strike": (
      "in {city} / streikten / {number} Fahrer",
      "in {city} / begann / ein Streik von {number} Fahrern",
    ),
    "harvest": (
      "Bauern / ernteten / {number} Tonnen Äpfel in {city}",
      "die Ernte in {city} / erreichte / {number} Tonnen Äpfel",
    ),
    "bridge": (
      "in {city} / stürzte / eine Brücke ein und {number} Menschen "
      "wurden verletzt",
      "{number} Menschen / wurden / in {city} beim Einsturz einer Brücke "
      "verletzt",
    ),
    "festival": (
      "in {city} / begann / ein Festival mit {number} Bands",
      "{number} Bands / spielten / auf einem Festival in {city}",
    ),
  },
  reports=(
    "{core}, sagte {person}.",
    "laut {person} {inv}.",
    _MAYOR + " teilte mit: {Core}.",
    "wie " + _MAYOR + " der Presse {day} sagte, {inv}.",
    "{day} {inv}, bestätigte {person}.",
  ),
  dated="{day} {inv}.",
  confirmations=(
    _MAYOR + " bestätigte dies.",
    _MAYOR + " besuchte den Ort.",
  ),
  dated_confirmations=(
    _MAYOR + " bestätigte dies {day}.",
    _MAYOR + " besuchte {day} den Ort.",
  ),
  memories=(
    "vor einem Jahr {inv}.",
    "im letzten Sommer {inv}.",
    "vor zehn Jahren {inv}.",
  ),
  witnesses=(
    "{person} hörte die Nachricht im Radio.",
    "{person} machte ein Foto.",
    "{person} wohnt in der Nähe.",
  ),
  backgrounds=(
    "es regnete die ganze Nacht.",
    "der Morgen war kalt.",
    "viele Menschen standen auf der Straße.",
    "die Polizei sperrte die Straße.",
  ),
  bound=frozenset(
    (
      "in mit von laut auf beim den der wurde wurden ein eine einer am die"
    ).split()
  ),
  needed=frozenset("in mit von laut auf beim den der".split()),
  plural=grammar.invariant,
)
