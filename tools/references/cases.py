"""The cases that tools/references/make_whisper.py gives to openai-whisper.

They are stored with their answers, and the tests read them from there: a case is added here alone.
"""

# Each case runs on all three models, and so on all three vocabularies.
DECODING = [
    {},
    {"without_timestamps": True},
    {"suppress_tokens": "", "suppress_blank": False, "max_initial_timestamp": None},
    {"prompt": "hello there", "max_initial_timestamp": 5.0},
    {"prompt": list(range(300, 700)), "prefix": [500, 600], "suppress_tokens": [11, 13, 220]},
    {"prefix": " well", "sample_len": 16, "suppress_tokens": "-1,220"},
    {"beam_size": 5},
    {"beam_size": 4, "patience": 2.0, "suppress_tokens": "", "suppress_blank": False, "without_timestamps": True},
    {"beam_size": 3, "patience": 0.5, "length_penalty": 0.6, "prompt": "hello there"},
]
MULTILINGUAL_DECODING = [{"language": None}, {"language": "te", "task": "translate"}]

# Temperatures too small to change the choice of a token make the fallback's outcome the same on both sides.
TRANSCRIPTION = [
    ("multilingual", 70.3, {"language": "te"}),
    ("multilingual", 45, {"condition_on_previous_text": False, "sample_len": 12}),
    ("multilingual", 31, {"language": "en", "initial_prompt": "Glossary: names", "task": "translate"}),
    ("english", 65, {"temperature": (0.0, 1e-7, 2e-7), "logprob_threshold": -6.3}),
    ("english", 65, {"temperature": (0.0, 1e-7), "compression_ratio_threshold": 1.3, "logprob_threshold": None}),
    ("english", 95, {"no_speech_threshold": 9.5e-4, "logprob_threshold": None}),
    ("english", 95, {"no_speech_threshold": 1e-5, "logprob_threshold": -6.2, "temperature": (0.0, 1e-7)}),
    ("v3", 12.345, {"language": "yue"}),
    ("v3", 80, {"language": "en"}),
    ("v3", 40, {"language": "en", "without_timestamps": True}),
    ("multilingual", 40, {"language": "te", "initial_prompt": "Glossary: names", "carry_initial_prompt": True}),
    ("english", 25, {"clip_timestamps": "2,9.5,12"}),
    ("english", 32, {"word_timestamps": True}),
    ("multilingual", 20, {"language": "ja", "word_timestamps": True, "clip_timestamps": [4.0, 19.0]}),
    ("v3", 31, {"language": "en", "word_timestamps": True, "hallucination_silence_threshold": 2.0}),
]
TRANSCRIPTION_SAMPLE_LEN = 20
TRANSCRIPTION_DEFAULTS = {"temperature": 0.0, "no_speech_threshold": None}

# A scripted decoder in place of a model: seed of its script, seconds of audio, options. Words are timed by script too.
LOOP = [
    (19, 70, {}),
    (2, 70, {"condition_on_previous_text": False, "temperature": (0.0, 0.2)}),
    (20, 60, {"initial_prompt": "Glossary: names", "temperature": 0.0}),
    (4, 90, {"initial_prompt": "Glossary: names", "carry_initial_prompt": True, "temperature": 0.2}),
    (5, 90, {"initial_prompt": "names " * 105, "carry_initial_prompt": True}),
    (6, 60, {"clip_timestamps": "3,10.5,20,31.25,40"}),
    (7, 60, {"clip_timestamps": [0.0, 12.34]}),
    (8, 60, {"compression_ratio_threshold": None, "temperature": (0.4, 0.8)}),
    (21, 60, {"logprob_threshold": None}),
    (10, 60, {"no_speech_threshold": None}),
    (22, 60, {"word_timestamps": True}),
    (12, 60, {"word_timestamps": True, "language": "ja", "temperature": (0.0, 0.6)}),
    (13, 60, {"word_timestamps": True, "clip_timestamps": "2,30,33,50", "initial_prompt": "names"}),
    (14, 60, {"word_timestamps": True, "prepend_punctuations": "", "append_punctuations": ".,"}),
    (15, 60, {"word_timestamps": True, "hallucination_silence_threshold": 0.5}),
    (16, 60, {"word_timestamps": True, "hallucination_silence_threshold": 1.0, "clip_timestamps": "2,20,25"}),
    (17, 60, {"word_timestamps": True, "hallucination_silence_threshold": 2.0, "temperature": (0.0, 0.6)}),
    (18, 60, {"word_timestamps": True, "hallucination_silence_threshold": 2.0}),
]

