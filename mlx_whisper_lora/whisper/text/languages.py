"""The languages that Whisper knows, and the nearest relatives of others."""

import difflib
import re
import textwrap
import unicodedata

# Code -> English name, in the order of the languages' tokens.
LANGUAGES = {
    "en": "english",
    "zh": "chinese",
    "de": "german",
    "es": "spanish",
    "ru": "russian",
    "ko": "korean",
    "fr": "french",
    "ja": "japanese",
    "pt": "portuguese",
    "tr": "turkish",
    "pl": "polish",
    "ca": "catalan",
    "nl": "dutch",
    "ar": "arabic",
    "sv": "swedish",
    "it": "italian",
    "id": "indonesian",
    "hi": "hindi",
    "fi": "finnish",
    "vi": "vietnamese",
    "he": "hebrew",
    "uk": "ukrainian",
    "el": "greek",
    "ms": "malay",
    "cs": "czech",
    "ro": "romanian",
    "da": "danish",
    "hu": "hungarian",
    "ta": "tamil",
    "no": "norwegian",
    "th": "thai",
    "ur": "urdu",
    "hr": "croatian",
    "bg": "bulgarian",
    "lt": "lithuanian",
    "la": "latin",
    "mi": "maori",
    "ml": "malayalam",
    "cy": "welsh",
    "sk": "slovak",
    "te": "telugu",
    "fa": "persian",
    "lv": "latvian",
    "bn": "bengali",
    "sr": "serbian",
    "az": "azerbaijani",
    "sl": "slovenian",
    "kn": "kannada",
    "et": "estonian",
    "mk": "macedonian",
    "br": "breton",
    "eu": "basque",
    "is": "icelandic",
    "hy": "armenian",
    "ne": "nepali",
    "mn": "mongolian",
    "bs": "bosnian",
    "kk": "kazakh",
    "sq": "albanian",
    "sw": "swahili",
    "gl": "galician",
    "mr": "marathi",
    "pa": "punjabi",
    "si": "sinhala",
    "km": "khmer",
    "sn": "shona",
    "yo": "yoruba",
    "so": "somali",
    "af": "afrikaans",
    "oc": "occitan",
    "ka": "georgian",
    "be": "belarusian",
    "tg": "tajik",
    "sd": "sindhi",
    "gu": "gujarati",
    "am": "amharic",
    "yi": "yiddish",
    "lo": "lao",
    "uz": "uzbek",
    "fo": "faroese",
    "ht": "haitian creole",
    "ps": "pashto",
    "tk": "turkmen",
    "nn": "nynorsk",
    "mt": "maltese",
    "sa": "sanskrit",
    "lb": "luxembourgish",
    "my": "myanmar",
    "bo": "tibetan",
    "tl": "tagalog",
    "mg": "malagasy",
    "as": "assamese",
    "tt": "tatar",
    "haw": "hawaiian",
    "ln": "lingala",
    "ha": "hausa",
    "ba": "bashkir",
    "jw": "javanese",
    "su": "sundanese",
    "yue": "cantonese",
}

# Other English names that openai-whisper takes -> code.
ALIASES = {
    "burmese": "my",
    "valencian": "ca",
    "flemish": "nl",
    "haitian": "ht",
    "letzeburgesch": "lb",
    "pushto": "ps",
    "panjabi": "pa",
    "moldavian": "ro",
    "moldovan": "ro",
    "sinhalese": "si",
    "castilian": "es",
    "mandarin": "zh",
}

# English name -> code, as in openai-whisper.
TO_LANGUAGE_CODE = {name: code for code, name in LANGUAGES.items()} | ALIASES

