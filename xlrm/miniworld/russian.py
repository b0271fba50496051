"""Russian. Cases are stored; verbs and nouns agree with gender and number."""

from xlrm.miniworld import grammar

_HOUSES = "{number} {number?дом|дома|домов}"
_WOMEN = "{number} {number?женщина|женщины|женщин}"
_TONNES_OF = "{number} {number?тонны|тонн|тонн} яблок"
_PEOPLE = "{number} {number?человек|человека|человек}"

LANGUAGE = grammar.Language(
  code="ru",
  people={
    "": (
      "Вебер",
      "Орлов",
      "Руис",
      "Демир",
      "Лан",
      "Браун",
      "Белова",
      "Вега",
      "Кая",
      "Нам",
    ),
    "of": (
      "Вебер",
      "Орлова",
      "Руис",
      "Демира",
      "Лан",
      "Брауна",
      "Беловой",
      "Веги",
      "Каи",
      "Нама",
    ),
  },
  cities={
    "of": (
      "Берлина",
      "Лондона",
      "Мадрида",
      "Москвы",
      "Анкары",
      "Ханоя",
      "Парижа",
      "Рима",
      "Вены",
      "Каира",
    ),
    "in": (
      "Берлине",
      "Лондоне",
      "Мадриде",
      "Москве",
      "Анкаре",
      "Ханое",
      "Париже",
      "Риме",
      "Вене",
      "Каире",
    ),
  },
  days=(
    "в понедельник",
    "во вторник",
    "в среду",
    "в четверг",
    "в пятницу",
    "в субботу",
    "в воскресенье",
  ),
  cores={
    "school": (
      "в {city.in} открылась школа на {number} {number?класс|класса|классов}",
      "в {city.in} появилась школа на {number} {number?класс|класса|классов}",
    ),
    "flood": (
      "наводнение повредило " + _HOUSES + " в {city.in}",
      "в {city.in} затопило " + _HOUSES,
    ),
    "fire": (
      "пожар уничтожил " + _HOUSES + " в {city.in}",
      "в {city.in} {number?сгорел|сгорели|сгорело} " + _HOUSES,
    ),
    "election": (
      "в совет {city.of} {number?прошла|прошли|прошло} " + _WOMEN,
      "на выборах в {city.in} {number?победила|победили|победило} " + _WOMEN,
    ),
    "strike": (
      "в {city.in} {number?бастовал|бастовали|бастовало} {number} "
      "{number?водитель|водителя|водителей}",
      "в {city.in} началась забастовка {number} "
      "{number?водителя|водителей|водителей}",
    ),
    "harvest": (
      "фермеры собрали {number} {number?тонну|тонны|тонн} яблок в {city.in}",
      "урожай в {city.in} достиг " + _TONNES_OF,
    ),
    "bridge": (
      "в {city.in} рухнул мост и {number?пострадал|пострадали|пострадало} "
      + _PEOPLE,
      "при обрушении моста в {city.in} "
      "{number?пострадал|пострадали|пострадало} " + _PEOPLE,
    ),
    "festival": (
      "в {city.in} начался фестиваль с участием {number} "
      "{number?группы|групп|групп}",
      "на фестивале в {city.in} {number?сыграла|сыграли|сыграло} {number} "
      "{number?группа|группы|групп}",
    ),
  },
  reports=(
    "{core}, {person?сказал|сказала} {person}.",
    "по словам {person.of}, {core}.",
    "мэр {person} {person?сообщил|сообщила}, что {core}.",
    "как {person?сообщил|сообщила} прессе {day} мэр {person}, {core}.",
    "{day} {core}, {person?подтвердил|подтвердила} {person}.",
  ),
  dated="{day} {core}.",
  confirmations=(
    "мэр {person} {person?подтвердил|подтвердила} это.",
    "мэр {person} {person?посетил|посетила} это место.",
  ),
  dated_confirmations=(
    "мэр {person} {person?подтвердил|подтвердила} это {day}.",
    "мэр {person} {person?посетил|посетила} это место {day}.",
  ),
  memories=(
    "год назад {core}.",
    "прошлым летом {core}.",
    "десять лет назад {core}.",
  ),
  witnesses=(
    "{person} {person?услышал|услышала} новость по радио.",
    "{person} {person?сделал|сделала} фото.",
    "{person} живёт рядом.",
  ),
  backgrounds=(
    "всю ночь шёл дождь.",
    "утро было холодным.",
    "на улице было много людей.",
    "полиция перекрыла улицу.",
  ),
  bound=frozenset("в во на с по при".split()),
  needed=frozenset("в во на с по при".split()),
  plural=grammar.slavic,
)
