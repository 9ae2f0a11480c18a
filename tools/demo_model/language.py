"""The small world of the demo model: about 170 words each of English, German and Spanish.

No two languages share a spelling, and no two words of a language sound alike. The audio therefore determines both the
language and the spelling.
"""

import random

LANGUAGES = ("en", "de", "es")

# Word classes: the upper-case names are the slots of the templates below.
_CLASSES: dict[str, dict[str, str]] = {
    "en": {
        "DIGIT": "zero one two three four five six seven eight nine",
        "NUMBER": "ten eleven twelve twenty hundred",
        "PERSON": "man woman boy girl mother father sister brother baby friend teacher doctor king queen "
        "child uncle farmer",
        "ANIMAL": "dog cat horse bird fish cow mouse sheep tiger monkey rabbit",
        "THING": "house table chair door window bed cup bottle book box key lamp clock phone picture "
        "knife bread apple water milk coffee sugar cheese egg car",
        "PLACE": "city village school street river mountain forest beach church market station island kitchen garden",
        "ADJECTIVE": "red blue green yellow black white brown grey orange purple old young big small long "
        "short happy angry hungry cold hot new clean dirty good strong quiet heavy empty",
        "TIME": "today tomorrow yesterday now soon always never often monday friday",
        "SEASON": "morning evening night summer",
        "WEATHER": "rain snow storm cloud",
        "ACTS": "takes likes finds brings opens holds wants buys carries drinks needs sees",
        "DO": "go come sleep walk speak listen wait sing work play",
        "WAY": "left right up down north south east west",
        "RELATION": "behind under between near",
        "PRONOUN": "we they you she he",
        "FUNCTION": "the and is my your this with very but because where when who what not can please "
        "thank yes hello there",
    },
    "de": {
        "DIGIT": "null eins zwei drei vier fünf sechs sieben acht neun",
        "NUMBER": "zehn elf zwölf zwanzig hundert",
        "PERSON_M": "mann junge vater bruder freund lehrer arzt könig onkel sohn",
        "PERSON_F": "frau mutter schwester tante tochter königin",
        "PERSON_N": "kind mädchen",
        "ANIMAL_M": "hund vogel fisch affe bär",
        "ANIMAL_F": "katze kuh maus",
        "ANIMAL_N": "pferd schaf",
        "THING_M": "tisch stuhl löffel schlüssel apfel kaffee zucker käse garten schrank teller",
        "THING_F": "tür lampe uhr küche milch flasche tasse gabel blume",
        "PLACE_F": "straße stadt schule kirche brücke insel",
        "THING_N": "haus fenster bett buch bild messer brot wasser auto zimmer dorf feuer",
        "ADJECTIVE": "rot blau grün gelb schwarz weiß braun grau alt jung groß klein lang kurz glücklich "
        "müde hungrig kalt heiß neu sauber schmutzig gut stark leise schwer leer schön "
        "schnell langsam",
        "TIME": "heute morgen gestern jetzt bald immer nie oft",
        "SEASON": "abend montag freitag sommer frühling herbst",
        "WEATHER": "regen schnee sturm sonne wolke nacht",
        "ACTS": "sieht nimmt mag findet bringt öffnet hält kauft trägt trinkt braucht",
        "DOES": "geht kommt schläft spricht wartet singt läuft spielt arbeitet",
        "WAY": "rechts oben unten hier dort",
        "COMPASS": "norden süden osten westen",
        "RELATION": "hinter neben zwischen",
        "PRONOUN": "ich du er sie wir",
        "FUNCTION": "der die das und ist nicht mein dein mit sehr aber weil wo wer wann kann ja nein bitte danke",
    },
    "es": {
        "DIGIT": "cero uno dos tres cuatro cinco seis siete ocho nueve",
        "NUMBER": "diez veinte cien",
        "PERSON_M": "hombre niño padre hermano amigo rey abuelo hijo maestro médico",
        "PERSON_F": "mujer niña madre hermana reina abuela tía",
        "ANIMAL_M": "perro gato caballo pájaro pez ratón pollo",
        "ANIMAL_F": "vaca oveja",
        "THING_M": "libro vaso árbol café pan azúcar queso coche tren reloj jardín cuchillo plato huevo sombrero",
        "THING_F": "casa mesa silla puerta ventana cama botella llave lámpara cocina manzana agua leche "
        "flor foto carta",
        "PLACE_M": "pueblo río bosque mercado",
        "PLACE_F": "ciudad escuela calle montaña playa iglesia isla",
        "ADJECTIVE_M": "rojo negro blanco amarillo viejo pequeño largo corto nuevo limpio sucio bueno frío rápido",
        "ADJECTIVE": "azul verde gris grande joven feliz triste fuerte caliente fácil",
        "TIME": "hoy mañana ayer ahora pronto siempre nunca",
        "SEASON": "noche tarde lunes viernes verano invierno",
        "WEATHER": "lluvia nieve viento sol nube",
        "ACTS": "tiene compra lleva busca abre bebe quiere encuentra necesita mira",
        "DOES": "duerme camina habla canta espera corre juega trabaja vive llega",
        "WAY": "izquierda derecha arriba abajo cerca lejos detrás aquí allí",
        "COMPASS": "norte sur oeste",
        "PRONOUN": "yo tú nosotros ella",
        "FUNCTION": "el la es está no mi con muy mientras porque dónde cuándo quién para entre sí gracias "
        "hola adiós más",
    },
}

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "en": (
        "hello PERSON",
        "thank you",
        "very ADJECTIVE",
        "DO there",
        "please DO",
        "PRONOUN DO",
        "TIME WAY",
        "the ADJECTIVE ANIMAL",
        "my PERSON ACTS",
        "where is PERSON",
        "PRONOUN can DO",
        "WEATHER and WEATHER",
        "THING and THING",
        "DO WAY TIME",
        "yes my PERSON",
        "the WEATHER TIME",
        "the THING is ADJECTIVE",
        "who ACTS the THING",
        "your PERSON ACTS coffee",
        "PRONOUN can not DO",
        "this SEASON is ADJECTIVE",
        "NUMBER ADJECTIVE ANIMAL TIME",
        "please DO WAY TIME",
        "the PERSON ACTS my THING",
        "where is the ADJECTIVE ANIMAL",
        "DO RELATION the ADJECTIVE THING",
        "what is RELATION the PLACE",
        "this WEATHER is very ADJECTIVE",
        "the PERSON is RELATION the PLACE",
        "PRONOUN DO with my ADJECTIVE ANIMAL",
        "when can PRONOUN DO WAY TIME",
        "the ADJECTIVE PERSON ACTS this ADJECTIVE THING",
        "the PLACE is very ADJECTIVE this SEASON",
    ),
    "de": (
        "ja bitte",
        "danke PERSON_M",
        "sehr ADJECTIVE",
        "PRONOUN kann",
        "bitte WAY",
        "TIME nicht",
        "der PERSON_M DOES",
        "die PERSON_F DOES",
        "das PERSON_N DOES",
        "wo ist THING_M",
        "wer DOES WAY",
        "WEATHER und WEATHER",
        "mein ANIMAL_M DOES",
        "PRONOUN kann COMPASS",
        "SEASON und SEASON",
        "das THING_N ist ADJECTIVE",
        "die PLACE_F ist ADJECTIVE",
        "der THING_M ist ADJECTIVE",
        "wo ist die ANIMAL_F",
        "wer ACTS die THING_F",
        "DIGIT NUMBER und NUMBER",
        "der SEASON ist ADJECTIVE",
        "der PERSON_M ACTS das THING_N",
        "die PERSON_F ACTS die THING_F",
        "das ANIMAL_N DOES nicht TIME",
        "dein ANIMAL_M ist sehr ADJECTIVE",
        "wann DOES die ANIMAL_F WAY",
        "mein THING_M ist ADJECTIVE und ADJECTIVE",
        "die PERSON_F DOES mit mein ANIMAL_M",
        "TIME ist das THING_N sehr ADJECTIVE",
        "der PERSON_M DOES RELATION das THING_N",
        "die PERSON_F ACTS das THING_N TIME nicht",
        "der PERSON_M und die PERSON_F ACTS das THING_N",
    ),
    "es": (
        "hola PERSON_M",
        "gracias PERSON_F",
        "muy ADJECTIVE",
        "muy ADJECTIVE_M",
        "PRONOUN no",
        "está WAY",
        "el PERSON_M DOES",
        "la PERSON_F DOES",
        "mi ANIMAL_M DOES",
        "dónde está PERSON_M",
        "quién DOES TIME",
        "no es ADJECTIVE",
        "el THING_M ADJECTIVE_M",
        "el WEATHER TIME",
        "adiós mi PERSON_F",
        "la THING_F es ADJECTIVE",
        "el THING_M es ADJECTIVE_M",
        "dónde está la PLACE_F",
        "quién ACTS el THING_M",
        "la ANIMAL_F DOES WAY",
        "NUMBER DIGIT NUMBER más",
        "SEASON es muy ADJECTIVE",
        "el PERSON_M ACTS el THING_M",
        "la PERSON_F ACTS la THING_F",
        "cuándo DOES la ANIMAL_F TIME",
        "mi THING_M es muy ADJECTIVE_M",
        "el PLACE_M está muy WAY",
        "la PERSON_F DOES con mi ANIMAL_M",
        "TIME el PERSON_M no DOES WAY",
        "sí la PLACE_F es más ADJECTIVE",
        "el PERSON_M ACTS la THING_F con mi PERSON_F",
        "la PERSON_F DOES entre COMPASS con mi PERSON_M",
    ),
}