# fmt: off
# More English names, and names in the languages themselves -> code.
OTHER_NAMES = {
    "bangla": "bn", "bokmal": "no", "bokmål": "no", "farsi": "fa", "filipino": "tl", "kiswahili": "sw", "slovene": "sl",
    "azərbaycanca": "az", "bahasa indonesia": "id", "bahasa melayu": "ms", "bosanski": "bs", "brezhoneg": "br",
    "català": "ca", "cymraeg": "cy", "dansk": "da", "deutsch": "de", "eesti": "et", "espanol": "es", "español": "es",
    "euskara": "eu", "francais": "fr", "français": "fr", "galego": "gl", "hrvatski": "hr", "italiano": "it",
    "latviešu": "lv", "lietuvių": "lt", "magyar": "hu", "malti": "mt", "nederlands": "nl", "norsk": "no",
    "polski": "pl", "portugues": "pt", "português": "pt", "română": "ro", "shqip": "sq", "slovenčina": "sk",
    "slovenščina": "sl", "srpski": "sr", "suomi": "fi", "svenska": "sv", "tiếng việt": "vi", "türkçe": "tr",
    "íslenska": "is", "čeština": "cs", "ελληνικά": "el", "български": "bg", "македонски": "mk", "монгол": "mn",
    "русский": "ru", "српски": "sr", "українська": "uk", "қазақша": "kk", "հայերեն": "hy", "עברית": "he", "اردو": "ur",
    "العربية": "ar", "فارسی": "fa", "አማርኛ": "am", "नेपाली": "ne", "मराठी": "mr", "हिंदी": "hi", "हिन्दी": "hi",
    "বাংলা": "bn", "ਪੰਜਾਬੀ": "pa", "ગુજરાતી": "gu", "தமிழ்": "ta", "తెలుగు": "te", "ಕನ್ನಡ": "kn", "മലയാളം": "ml",
    "සිංහල": "si", "ไทย": "th", "ລາວ": "lo", "မြန်မာ": "my", "ქართული": "ka", "ខ្មែរ": "km", "한국어": "ko",
    "中文": "zh", "日本語": "ja", "汉语": "zh", "粵語": "yue",
}

# Other codes -> code: those of ISO 639-2 and 639-3, of the largest member of a macrolanguage, and old ones.
OTHER_CODES = {
    "afr": "af", "aeb": "ar", "alb": "sq", "als": "sq", "amh": "am", "apc": "ar", "ara": "ar", "arb": "ar", "arm": "hy",
    "ars": "ar", "ary": "ar", "arz": "ar", "asm": "as", "aze": "az", "azj": "az", "bak": "ba", "baq": "eu", "bel": "be",
    "ben": "bn", "bod": "bo", "bos": "bs", "bre": "br", "bul": "bg", "bur": "my", "cat": "ca", "ces": "cs", "chi": "zh",
    "cmn": "zh", "cym": "cy", "cze": "cs", "dan": "da", "deu": "de", "dut": "nl", "ekk": "et", "ell": "el", "eng": "en",
    "est": "et", "eus": "eu", "fao": "fo", "fas": "fa", "fil": "tl", "fin": "fi", "fra": "fr", "fre": "fr", "geo": "ka",
    "ger": "de", "glg": "gl", "gre": "el", "guj": "gu", "hat": "ht", "hau": "ha", "heb": "he", "hin": "hi", "hrv": "hr",
    "hun": "hu", "hye": "hy", "ice": "is", "in": "id", "ind": "id", "isl": "is", "ita": "it", "iw": "he", "jav": "jw",
    "ji": "yi", "jpn": "ja", "jv": "jw", "kan": "kn", "kat": "ka", "kaz": "kk", "khk": "mn", "khm": "km", "kor": "ko",
    "lat": "la", "lav": "lv", "lin": "ln", "lit": "lt", "ltz": "lb", "lvs": "lv", "mac": "mk", "mal": "ml",
    "mao": "mi", "mar": "mr", "may": "ms", "mkd": "mk", "mlg": "mg", "mlt": "mt", "mo": "ro", "mon": "mn", "mri": "mi",
    "msa": "ms", "mya": "my", "nb": "no", "nep": "ne", "nld": "nl", "nno": "nn", "nob": "no", "nor": "no", "npi": "ne",
    "oci": "oc", "pan": "pa", "pbt": "ps", "per": "fa", "pes": "fa", "plt": "mg", "pol": "pl", "por": "pt", "prs": "fa",
    "pus": "ps", "ron": "ro", "rum": "ro", "rus": "ru", "san": "sa", "sin": "si", "slk": "sk", "slo": "sk", "slv": "sl",
    "sna": "sn", "snd": "sd", "som": "so", "spa": "es", "sqi": "sq", "srp": "sr", "sun": "su", "swa": "sw", "swe": "sv",
    "swh": "sw", "tam": "ta", "tat": "tt", "tel": "te", "tgk": "tg", "tgl": "tl", "tha": "th", "tib": "bo", "tuk": "tk",
    "tur": "tr", "ukr": "uk", "urd": "ur", "uzb": "uz", "uzn": "uz", "vie": "vi", "wel": "cy", "ydd": "yi", "yid": "yi",
    "yor": "yo", "zho": "zh", "zlm": "ms", "zsm": "ms",
}

