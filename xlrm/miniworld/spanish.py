"""Spanish."""

from xlrm.miniworld import grammar

_MAYOR = "{person?el_alcalde|la_alcaldesa} {person}"

LANGUAGE = grammar.Language(
  code="es",
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
      "Berlín",
      "Londres",
      "Madrid",
      "Moscú",
      "Ankara",
      "Hanói",
      "París",
      "Roma",
      "Viena",
      "El Cairo",
    ),
  },
  days=(
    "el lunes",
    "el martes",
    "el miércoles",
    "el jueves",
    "el viernes",
    "el sábado",
    "el domingo",
  ),
  cores={
    "school": (
      "en {city} se abrió una escuela con {number} aulas",
      "{city} estrenó una escuela con {number} aulas",
    ),
    "flood": (
      "una inundación dañó {number} casas en {city}",
      "{number} casas se inundaron en {city}",
    ),
    "fire": (
      "un incendio destruyó {number} casas en {city}",
      "{number} casas ardieron en {city}",
    ),
    "election": (
      "{city} eligió a {number} mujeres para el consejo",
      "{number} mujeres ganaron las elecciones en {city}",
    ),
    "strike": (
      "{number} conductores hicieron huelga en {city}",
      "una huelga de {number} conductores empezó en {city}",
    ),
    "harvest": (
      "los agricultores cosecharon {number} toneladas de manzanas en {city}",
      "la cosecha en {city} alcanzó {number} toneladas de manzanas",
    ),
    "bridge": (
      "un puente se derrumbó en {city} y {number} personas resultaron heridas",
      "{number} personas resultaron heridas en {city} al derrumbarse un puente",
    ),
    "festival": (
      "un festival con {number} bandas empezó en {city}",
      "{number} bandas tocaron en un festival en {city}",
    ),
  },
  reports=(
    "{core}, dijo {person}.",
    "según {person}, {core}.",
    _MAYOR + " anunció que {core}.",
    "según dijo " + _MAYOR + " a la prensa {day}, {core}.",
    "{day} {core}, confirmó {person}.",
  ),
  dated="{day} {core}.",
  confirmations=(
    _MAYOR + " lo confirmó.",
    _MAYOR + " visitó el lugar.",
  ),
  dated_confirmations=(
    _MAYOR + " lo confirmó {day}.",
    _MAYOR + " visitó el lugar {day}.",
  ),
  memories=(
    "hace un año {core}.",
    "el verano pasado {core}.",
    "hace diez años {core}.",
  ),
  witnesses=(
    "{person} oyó la noticia en la radio.",
    "{person} hizo una foto.",
    "{person} vive cerca.",
  ),
  backgrounds=(
    "llovió toda la noche.",
    "la mañana fue fría.",
    "mucha gente estaba en la calle.",
    "la policía cerró la calle.",
  ),
  bound=frozenset(
    "en con de un una que se a la el las los al para según".split()
  ),
  needed=frozenset("en con de que para al".split()),
  plural=grammar.invariant,
)
