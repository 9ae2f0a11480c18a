"""Decoding: from one window's spectrogram to its transcript.

A window is encoded once. The decoder then writes one token a step: rules forbid some tokens, a strategy picks among the
rest. Radford et al. (2022), section 2.3; the rules and defaults are those of openai-whisper. Shapes: B windows, N = B
times `best_of` or `beam_size` sequences, T tokens written so far, V the vocabulary, P encoder positions, D model width.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.decoding.language import as_features, resolve_languages
from mlx_whisper_lora.whisper.decoding.logit_filters import logit_filters
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.decoding.search import (
    BeamSearchDecoder,
    Hypotheses,
    SamplingDecoder,
    TokenDecoder,
    best_sequence,
    reorder_cache,
)
from mlx_whisper_lora.whisper.model.ops import log_sum_exp
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class DecodingResult:
    """The transcript of one window.

    audio_features: the encoder's output, shape (P, D).
    language: the code given or detected; language_probs: code -> probability where it was detected.
    tokens: what was written, timestamps included, the end of text left out; text: the same as words.
    avg_logprob: mean natural-log probability of a token, the end of text counted.
    no_speech_prob: probability that the window holds no speech.
    compression_ratio: bytes of text over bytes of zlib's output; high for repetitive text.
    """

    audio_features: mx.array
    language: str
    language_probs: dict[str, float] | None = None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    avg_logprob: float = float("nan")
    no_speech_prob: float = float("nan")
    temperature: float = float("nan")
    compression_ratio: float = float("nan")


def decode(
    model: Whisper, mel: mx.array, options: DecodingOptions | None = None, **changes
) -> DecodingResult | list[DecodingResult]:
    """Decode one window, or a batch of windows of one length.

    `mel` is a log-mel spectrogram (F, n_mels) or (B, F, n_mels) of up to 30 s, or encoder output (P, D) or (B, P, D).
    `changes` replace fields of `options`. Returns one DecodingResult, or a list of B for a batch.
    Raises ValueError for a wrong shape, or for options that this model cannot follow.
    """
    options = replace(options or DecodingOptions(), **changes)
    results = decode_features(model, as_features(model, mel), options)
    return results[0] if mel.ndim == 2 else results


def decode_features(model: Whisper, features: mx.array, options: DecodingOptions) -> list[DecodingResult]:
    """Decode a batch of encoded windows (B, P, D); raises ValueError as `decode` does."""
    languages, language_probs = resolve_languages(model, features, options.language)
    tokenizers = [model.tokenizer(code, options.task) for code in languages]
    tokens, sum_logprobs, no_speech_probs = generate(model, features, tokenizers, options)

    results = []
    for i, tokenizer in enumerate(tokenizers):
        best = best_sequence(tokens[i], sum_logprobs[i], options.length_penalty)
        text = tokenizer.decode(tokens[i][best]).strip()
        result = DecodingResult(
            audio_features=features[i],
            language=languages[i],
            language_probs=language_probs[i],
            tokens=tokens[i][best],
            text=text,
            avg_logprob=sum_logprobs[i][best] / (len(tokens[i][best]) + 1),
            no_speech_prob=no_speech_probs[i],
            temperature=options.temperature,
            compression_ratio=compression_ratio(text),
        )
        results.append(result)
    return results


def generate(
    model: Whisper, features: mx.array, tokenizers: list[Tokenizer], options: DecodingOptions
) -> tuple[list[list[list[int]]], list[list[float]], list[float]]:
    """Write transcripts for `features` (B, P, D), one tokenizer a window.

    Returns, for each window, the tokens of its sequences, their summed log-probabilities (the end of text included),
    and the probability that nothing is spoken.
    """
    tokenizer = tokenizers[0]
    n_text_ctx = model.dims.n_text_ctx
    sample_len = options.sample_len or n_text_ctx // 2
    prompts = [initial_tokens(each, options, n_text_ctx, sample_len) for each in tokenizers]
    rules = logit_filters(tokenizer, options, model.dims.n_vocab)
    strategy: TokenDecoder
    if options.beam_size:
        strategy = BeamSearchDecoder(options.beam_size, options.patience, tokenizer.eot)
    else:
        strategy = SamplingDecoder(options.best_of or 1, options.temperature, tokenizer.eot)

    # The prompt runs once a window; its cache is then shared out among the window's sequences.
    cache = model.new_cache()
    hidden, _ = model.decoder.hidden(mx.array(prompts), features, cache)
    ends = hidden[:, mx.array([prompts[0].index(tokenizer.sot), hidden.shape[1] - 1])]
    at_sot, logits = mx.split(model.decoder.logits(ends).astype(mx.float32), 2, axis=1)
    no_speech_probs = mx.exp(at_sot[:, 0] - log_sum_exp(at_sot[:, 0]))[:, tokenizer.no_speech]
    rows = mx.repeat(mx.arange(len(prompts)), strategy.sequences_per_window)
    if strategy.sequences_per_window > 1:
        reorder_cache(cache, rows)
    logits = logits[rows, 0]

    written = Hypotheses.nothing(len(rows))
    # The last position that fits is an input too, so the output may run one past the text context.
    for step in range(min(sample_len, n_text_ctx - len(prompts[0]) + 1)):
        if step > 0:
            hidden, _ = model.decoder.hidden(written.tokens[:, -1:], features, cache)
            logits = model.decoder.logits(hidden[:, -1]).astype(mx.float32)
        for rule in rules:
            logits = rule.apply(logits, written.tokens)
        previous, (written, rows) = written, strategy.extend(written, logits)
        if rows is not None:
            reorder_cache(cache, rows)
        # Looking at the step before while this one computes keeps the device busy.
        mx.async_eval(written.tokens, written.sum_logprobs, written.all_ended)
        if previous.all_ended.item():
            written = previous
            break
    return *strategy.sequences(written), np.array(no_speech_probs).tolist()


def compression_ratio(text: str) -> float:
    """How many times zlib shrinks `text`; a loop of repeated phrases scores above 2.4."""
    data = text.encode("utf-8")
    return len(data) / len(zlib.compress(data))


def initial_tokens(tokenizer: Tokenizer, options: DecodingOptions, n_text_ctx: int, sample_len: int) -> list[int]:
    """What the decoder reads before it writes: [earlier text,] start of transcript, language, task[, prefix].

    Earlier text is cut to its last tokens that fit half of the text context. A prefix shares the other half with the
    tokens to come where `sample_len` leaves room. Raises ValueError when no room for a transcript is left.
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
    if not text:
        return []
    return tokenizer.encode(" " + text.strip()) if isinstance(text, str) else list(text)
