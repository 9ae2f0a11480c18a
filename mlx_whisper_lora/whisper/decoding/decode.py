"""Decoding: from the spectrogram of one window to its transcript.

A window is encoded once. The decoder then generates one token per step: logit filters forbid some tokens, and a token
decoder chooses among the rest. See Radford et al. (2022), section 2.3. The rules and defaults are those of
openai-whisper. Shapes: B windows, N = B times `best_of` or `beam_size` sequences, T tokens generated so far, V the
vocabulary, P encoder positions, D model width.
"""

import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.decoding.language import (
    as_features,
    detect_language_from_features,
    most_likely,
    resolve_languages,
)
from mlx_whisper_lora.whisper.decoding.logit_filters import logit_filters
from mlx_whisper_lora.whisper.decoding.options import LANG_ID, DecodingOptions
from mlx_whisper_lora.whisper.decoding.overflow import check_overflow
from mlx_whisper_lora.whisper.decoding.search import (
    BeamSearchDecoder,
    Candidate,
    Hypotheses,
    SamplingDecoder,
    TokenDecoder,
    best_sequence,
)
from mlx_whisper_lora.whisper.model.ops import log_sum_exp
from mlx_whisper_lora.whisper.model.whisper import LayerCache, Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer

_LEAVING_SHARE = 0.25  # of a batch


@dataclass(frozen=True)
class DecodingResult:
    """The transcript of one window."""

    audio_features: mx.array  # the encoder's output, shape (P, D)
    language: str  # the code that was given or detected
    language_probs: dict[str, float] | None = None  # code -> probability, if the language was detected
    tokens: list[int] = field(default_factory=list)  # with timestamps, without the end of text
    text: str = ""
    avg_logprob: float = float("nan")  # mean natural-log probability of a token, the end of text included
    no_speech_prob: float = float("nan")  # probability that the window contains no speech
    temperature: float = float("nan")
    compression_ratio: float = float("nan")  # bytes of text / bytes of zlib's output; high for repetitive text


@dataclass(frozen=True)
class Generated:
    """The candidate transcripts of one window."""

    candidates: list[Candidate]
    no_speech_prob: float  # probability that the window contains no speech


def decode(
    model: Whisper, mel: mx.array | np.ndarray, options: DecodingOptions | None = None, **changes
) -> DecodingResult | list[DecodingResult]:
    """Decode one window, or a batch of windows of one length.

    Args:
        model: the model.
        mel: a log-mel spectrogram of up to 30 s, shape (F, n_mels) or (B, F, n_mels), or encoder output, shape (P, D)
            or (B, P, D).
        options: how to decode.
        changes: replace fields of `options`.

    Returns:
        One result for one window, a list of B results for a batch.

    Raises:
        ValueError: `mel` has a wrong shape, or this model cannot follow the options.
        FloatingPointError: the numbers of the model overflow in its type.
    """
    options = replace(options or DecodingOptions(), **changes)
    note_type(model, options)
    results = decode_features(model, as_features(model, mel), options)
    return results[0] if mel.ndim == 2 else results


def note_type(model: Whisper, options: DecodingOptions) -> None:
    """Warn if the option `fp16` asks for another type than the one that the model was loaded in."""
    if (compute_dtype(options.fp16) or model.dtype) != model.dtype:
        warnings.warn(
            f"`fp16` {options.fp16} has no effect: this model was loaded in {model.dtype}; load_model takes a dtype",
            stacklevel=3,
        )


def compute_dtype(fp16: bool | None) -> mx.Dtype | None:
    """Return the type to load a model in. None lets `load_model` choose."""
    return None if fp16 is None else mx.float16 if fp16 else mx.float32