# The larger languages that Whisper lacks: names, codes, and a relative that it knows. By the families of Glottolog and
# Ethnologue, Whisper has no nearer one for 91 of the 110 (tools/references/relatives.py). The others have one that is
# written alike, such as Dutch and not English for West Frisian.
RELATIVES = (
    ("acehnese", "ace", "id"), ("afar", "aa aar", "so"), ("akan, twi", "ak aka tw twi", "yo"),
    ("aragonese", "an arg", "es"), ("aramaic, assyrian", "aii syr", "he"), ("asturian", "ast", "es"),
    ("awadhi", "awa", "hi"), ("balinese", "ban", "id"), ("balochi", "bal", "fa"), ("bemba", "bem", "sn"),
    ("bhojpuri", "bho", "hi"), ("bikol", "bcl", "tl"), ("buryat", "bua bxr", "mn"), ("cebuano", "ceb", "tl"),
    ("chichewa, nyanja", "ny nya", "sn"), ("chittagonian", "ctg", "bn"), ("chuvash", "cv chv", "tt"),
    ("cornish", "kw cor", "br"), ("corsican", "co cos", "it"), ("crimean tatar", "crh", "tr"),
    ("divehi, dhivehi, maldivian", "dv div", "si"), ("dogri", "doi", "pa"), ("dzongkha", "dz dzo", "bo"),
    ("ewe", "ee ewe", "yo"), ("fijian", "fj fij", "mi"), ("fon", "fon", "yo"),
    ("frisian, west frisian", "fy fry", "nl"), ("friulian", "fur", "it"), ("fula, fulani", "ff ful", "yo"),
    ("gagauz", "gag", "tr"), ("ganda, luganda", "lg lug", "sw"), ("hakka", "hak", "zh"), ("hiligaynon", "hil", "tl"),
    ("igbo", "ig ibo", "yo"), ("ilocano", "ilo", "tl"), ("irish", "ga gle", "cy"), ("kabyle", "kab", "ar"),
    ("karakalpak", "kaa", "kk"), ("karelian", "krl", "fi"), ("kashmiri", "ks kas", "ur"), ("kashubian", "csb", "pl"),
    ("kikuyu", "ki kik", "sw"), ("kinyarwanda", "rw kin", "sw"), ("kirundi, rundi", "rn run", "sw"),
    ("kongo", "kg kon", "ln"), ("konkani", "kok gom", "mr"), ("krio", "kri", "en"),
    ("kurdish, kurmanji, sorani", "ku kur kmr ckb", "fa"), ("kyrgyz, kirghiz", "ky kir", "kk"),
    ("latgalian", "ltg", "lv"), ("ligurian", "lij", "it"), ("limburgish", "li lim", "nl"), ("low german", "nds", "de"),
    ("magahi", "mag", "hi"), ("maithili", "mai", "hi"), ("manipuri, meitei", "mni", "my"), ("manx", "gv glv", "cy"),
    ("marwari, rajasthani", "mwr raj", "hi"), ("min nan, hokkien", "nan", "zh"), ("minangkabau", "min", "id"),
    ("mizo", "lus", "my"), ("montenegrin", "cnr", "sr"), ("neapolitan", "nap", "it"),
    ("ndebele", "nd nde nr nbl", "sn"), ("nigerian pidgin", "pcm", "en"), ("northern sami, sami", "se sme", "fi"),
    ("odia, oriya", "or ori ory", "bn"), ("oromo", "om orm", "so"), ("ossetian", "os oss", "ps"),
    ("romansh", "rm roh", "it"), ("rusyn", "rue", "uk"), ("samoan", "sm smo", "mi"), ("santali", "sat", "km"),
    ("saraiki", "skr", "pa"), ("sardinian", "sc srd", "it"), ("scots", "sco", "en"),
    ("scottish gaelic", "gd gla", "cy"), ("sepedi, northern sotho", "nso", "sn"), ("serbo-croatian", "sh hbs", "hr"),
    ("shan", "shn", "th"), ("sicilian", "scn", "it"), ("silesian", "szl", "pl"),
    ("upper sorbian, sorbian", "hsb", "cs"), ("lower sorbian", "dsb", "pl"), ("sotho", "st sot", "sn"),
    ("swati", "ss ssw", "sn"), ("swiss german", "gsw", "de"), ("sylheti", "syl", "bn"), ("tahitian", "ty tah", "mi"),
    ("tamazight", "zgh ber", "ar"), ("tigre", "tig", "am"), ("tigrinya", "ti tir", "am"), ("tok pisin", "tpi", "en"),
    ("tongan", "to ton", "mi"), ("tsonga", "ts tso", "sn"), ("tswana", "tn tsn", "sn"), ("tulu", "tcy", "kn"),
    ("uyghur, uighur", "ug uig", "uz"), ("venda", "ve ven", "sn"), ("venetian", "vec", "it"), ("võro", "vro", "et"),
    ("walloon", "wa wln", "fr"), ("waray", "war", "tl"), ("western punjabi", "pnb lah", "pa"),
    ("wolof", "wo wol", "yo"), ("wu, shanghainese", "wuu", "zh"), ("xhosa", "xh xho", "sn"),
    ("zazaki", "zza diq", "fa"), ("zhuang", "za zha", "th"), ("zulu", "zu zul", "sn"),
)
# fmt: on