_CONJUNCTIONS = {"en": ("and", "but", "because"), "de": ("und", "aber", "weil"), "es": ("porque", "mientras")}

_SLOTS = {
    language: {name: tuple(words.split()) for name, words in classes.items()} for language, classes in _CLASSES.items()
}

VOCABULARY: dict[str, tuple[str, ...]] = {
    language: tuple(word for words in slots.values() for word in words) for language, slots in _SLOTS.items()
}


def sentence(rng: random.Random, language: str, n_words: int) -> str:
    """Return `n_words` words (1 or more) of `language`, joined by spaces.

    Half of the sentences of two words or more are uniformly random words, so that no word is rare and a decoder cannot
    lean on grammar alone. The others are made from templates or are rows of digits. Single words are uniform, apart
    from some more digits.

    Raises:
        KeyError: the language is not in LANGUAGES.
    """
    slots = _SLOTS[language]
    kind = rng.random()
    if kind < 0.1:
        words = [rng.choice(slots["DIGIT"]) for _ in range(n_words)]
    elif kind < 0.5 and n_words > 1:
        words = _grammatical(rng, language, n_words)
    else:
        words = [rng.choice(VOCABULARY[language]) for _ in range(n_words)]
    return " ".join(words)


def _grammatical(rng: random.Random, language: str, n_words: int) -> list[str]:
    """Fill a template of `n_words` words, or join two shorter ones by a conjunction (n_words >= 2)."""
    templates = [template.split() for template in _TEMPLATES[language]]
    fitting = [template for template in templates if len(template) == n_words]
    if fitting:
        slots = _SLOTS[language]
        return [rng.choice(slots[item]) if item in slots else item for item in rng.choice(fitting)]
    first = rng.randint(2, n_words - 3)
    conjunction = rng.choice(_CONJUNCTIONS[language])
    return [*_grammatical(rng, language, first), conjunction, *_grammatical(rng, language, n_words - 1 - first)]