def decode_features(
    model: Whisper,
    features: mx.array,
    options: DecodingOptions,
    keys: Sequence[mx.array] | None = None,
    prompts: Sequence[str | Sequence[int] | None] | None = None,
) -> list[DecodingResult]:
    """Decode a batch of encoded windows, shape (B, P, D).

    Args:
        model: the model.
        features: the encoder's output, shape (B, P, D).
        options: how to decode.
        keys: a random key for each window, for sampling. By default, MLX's global random state is used.
        prompts: a prompt for each window. By default, each has the prompt of the options.

    Raises:
        ValueError: this model cannot follow the options.
        FloatingPointError: the numbers of the model overflow in its type.
    """
    if options.task == LANG_ID:
        _, probs = detect_language_from_features(model, features)
        return [DecodingResult(*window) for window in zip(features, map(most_likely, probs), probs, strict=True)]
    languages, language_probs = resolve_languages(model, features, options.language)
    tokenizers = [model.tokenizer(code, options.task) for code in languages]
    windows = generate(model, features, tokenizers, options, keys, prompts)

    results = []
    for i, (tokenizer, window) in enumerate(zip(tokenizers, windows, strict=True)):
        best = best_sequence(window.candidates, options.length_penalty)
        text = tokenizer.decode(best.tokens).strip()
        result = DecodingResult(
            audio_features=features[i],
            language=languages[i],
            language_probs=language_probs[i],
            tokens=best.tokens,
            text=text,
            avg_logprob=best.sum_logprob / (len(best.tokens) + 1),
            no_speech_prob=window.no_speech_prob,
            temperature=options.temperature,
            compression_ratio=compression_ratio(text),
        )
        results.append(result)
    return results


def generate(
    model: Whisper,
    features: mx.array,
    tokenizers: list[Tokenizer],
    options: DecodingOptions,
    keys: Sequence[mx.array] | None = None,
    prompts: Sequence[str | Sequence[int] | None] | None = None,
) -> list[Generated]:
    """Generate candidate transcripts for a batch of encoded windows.

    Args:
        model: the model.
        features: the encoder's output, shape (B, P, D).
        tokenizers: one for each window.
        options: how to decode.
        keys, prompts: as in `decode_features`.

    Returns:
        The candidates of each window.

    Raises:
        FloatingPointError: the numbers of the model overflow.
    """
    n_text_ctx = model.dims.n_text_ctx
    sample_len = options.sample_len or n_text_ctx // 2
    starts = [
        initial_tokens(tokenizer, replace(options, prompt=prompt), n_text_ctx, sample_len)
        for tokenizer, prompt in zip(tokenizers, prompts or [options.prompt] * len(tokenizers), strict=True)
    ]
    # The last position that fits is an input too, so the output may exceed the text context by one token.
    limits = np.array([min(sample_len, n_text_ctx - len(start) + 1) for start in starts])
    filters = logit_filters(tokenizers[0], options, model.vocabulary.size)
    decoder = _token_decoder(options, tokenizers[0].eot, keys)
    count = decoder.sequences_per_window

    # The prompt runs once per window. Its cache is then repeated for the sequences of the window.
    logits, no_speech_probs, cache = _read_starts(model, features, starts, tokenizers[0])
    rows: mx.array | None = mx.repeat(mx.arange(len(starts)), count)
    if count > 1:
        for layer in cache:
            layer.reorder(rows)
    logits = logits[rows]

    total = no_speech_probs.sum()  # of all numbers, so that it shows an overflow anywhere
    hypotheses = Hypotheses.empty(len(logits))
    windows = np.arange(len(starts))  # those that are not done
    candidates: dict[int, list[Candidate]] = {}
    while len(windows):
        if hypotheses.tokens.shape[1] > 0:
            hidden, _ = model.decoder.hidden(hypotheses.tokens[:, -1:], features, cache)
            logits = model.decoder.logits(hidden[:, -1]).astype(mx.float32)
        total = total + logits.sum()
        for logit_filter in filters:
            logits = logit_filter.apply(logits, hypotheses.tokens)
        previous = hypotheses
        hypotheses, rows = decoder.step(previous, logits)
        if rows is not None:
            for layer in cache:
                layer.reorder(rows)
        # Checking the step before while this one is computed keeps the device busy.
        mx.async_eval(hypotheses.tokens, hypotheses.sum_logprobs, hypotheses.finished, total)
        leaving = _leaving(previous, limits[windows] == hypotheses.tokens.shape[1])
        if leaving.any():
            found = decoder.finalize(hypotheses)
            candidates |= {windows[i]: found[i] for i in np.flatnonzero(leaving)}
            hypotheses = _keep(~leaving, hypotheses, decoder, cache)
            windows = windows[~leaving]
    check_overflow(model, total)
    probabilities = np.array(no_speech_probs).tolist()
    return [Generated(candidates[i], probability) for i, probability in enumerate(probabilities)]


