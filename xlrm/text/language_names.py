"""How languages are called in English, by code."""

ENGLISH = {
  "ar": "Arabic",
  "cs": "Czech",
  "de": "German",
  "el": "Greek",
  "en": "English",
  "es": "Spanish",
  "fa": "Persian",
  "fr": "French",
  "he": "Hebrew",
  "hi": "Hindi",
  "id": "Indonesian",
  "it": "Italian",
  "ja": "Japanese",
  "ko": "Korean",
  "nl": "Dutch",
  "pl": "Polish",
  "pt": "Portuguese",
  "pt-BR": "Portuguese",
  "ro": "Romanian",
  "ru": "Russian",
  "th": "Thai",
  "tr": "Turkish",
  "uk": "Ukrainian",
  "vi": "Vietnamese",
  "zh": "Chinese",
}


def english(code: str) -> str:
  """The English name of a language; an unknown code stays as it is."""
  return ENGLISH.get(code, code)
