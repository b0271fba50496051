"""Vietnamese. People carry ông or bà, except after a title."""

from xlrm.miniworld import grammar

_NAMES = (
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
)

LANGUAGE = grammar.Language(
  code="vi",
  people={
    "": (
      "bà Weber",
      "ông Orlov",
      "bà Ruiz",
      "ông Demir",
      "bà Lan",
      "ông Brown",
      "bà Belova",
      "ông Vega",
      "bà Kaya",
      "ông Nam",
    ),
    "name": _NAMES,
  },
  cities={
    "": (
      "Berlin",
      "Luân Đôn",
      "Madrid",
      "Moskva",
      "Ankara",
      "Hà Nội",
      "Paris",
      "Roma",
      "Viên",
      "Cairo",
    ),
  },
  days=(
    "hôm thứ hai",
    "hôm thứ ba",
    "hôm thứ tư",
    "hôm thứ năm",
    "hôm thứ sáu",
    "hôm thứ bảy",
    "hôm chủ nhật",
  ),
  cores={
    "school": (
      "một trường học có {number} lớp được mở ở {city}",
      "{city} có thêm một trường học {number} lớp",
    ),
    "flood": (
      "một trận lũ làm hư hại {number} ngôi nhà ở {city}",
      "{number} ngôi nhà bị ngập ở {city}",
    ),
    "fire": (
      "một đám cháy phá hủy {number} ngôi nhà ở {city}",
      "{number} ngôi nhà bị cháy ở {city}",
    ),
    "election": (
      "{city} bầu {number} phụ nữ vào hội đồng",
      "{number} phụ nữ thắng cuộc bầu cử ở {city}",
    ),
    "strike": (
      "{number} tài xế đình công ở {city}",
      "cuộc đình công của {number} tài xế bắt đầu ở {city}",
    ),
    "harvest": (
      "nông dân thu hoạch {number} tấn táo ở {city}",
      "vụ mùa ở {city} đạt {number} tấn táo",
    ),
    "bridge": (
      "một cây cầu sập ở {city} và {number} người bị thương",
      "{number} người bị thương ở {city} khi một cây cầu sập",
    ),
    "festival": (
      "một lễ hội có {number} ban nhạc bắt đầu ở {city}",
      "{number} ban nhạc biểu diễn tại một lễ hội ở {city}",
    ),
  },
  reports=(
    "{core}, {person} nói.",
    "theo {person}, {core}.",
    "thị trưởng {person.name} thông báo rằng {core}.",
    "thị trưởng {person.name} nói với báo chí {day} rằng {core}.",
    "{day}, {core}, {person} xác nhận.",
  ),
  dated="{day}, {core}.",
  confirmations=(
    "thị trưởng {person.name} xác nhận điều này.",
    "thị trưởng {person.name} đến thăm nơi đó.",
  ),
  dated_confirmations=(
    "thị trưởng {person.name} xác nhận điều này {day}.",
    "thị trưởng {person.name} đến thăm nơi đó {day}.",
  ),
  memories=(
    "một năm trước, {core}.",
    "mùa hè năm ngoái, {core}.",
    "mười năm trước, {core}.",
  ),
  witnesses=(
    "{person} nghe tin trên đài.",
    "{person} chụp một bức ảnh.",
    "{person} sống gần đó.",
  ),
  backgrounds=(
    "trời mưa suốt đêm.",
    "buổi sáng trời lạnh.",
    "nhiều người đứng trên đường.",
    "cảnh sát chặn đường.",
  ),
  bound=frozenset("ở bị của và khi rằng theo vào tại một hôm".split()),
  needed=frozenset("ở của vào tại".split()),
  plural=grammar.invariant,
)