# Names and codes of those languages -> the first code, and that -> the code of the relative.
_LACKING = {each: codes.split()[0] for names, codes, _ in RELATIVES for each in (*names.split(", "), *codes.split())}
_NEAREST = {codes.split()[0]: relative for _, codes, relative in RELATIVES}
_NAMES = {codes.split()[0]: names.split(", ")[0] for names, codes, _ in RELATIVES} | LANGUAGES
_CODES = _LACKING | TO_LANGUAGE_CODE | OTHER_NAMES | OTHER_CODES | {code: code for code in LANGUAGES}
_CODE = re.compile(r"[a-z]{2,3}")


def language_code(language: str) -> str:
    """Return the code of a language, which Whisper may lack.

    Args:
        language: a code such as "te", "tel" or "te-IN", or a name such as "telugu" or "తెలుగు", in any case. A code of
            two or three letters that is not known is returned as it is: a model may have been given that language.

    Raises:
        ValueError: the name of the language is not known. The message names a similar one, if there is one.
    """
    name = unicodedata.normalize("NFC", " ".join(language.lower().split()))
    for each in (name, name.replace("_", "-").partition("-")[0]):  # without a region or a script
        if each in _CODES:
            return _CODES[each]
    if is_code(name):
        return name
    near = difflib.get_close_matches(name, LANGUAGES.values(), n=1, cutoff=0.75)
    hint = f"did you mean {near[0]!r}?" if near else "give a code such as 'te' or an English name such as 'telugu'"
    raise ValueError(f"unknown language {language!r}: {hint}")


def is_code(text: object) -> bool:
    """Return whether a text looks like the code of a language, be it known or not."""
    return isinstance(text, str) and bool(_CODE.fullmatch(text))


def is_known(code: str) -> bool:
    """Return whether the language of a code is known: it is Whisper's, or has a relative that is."""
    return code in _NAMES


def nearest_language(code: str) -> str | None:
    """Return the nearest relative, which Whisper knows, of a language that it lacks. None if no relative is listed."""
    return _NEAREST.get(code)


def lacking_language(code: str) -> str:
    """Return a message on a language that neither Whisper nor a model knows."""
    near = nearest_language(code)
    if near:
        name, relative = language_name(code), language_name(near)
        return (
            f"Whisper does not know {name} ({code!r}); its nearest relative that Whisper knows is {relative}, {near!r}"
        )
    return (
        f"unknown language {code!r}: give a near one that Whisper knows, such as 'hi', or train a token for it with "
        f"lora --new-language {code} --language hi"
    )


def language_name(code: str) -> str:
    """Return the English name of a language, or the code if the name is not known."""
    return _NAMES[code].title() if code in _NAMES else code


def language_list() -> str:
    """Return the codes and names of all languages, in lines for a help text."""
    names = ", ".join(f"{code}\xa0{name.replace(' ', chr(0xA0))}" for code, name in sorted(LANGUAGES.items()))
    lines = textwrap.wrap(names, 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines).replace("\xa0", " ")
