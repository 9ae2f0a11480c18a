"""Small seeded models and synthetic audio, the same on both sides of the reference numbers.

tools/references/make_whisper.py gives openai-whisper these weights and stores its answers; the tests give them to the
port. This file needs NumPy alone, so that both sides can import it.
"""

import numpy as np

SAMPLE_RATE = 16000

# English-only, multilingual, and large-v3's vocabulary with 128 mel bands.
VARIANTS = {
    "english": {"n_vocab": 51864, "n_mels": 80, "seed": 39},
    "multilingual": {"n_vocab": 51865, "n_mels": 80, "seed": 45},
    "v3": {"n_vocab": 51866, "n_mels": 128, "seed": 59},
}


def small_dims(n_vocab: int, n_mels: int) -> dict[str, int]:
    """Return the dimensions of a Whisper 64 wide, with 2 + 2 layers and the published context lengths."""
    return {
        "n_mels": n_mels,
        "n_audio_ctx": 1500,
        "n_audio_state": 64,
        "n_audio_head": 2,
        "n_audio_layer": 2,
        "n_vocab": n_vocab,
        "n_text_ctx": 448,
        "n_text_state": 64,
        "n_text_head": 2,
        "n_text_layer": 2,
    }


def parameter_shapes(dims: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of every trained parameter, by openai-whisper's names and in its layout."""
    width, shapes = dims["n_audio_state"], {}

    def linear(name: str, n_in: int, n_out: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (n_out, n_in)
        if bias:
            shapes[f"{name}.bias"] = (n_out,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def attention(name: str) -> None:
        for part in ("query", "key", "value", "out"):
            linear(f"{name}.{part}", width, width, bias=part != "key")
        norm(f"{name}_ln")

    shapes["encoder.conv1.weight"], shapes["encoder.conv1.bias"] = (width, dims["n_mels"], 3), (width,)
    shapes["encoder.conv2.weight"], shapes["encoder.conv2.bias"] = (width, width, 3), (width,)
    shapes["decoder.token_embedding.weight"] = (dims["n_vocab"], width)
    shapes["decoder.positional_embedding"] = (dims["n_text_ctx"], width)
    for side, layers in (("encoder", dims["n_audio_layer"]), ("decoder", dims["n_text_layer"])):
        for i in range(layers):
            attention(f"{side}.blocks.{i}.attn")
            if side == "decoder":
                attention(f"{side}.blocks.{i}.cross_attn")
            linear(f"{side}.blocks.{i}.mlp.0", width, 4 * width)
            linear(f"{side}.blocks.{i}.mlp.2", 4 * width, width)
            norm(f"{side}.blocks.{i}.mlp_ln")
    norm("encoder.ln_post")
    norm("decoder.ln")
    return shapes


def seeded_parameters(dims: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Return random float32 parameters, large enough that the greedy tokens depend on the audio and on the prefix."""
    random = np.random.default_rng(seed)
    parameters = {}
    for name, shape in sorted(parameter_shapes(dims).items()):
        values = random.standard_normal(shape, dtype=np.float32)
        if name.endswith(("ln.weight", "ln_post.weight")):
            parameters[name] = 1 + 0.1 * values
        elif name.endswith(".bias") or "embedding" in name:
            parameters[name] = 0.1 * values
        else:
            fan_in = int(np.prod(shape[1:]))
            parameters[name] = 2 * values / np.sqrt(fan_in)
    # Ends of text and silences would be too rare among 51,865 random tokens.
    end_of_text = dims["n_vocab"] - 1 - 1501 - 6 - NUM_LANGUAGES[dims["n_vocab"]] - 1
    no_speech = dims["n_vocab"] - 1501 - 2
    parameters["decoder.token_embedding.weight"][end_of_text] *= 3
    parameters["decoder.token_embedding.weight"][no_speech] *= 3
    return parameters


NUM_LANGUAGES = {51864: 99, 51865: 99, 51866: 100}


def chirps(seconds: float, seed: int = 0) -> np.ndarray:
    """Return rising tones with pauses between them over faint noise: float32 samples at 16 kHz."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = np.cumsum(200 + 900 * (time % 3.1) / 3.1) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * phase) * (np.sin(2 * np.pi * time / 1.7) > -0.3) * (0.3 + 0.2 * np.sin(time))
    return (0.5 * tone + 0.01 * random.standard_normal(len(time))).astype(np.float32)


def three_windows() -> list[np.ndarray]:
    """Return three different recordings of 30 s, the first of them quiet."""
    return [chirps(30, seed=0) * np.float32(0.3), chirps(30, seed=1), chirps(30, seed=2)]


# The pieces of a scripted transcript: words, punctuation that belongs to a neighbor, scripts without spaces.
WORDS = (
    " Hello",
    " world",
    " a",
    " naïve",
    " word's",
    ".",
    "?",
    "!",
    ",",
    ")",
    "”",
    " (",
    " “",
    " -",
    " 世界",
    "です",
    "。",
)


def scripted_window(seed: int, call: int) -> dict:
    """Return a random result for a decoder's `call`-th window.

    "pieces" are words and, as numbers, timestamps in seconds; the other fields are those of a decoding result.
    """
    random = np.random.default_rng([seed, call])
    pieces: list[str | float] = []
    time = float(random.choice([0.0, 0.4, 3.0]))
    for _ in range(random.integers(0, 5)):
        start = time + float(random.choice([0.0, 0.0, 0.6, 2.5]))
        end = start + float(random.choice([0.5, 1.5, 2.0, 4.0, 8.0]))
        if end > 28:
            break
        words = [str(word) for word in random.choice(WORDS, random.integers(0, 8))]
        pieces += [round(start, 2), *words, round(end, 2)]
        time = end
    ending = random.choice(["silence", "cut off", "no timestamps"], p=[0.4, 0.5, 0.1])
    if ending == "cut off" and pieces:
        pieces += [pieces[-1], " Hello"]
    if ending == "no timestamps":
        pieces = [piece for piece in pieces if isinstance(piece, str)]
    return {
        "pieces": pieces,
        "avg_logprob": float(random.choice([-0.25, -1.5], p=[0.8, 0.2])),
        "no_speech_prob": float(random.choice([0.125, 0.875], p=[0.8, 0.2])),
        "compression_ratio": float(random.choice([1.25, 2.75], p=[0.85, 0.15])),
    }


def scripted_times(seed: int, call: int, n_words: int, n_frames: int) -> list[tuple[float, float, float]]:
    """Return random start, end and probability of each word of a window; words follow each other without a gap."""
    random = np.random.default_rng([seed, call, 1])
    lengths, shares = (0.0, 0.02, 0.1, 0.24, 0.4, 1.0, 2.4, 4.0), (0.05, 0.1, 0.2, 0.3, 0.2, 0.05, 0.05, 0.05)
    durations = random.choice(lengths, n_words, p=shares)
    bounds = np.concatenate([[0], np.cumsum(durations)]) + random.choice([0.0, 0.2, 3.0])
    positions = np.floor(50 * bounds * min(1, n_frames / 100 / max(bounds[-1], 1e-9)))
    probabilities = random.choice([0.0625, 0.5, 0.875], n_words, p=[0.2, 0.3, 0.5])
    times = (positions / 50).tolist()
    return list(zip(times[:-1], times[1:], probabilities.tolist(), strict=True))
