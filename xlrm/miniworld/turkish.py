"""Turkish. Case endings follow vowel harmony and are stored with each name."""

from xlrm.miniworld import grammar

LANGUAGE = grammar.Language(
  code="tr",
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
    "to": (
      "Weber'e",
      "Orlov'a",
      "Ruiz'e",
      "Demir'e",
      "Lan'a",
      "Brown'a",
      "Belova'ya",
      "Vega'ya",
      "Kaya'ya",
      "Nam'a",
    ),
    "of": (
      "Weber'in",
      "Orlov'un",
      "Ruiz'in",
      "Demir'in",
      "Lan'ın",
      "Brown'ın",
      "Belova'nın",
      "Vega'nın",
      "Kaya'nın",
      "Nam'ın",
    ),
  },
  cities={
    "": (
      "Berlin",
      "Londra",
      "Madrid",
      "Moskova",
      "Ankara",
      "Hanoi",
      "Paris",
      "Roma",
      "Viyana",
      "Kahire",
    ),
    "in": (
      "Berlin'de",
      "Londra'da",
      "Madrid'de",
      "Moskova'da",
      "Ankara'da",
      "Hanoi'de",
      "Paris'te",
      "Roma'da",
      "Viyana'da",
      "Kahire'de",
    ),
  },
  days=(
    "pazartesi günü",
    "salı günü",
    "çarşamba günü",
    "perşembe günü",
    "cuma günü",
    "cumartesi günü",
    "pazar günü",
  ),
  cores={
    "school": (
      "{city.in} {number} sınıflı bir okul açıldı",
      "{city} {number} sınıflı bir okula kavuştu",
    ),
    "flood": (
      "{city.in} sel {number} eve zarar verdi",
      "{city.in} {number} evi su bastı",
    ),
    "fire": (
      "{city.in} yangın {number} evi yok etti",
      "{city.in} {number} ev yandı",
    ),
    "election": (
      "{city} meclise {number} kadın seçti",
      "{city.in} seçimi {number} kadın kazandı",
    ),
    "strike": (
      "{city.in} {number} sürücü grev yaptı",
      "{city.in} {number} sürücünün grevi başladı",
    ),
    "harvest": (
      "{city.in} çiftçiler {number} ton elma topladı",
      "{city.in} hasat {number} ton elmaya ulaştı",
    ),
    "bridge": (
      "{city.in} bir köprü çöktü ve {number} kişi yaralandı",
      "{city.in} köprü çökünce {number} kişi yaralandı",
    ),
    "festival": (
      "{city.in} {number} gruplu bir festival başladı",
      "{city.in} bir festivalde {number} grup çaldı",
    ),
  },
  reports=(
    "{person}, {core} dedi.",
    "{person.to} göre {core}.",
    "başkan {person} açıkladı: {Core}.",
    "başkan {person.of} {day} basına verdiği bilgiye göre {core}.",
    "{day} {core}, bunu {person} doğruladı.",
  ),
  dated="{day} {core}.",
  confirmations=(
    "başkan {person} bunu doğruladı.",
    "başkan {person} oraya gitti.",
  ),
  dated_confirmations=(
    "başkan {person} bunu {day} doğruladı.",
    "başkan {person} {day} oraya gitti.",
  ),
  memories=(
    "bir yıl önce {core}.",
    "geçen yaz {core}.",
    "on yıl önce {core}.",
  ),
  witnesses=(
    "{person} haberi radyoda duydu.",
    "{person} bir fotoğraf çekti.",
    "{person} yakında oturuyor.",
  ),
  backgrounds=(
    "bütün gece yağmur yağdı.",
    "sabah hava soğuktu.",
    "sokakta çok insan vardı.",
    "polis sokağı kapattı.",
  ),
  bound=frozenset("göre bir ve günü".split()),
  needed=frozenset("göre ve yok bilgiye verdiği zarar".split()),
  plural=grammar.invariant,
)