def _read_starts(
    model: Whisper, features: mx.array, starts: list[list[int]], tokenizer: Tokenizer
) -> tuple[mx.array, mx.array, list[LayerCache]]:
    """Run the decoder on the tokens before generation, which may differ in length.

    Returns:
        The logits of the next token (B, V), the probability that a window contains no speech (B,), and the cache.
    """
    longest = max(map(len, starts))
    padding = [longest - len(start) for start in starts]
    cache = model.new_cache(mx.array(padding) if any(padding) else None)
    tokens = [[tokenizer.eot] * n + start for n, start in zip(padding, starts, strict=True)]
    hidden, _ = model.decoder.hidden(mx.array(tokens), features, cache)
    # The start of transcript and what follows it are of one length in all windows.
    ends = hidden[:, mx.array([padding[0] + starts[0].index(tokenizer.sot), longest - 1])]
    at_sot, logits = mx.split(model.decoder.logits(ends).astype(mx.float32), 2, axis=1)
    no_speech_probs = mx.exp(at_sot[:, 0] - log_sum_exp(at_sot[:, 0]))[:, tokenizer.no_speech]
    return logits[:, 0], no_speech_probs, cache


def _leaving(hypotheses: Hypotheses, full: np.ndarray) -> np.ndarray:
    """Return which windows leave the batch: the `full` ones at once, finished ones if they are a quarter of it.

    To leave, the keys and values of the others are copied, which takes as long as several steps.
    """
    finished = np.array(hypotheses.finished).reshape(len(full), -1).all(axis=1)
    return full | finished if full.any() or finished.mean() >= _LEAVING_SHARE else full


def _keep(staying: np.ndarray, hypotheses: Hypotheses, decoder: TokenDecoder, cache: list[LayerCache]) -> Hypotheses:
    """Remove all windows but the `staying` ones from a batch. Return their hypotheses."""
    windows = mx.array(np.flatnonzero(staying))
    rows = mx.array(np.flatnonzero(np.repeat(staying, decoder.sequences_per_window)))
    if windows.size:
        decoder.keep(windows)
        for layer in cache:
            layer.keep(windows, rows)
            mx.eval(layer.audio)  # so that only one layer's keys and values are in memory twice
    return hypotheses[rows]


def _token_decoder(options: DecodingOptions, eot: int, keys: Sequence[mx.array] | None) -> TokenDecoder:
    if options.beam_size:
        return BeamSearchDecoder(options.beam_size, options.patience, eot)
    return SamplingDecoder(options.best_of or 1, options.temperature, eot, keys)


def compression_ratio(text: str) -> float:
    """Return how many times zlib shrinks `text`. A loop of repeated phrases scores above 2.4."""
    data = text.encode("utf-8")
    return len(data) / len(zlib.compress(data))


def initial_tokens(tokenizer: Tokenizer, options: DecodingOptions, n_text_ctx: int, sample_len: int) -> list[int]:
    """Return the decoder's input before generation: [prompt,] start of transcript, language, task[, prefix].

    The prompt is cut to its last tokens that fit into half of the text context. The prefix shares the other half with
    the transcript, if `sample_len` leaves room.

    Raises:
        ValueError: the prompt and the prefix leave no room for a transcript.
    """
    half = n_text_ctx // 2
    start = tokenizer.sot_sequence_including_notimestamps if options.without_timestamps else tokenizer.sot_sequence
    prompt, prefix = encode_prompt(options.prompt, tokenizer), encode_prompt(options.prefix, tokenizer)
    if half > sample_len:
        prefix = prefix[-(half - sample_len) :]
    tokens = [tokenizer.sot_prev, *prompt[-(half - 1) :]] if prompt else []
    tokens += [*start, *prefix]
    if len(tokens) > n_text_ctx:
        raise ValueError(f"the prompt and the prefix take {len(tokens)} tokens; the model reads at most {n_text_ctx}")
    return tokens


def encode_prompt(text: str | Sequence[int] | None, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of a prompt or prefix that is given as text or as tokens."""
    if not text:
        return []
    return tokenizer.encode(" " + text.strip()) if isinstance(text, str) else list(text)