# Model, language, transcript, seconds of audio, and the (layer, head) pairs that align (None: the model's own).
TIMING = [
    ("english", "en", " It's 3.14 o'clock; they've left. (Really?) “Yes” - he said.", 12.0, None),
    ("multilingual", "te", " నమస్కారం, మీరు ఎలా ఉన్నారు?", 30.0, [[0, 1], [1, 0]]),
    ("multilingual", "ja", "こんにちは、世界。", 5.0, None),
    ("v3", "yue", "你好，世界。 OK", 8.0, [[1, 1]]),
    ("multilingual", "en", " a", 0.3, None),
    ("multilingual", "en", " [noise]", 0.06, None),
]

TEXTS = [
    " Hello, world!", "It's 3.14 o'clock; they've left.", "నమస్కారం, మీరు ఎలా ఉన్నారు?", "你好，世界。", "Привет, мир!",
    "مرحبا بالعالم", "नमस्ते दुनिया", "こんにちは世界", "  spaces \n and\tlines ", "♪ la la ♪ [music] <|en|>", "😀👍🏽",
]  # fmt: skip

WRITER_SEGMENTS = [
    (0.0, 4.2, " A first line."),
    (4.2, 4.9995, " With an arrow --> and\ta tab "),
    (59.9996, 3599.5, ' నమస్కారం “quotes” \\ and "these"'),
    (3599.5, 3599.5, ""),
    (3600.0, 36000.123, " Past the hour"),
]

# Four segments with words: a long pause in the third, punctuation, and enough text for a line break.
WORDED_SEGMENTS = [
    [(" It", 0.0, 0.3), (" was", 0.3, 0.3), (" a", 0.5, 0.58), (" bright,", 0.58, 1.1), (" cold", 1.1, 1.9),
     (" day.", 2.0, 2.4)],
    [(" నమస్కారం", 2.4, 3.0), (" “quotes”", 3.0, 3.5)],
    [],
    [(" After", 3600.0, 3600.4), (" a", 3606.0, 3606.1), (" long", 3606.1, 3607.25), (" pause", 3607.25, 3608.0),
     (" unbelievablylongwords", 3608.0, 3609.0), (" too", 3609.0, 3609.2)],
]  # fmt: skip
LAYOUTS = [
    {},
    {"highlight_words": True},
    {"max_line_width": 12},
    {"max_line_width": 12, "max_line_count": 1},
    {"max_line_width": 14, "max_line_count": 2, "highlight_words": True},
    {"max_line_count": 1},
    {"max_words_per_line": 2},
    {"max_words_per_line": 4, "highlight_words": True},
    {"max_words_per_line": 2, "max_line_width": 8},
    {"max_words_per_line": 3, "max_line_width": 10, "max_line_count": 2},
]

# Width, heads, encoder layers, decoder layers, vocabulary and mel bands of the published sizes.
SHAPES = {
    "tiny": (384, 6, 4, 4, 51865, 80),
    "base": (512, 8, 6, 6, 51865, 80),
    "small": (768, 12, 12, 12, 51865, 80),
    "medium": (1024, 16, 24, 24, 51865, 80),
    "large-v2": (1280, 20, 32, 32, 51865, 80),
    "large-v3": (1280, 20, 32, 32, 51866, 128),
    "large-v3-turbo": (1280, 20, 32, 4, 51866, 128),
}
