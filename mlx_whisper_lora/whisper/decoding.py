"""Decoding: from one window's spectrogram to its transcript.

A window is encoded once. The decoder then writes one token a step: rules forbid some tokens, a strategy picks among the
rest. Radford et al. (2022), section 2.3; the rules and defaults are those of openai-whisper. Shapes: B windows, N = B
times `best_of` or `beam_size` sequences, T tokens written so far, V the vocabulary, P encoder positions, D model width.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import mlx.core as mx
import numpy as np

from mlx_whisper_lora.whisper.audio import FRAMES_PER_POSITION
from mlx_whisper_lora.whisper.cpu import log_sum_exp
from mlx_whisper_lora.whisper.model import LayerCache, Whisper
from mlx_whisper_lora.whisper.tokenizer import SECONDS_PER_TIMESTAMP, Tokenizer, get_tokenizer, language_code

NON_SPEECH = -1  # in `suppress_tokens`: the tokenizer's non-speech tokens


@dataclass(frozen=True)
class DecodingOptions:
    """How to decode a window.

    task: "transcribe", or "translate" into English.
    language: a code or an English name; None detects it in each window.
    temperature: 0 takes the likeliest token at every step, above 0 samples.
    sample_len: the most tokens to write; None is half of the model's text context.
    best_of: how many sequences to sample at a temperature above 0; the likeliest is kept.
    beam_size: how many sequences beam search follows at temperature 0; None takes the likeliest token at every step.
    patience: beam search ends once `beam_size` times this many sequences have (Kasai et al. 2022); None is 1.
    length_penalty: alpha, 0 to 1, of Wu et al. (2016), which compares sequences of unlike length: 0 favours short ones.
        None compares the mean log-probability of a token.
    prompt: text or tokens of what was said before, as context.
    prefix: text or tokens that this window's transcript starts with.
    suppress_tokens: tokens never written, as numbers or "1,2,3"; -1 stands for the tokenizer's non-speech tokens.
        Whisper's special tokens are added; None or "" suppresses nothing at all.
    suppress_blank: forbid a transcript that starts with a space or with its end.
    without_timestamps: write text only.
    max_initial_timestamp: the latest start of the first segment, in seconds; None or 0 for no limit.

    Raises ValueError for values that contradict each other.
    """

    task: str = "transcribe"
    language: str | None = None
    temperature: float = 0.0
    sample_len: int | None = None
    best_of: int | None = None
    beam_size: int | None = None
    patience: float | None = None
    length_penalty: float | None = None
    prompt: str | Sequence[int] | None = None
    prefix: str | Sequence[int] | None = None
    suppress_tokens: str | Sequence[int] | None = "-1"
    suppress_blank: bool = True
    without_timestamps: bool = False
    max_initial_timestamp: float | None = 1.0

    def __post_init__(self):
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")
        if self.best_of is not None and self.temperature == 0:
            raise ValueError("best_of needs a temperature above 0: at 0 every sequence is the same")
        if self.beam_size is not None and self.temperature > 0:
            raise ValueError("beam_size needs temperature 0: above it sequences are sampled, best_of of them")
        if self.patience is not None and self.beam_size is None:
            raise ValueError("patience needs beam_size: only beam search can wait")
        if self.patience is not None and round((self.beam_size or 0) * self.patience) < 1:
            raise ValueError(f"patience must let at least one sequence end, got {self.patience}")
        if self.length_penalty is not None and not 0 <= self.length_penalty <= 1:
            raise ValueError(f"length_penalty must be from 0 to 1, got {self.length_penalty}")
        for name in ("best_of", "beam_size"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")


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
    results = decode_features(model, encode(model, mel[None] if mel.ndim == 2 else mel), options)
    return results[0] if mel.ndim == 2 else results


def decode_features(model: Whisper, features: mx.array, options: DecodingOptions) -> list[DecodingResult]:
    """Decode a batch of encoded windows (B, P, D); raises ValueError as `decode` does."""
    languages, language_probs = window_languages(model, features, options.language)
    tokenizers = [model_tokenizer(model, code, options.task) for code in languages]
    tokens, sum_logprobs, no_speech_probs = generate(model, features, tokenizers, options)

    results = []
    for i, tokenizer in enumerate(tokenizers):
        best = likeliest(tokens[i], sum_logprobs[i], options.length_penalty)
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


def detect_language(
    model: Whisper, mel: mx.array, tokenizer: Tokenizer | None = None
) -> tuple[mx.array, list[dict[str, float]] | dict[str, float]]:
    """The language spoken in one window or in each of a batch; `mel` as for `decode`.

    Returns the likeliest language tokens (B,) and, for each window, code -> probability over all languages; for one
    window, a scalar and one dict. Raises ValueError for an English-only model.
    """
    features = encode(model, mel[None] if mel.ndim == 2 else mel)
    tokens, probs = detect_in_features(model, features, tokenizer)
    return (tokens[0], probs[0]) if mel.ndim == 2 else (tokens, probs)


def detect_in_features(
    model: Whisper, features: mx.array, tokenizer: Tokenizer | None = None
) -> tuple[mx.array, list[dict[str, float]]]:
    """`detect_language` for a batch of encoded windows (B, P, D)."""
    if not model.is_multilingual:
        raise ValueError("this model is English-only and cannot detect a language")
    tokenizer = tokenizer or model_tokenizer(model, None)
    hidden, _ = model.decoder.hidden(mx.full((features.shape[0], 1), tokenizer.sot), features)
    first, count = tokenizer.all_language_tokens[0], tokenizer.num_languages
    logits = model.decoder.logits(hidden[:, 0]).astype(mx.float32)[:, first : first + count]
    rows = np.array(mx.softmax(logits, axis=-1)).tolist()
    return first + logits.argmax(axis=-1), [dict(zip(tokenizer.all_language_codes, row, strict=True)) for row in rows]


def encode(model: Whisper, mel: mx.array) -> mx.array:
    """Features (B, P, D) from log-mels (B, F, n_mels); what is encoded already passes through."""
    dims = model.dims
    longest = dims.n_audio_ctx * FRAMES_PER_POSITION
    if mel.ndim == 3 and mel.shape[2] == dims.n_mels and mel.shape[1] <= longest:
        return model.encoder(mel.astype(model.dtype))
    if mel.ndim == 3 and mel.shape[2] == dims.n_audio_state and mel.shape[1] <= dims.n_audio_ctx:
        return mel
    raise ValueError(
        f"this model takes windows of up to {longest} frames by {dims.n_mels} mel bands, or their features "
        f"({dims.n_audio_ctx} by {dims.n_audio_state}); got {' by '.join(map(str, mel.shape[1:]))}"
    )


def model_tokenizer(model: Whisper, language: str | None, task: str = "transcribe") -> Tokenizer:
    """The tokenizer of `model`; ValueError for a language or task that Whisper or this model lacks."""
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language=language, task=task)
    code = language_code(language) if language is not None else "en"
    if not model.is_multilingual and (code != "en" or task != "transcribe"):
        raise ValueError(f"this model is English-only: it cannot {task} language {code!r}")
    if model.is_multilingual and code not in tokenizer.all_language_codes:
        raise ValueError(f"this model does not know language {code!r}; it knows {tokenizer.num_languages} others")
    return tokenizer


def window_languages(
    model: Whisper, features: mx.array, language: str | None
) -> tuple[list[str], list[dict[str, float] | None]]:
    """Each window's language code, given or detected, and the probabilities where it was detected."""
    count = features.shape[0]
    if language is not None or not model.is_multilingual:
        return [language_code(language or "en")] * count, [None] * count
    _, probs = detect_in_features(model, features)
    return [max(window, key=window.__getitem__) for window in probs], [*probs]


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
    rules = logit_rules(tokenizer, options, model.dims.n_vocab)
    strategy: Strategy
    if options.beam_size:
        strategy = BeamSearch(options.beam_size, options.patience, tokenizer.eot)
    else:
        strategy = Sampling(options.best_of or 1, options.temperature, tokenizer.eot)

    # The prompt runs once a window; its cache is then shared out among the window's sequences.
    cache = model.new_cache()
    hidden, _ = model.decoder.hidden(mx.array(prompts), features, cache)
    ends = hidden[:, mx.array([prompts[0].index(tokenizer.sot), hidden.shape[1] - 1])]
    at_sot, logits = mx.split(model.decoder.logits(ends).astype(mx.float32), 2, axis=1)
    no_speech_probs = mx.exp(at_sot[:, 0] - log_sum_exp(at_sot[:, 0]))[:, tokenizer.no_speech]
    rows = mx.repeat(mx.arange(len(prompts)), strategy.sequences_per_window)
    if strategy.sequences_per_window > 1:
        take_rows(cache, rows)
    logits = logits[rows, 0]

    written = Written.nothing(len(rows))
    # The last position that fits is an input too, so the output may run one past the text context.
    for step in range(min(sample_len, n_text_ctx - len(prompts[0]) + 1)):
        if step > 0:
            hidden, _ = model.decoder.hidden(written.tokens[:, -1:], features, cache)
            logits = model.decoder.logits(hidden[:, -1]).astype(mx.float32)
        for rule in rules:
            logits = rule.apply(logits, written.tokens)
        previous, (written, rows) = written, strategy.extend(written, logits)
        if rows is not None:
            take_rows(cache, rows)
        # Looking at the step before while this one computes keeps the device busy.
        mx.async_eval(written.tokens, written.sum_logprobs, written.all_ended)
        if previous.all_ended.item():
            written = previous
            break
    return *strategy.sequences(written), np.array(no_speech_probs).tolist()


def take_rows(cache: list[LayerCache], rows: mx.array) -> None:
    """Keep the given rows (sequences) of the text in a decoder cache, in that order; one may be taken several times.

    The sound's keys and values stay one a window: its sequences, side by side in the batch, share them.
    """
    for layer in cache:
        if layer.text is not None:
            key, value = layer.text
            layer.text = key[rows], value[rows]


def until(eot: int, tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(eot)] if eot in tokens else tokens


def likeliest(tokens: list[list[int]], sum_logprobs: list[float], length_penalty: float | None) -> int:
    """The index of the likeliest sequence, its length made up for as DecodingOptions says."""
    lengths = np.array([len(sequence) for sequence in tokens])
    weights = np.maximum(lengths, 1) if length_penalty is None else ((5 + lengths) / 6) ** length_penalty
    return int(np.argmax(np.array(sum_logprobs) / weights))


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
    prompt, prefix = as_tokens(options.prompt, tokenizer), as_tokens(options.prefix, tokenizer)
    if half > sample_len:
        prefix = prefix[-(half - sample_len) :]
    tokens = [tokenizer.sot_prev, *prompt[-(half - 1) :]] if prompt else []
    tokens += [*start, *prefix]
    if len(tokens) > n_text_ctx:
        raise ValueError(f"the prompt and the prefix take {len(tokens)} tokens; the model reads at most {n_text_ctx}")
    return tokens


def as_tokens(text: str | Sequence[int] | None, tokenizer: Tokenizer) -> list[int]:
    if not text:
        return []
    return tokenizer.encode(" " + text.strip()) if isinstance(text, str) else list(text)


@dataclass(frozen=True)
class Written:
    """The sequences so far: tokens (N, T) and summed log-probabilities (N,)."""

    tokens: mx.array
    sum_logprobs: mx.array
    all_ended: mx.array  # one boolean, computed with the rest so that reading it waits for nothing else

    @classmethod
    def nothing(cls, count: int) -> "Written":
        return cls(mx.zeros((count, 0), mx.int32), mx.zeros(count), mx.array(False))


class Strategy(Protocol):
    """Chooses the tokens."""

    sequences_per_window: int

    def extend(self, written: Written, logits: mx.array) -> tuple[Written, mx.array | None]:
        """One more token for every sequence, from `logits` (N, V); with it, the sequences that were gone on from, as
        row numbers (N,), or None where each is its own."""
        ...

    def sequences(self, written: Written) -> tuple[list[list[list[int]]], list[list[float]]]:
        """For each window, the tokens of its sequences up to the end of text, and their summed log-probabilities."""
        ...


class Sampling:
    """Extends each sequence alone: by the likeliest token at temperature 0, by a random draw above it."""

    def __init__(self, count: int, temperature: float, eot: int):
        self.sequences_per_window = count
        self.temperature = temperature
        self.eot = eot

    def extend(self, written: Written, logits: mx.array) -> tuple[Written, None]:
        greedy = self.temperature == 0
        chosen = logits.argmax(axis=-1) if greedy else mx.random.categorical(logits / self.temperature)
        logprobs = (mx.take_along_axis(logits, chosen[:, None], axis=-1) - log_sum_exp(logits))[:, 0]
        if written.tokens.shape[1] > 0:  # a sequence that has ended gets the end again
            ended = written.tokens[:, -1] == self.eot
            chosen, logprobs = mx.where(ended, self.eot, chosen), mx.where(ended, 0, logprobs)
        chosen = chosen.astype(mx.int32)
        extended = Written(
            tokens=mx.concatenate([written.tokens, chosen[:, None]], axis=1),
            sum_logprobs=written.sum_logprobs + logprobs,
            all_ended=(chosen == self.eot).all(),
        )
        return extended, None

    def sequences(self, written: Written) -> tuple[list[list[list[int]]], list[list[float]]]:
        count = self.sequences_per_window
        tokens = [until(self.eot, row) for row in np.array(written.tokens).tolist()]
        groups = [tokens[i : i + count] for i in range(0, len(tokens), count)]
        return groups, np.array(written.sum_logprobs).reshape(-1, count).tolist()


class BeamSearch:
    """Follows the likeliest sequences of each window, those that end being set aside.

    A window is done once `beam_size` times `patience` sequences have ended. Each step looks at twice as many of the
    likeliest extensions as there are beams: of these at most one a beam ends, so enough go on. Those that end count
    only where they are likelier than the last one that goes on. W stands for the beam size below.
    """

    def __init__(self, beam_size: int, patience: float | None, eot: int):
        self.sequences_per_window = beam_size
        self.wanted = round(beam_size * (1.0 if patience is None else patience))
        self.eot = eot
        self.counts = mx.array(0)  # of ended sequences a window (B,)
        # Step by step, the tokens (B, 2W, T) looked at, likeliest first, their scores, and which of them ended (B, 2W).
        self.steps: list[tuple[mx.array, mx.array, mx.array]] = []

    def extend(self, written: Written, logits: mx.array) -> tuple[Written, mx.array]:
        beams, n_vocab = self.sequences_per_window, logits.shape[-1]
        scores = written.sum_logprobs[:, None] + logits - log_sum_exp(logits)
        scores = scores.reshape(-1, beams * n_vocab)
        if written.tokens.shape[1] == 0:
            scores = scores[:, :n_vocab]  # all beams are still the same
        best = mx.argpartition(-scores, 2 * beams - 1, axis=-1)[:, : 2 * beams]
        scores = mx.take_along_axis(scores, best, axis=-1)
        order = mx.argsort(-scores, axis=-1)
        best, scores = mx.take_along_axis(best, order, axis=-1), mx.take_along_axis(scores, order, axis=-1)

        chosen = (best % n_vocab).astype(mx.int32)
        rows = mx.arange(len(best))[:, None] * beams + best // n_vocab
        tokens = mx.concatenate([written.tokens[rows], chosen[..., None]], axis=-1)
        ends = chosen == self.eot
        going_on_before = mx.cumsum(~ends, axis=-1) - ~ends
        ended = ends & (going_on_before < beams) & (scores > -mx.inf)
        self.steps.append((tokens, scores, ended))
        self.counts = self.counts + ended.sum(axis=-1)
        mx.async_eval(self.steps[-1], self.counts)

        go_on = mx.argsort(mx.where(ends, 2 * beams, 0) + mx.arange(2 * beams), axis=-1)[:, :beams]
        extended = Written(
            tokens=mx.take_along_axis(tokens, go_on[..., None], axis=1).flatten(0, 1),
            sum_logprobs=mx.take_along_axis(scores, go_on, axis=-1).flatten(),
            all_ended=(self.counts >= self.wanted).all(),
        )
        return extended, mx.take_along_axis(rows, go_on, axis=-1).flatten()

    def sequences(self, written: Written) -> tuple[list[list[list[int]]], list[list[float]]]:
        """Those that ended, in the order in which they did, and where they are too few, the likeliest that did not."""
        steps = [[np.array(array) for array in step] for step in self.steps]
        groups, sums = [], []
        for i in range(len(written.tokens) // self.sequences_per_window):
            found: list[tuple[list[int], float]] = []
            for step in steps:
                tokens, scores, ended = (array[i] for array in step)
                found += zip(tokens[ended, :-1].tolist(), scores[ended].tolist(), strict=True)
                if len(found) >= self.wanted:  # done, though other windows may not be
                    break
            found = found[: self.wanted]
            missing = max(self.sequences_per_window - len(found), 0)
            going_on = tokens[:, -1] != self.eot
            found += zip(tokens[going_on][:missing].tolist(), scores[going_on][:missing].tolist(), strict=True)
            groups.append([tokens for tokens, _ in found])
            sums.append([score for _, score in found])
        return groups, sums


class LogitRule(Protocol):
    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        """`logits` (N, V) with -inf for what may not follow the sampled `tokens` (N, T)."""
        ...


def logit_rules(tokenizer: Tokenizer, options: DecodingOptions, n_vocab: int) -> list[LogitRule]:
    """The rules that `options` ask for, in the order in which they apply."""
    rules: list[LogitRule] = []
    if options.suppress_blank:
        rules.append(SuppressBlank(tokenizer, n_vocab))
    if options.suppress_tokens:
        rules.append(SuppressTokens(suppressed_tokens(tokenizer, options.suppress_tokens, n_vocab), n_vocab))
    if not options.without_timestamps:
        rules.append(TimestampRules(tokenizer, n_vocab, options.max_initial_timestamp))
    return rules


def suppressed_tokens(tokenizer: Tokenizer, given: str | Sequence[int], n_vocab: int) -> set[int]:
    """The ids that `suppress_tokens` stands for, with the special tokens that are never part of a transcript."""
    try:
        tokens = {int(token) for token in (given.split(",") if isinstance(given, str) else given)}
    except ValueError:
        raise ValueError(f"suppress_tokens takes token numbers such as '-1' or '50,51', got {given!r}") from None
    if NON_SPEECH in tokens:
        tokens = tokens - {NON_SPEECH} | set(tokenizer.non_speech_tokens)
    if unknown := [token for token in tokens if not 0 <= token < n_vocab]:
        raise ValueError(f"suppress_tokens names tokens that this model lacks: {sorted(unknown)}")
    tasks = {tokenizer.transcribe, tokenizer.translate}
    return tokens | tasks | {tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm, tokenizer.no_speech}


def mask_of(tokens: Sequence[int] | set[int], n_vocab: int) -> mx.array:
    """Zeros (V,) with -inf at `tokens`."""
    mask = np.zeros(n_vocab, np.float32)
    mask[list(tokens)] = -np.inf
    return mx.array(mask)


class SuppressBlank:
    """No transcript starts with a space token or ends before it began."""

    def __init__(self, tokenizer: Tokenizer, n_vocab: int):
        self.mask = mask_of([*tokenizer.encode(" "), tokenizer.eot], n_vocab)

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        return logits + self.mask if tokens.shape[1] == 0 else logits


class SuppressTokens:
    """Some tokens are never written."""

    def __init__(self, tokens: set[int], n_vocab: int):
        self.mask = mask_of(tokens, n_vocab)

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        return logits + self.mask


class TimestampRules:
    """Timestamps frame the text: <|0.00|> text <|1.20|><|1.20|> text <|3.04|>.

    The first token is a timestamp, no later than the limit. One that follows text closes a segment, and then the next
    segment's opens, or the transcript ends; after the opening one comes text. Times never go back, and no segment is
    empty. Where all timestamps together are likelier than any single other token, the next token is a timestamp.
    """

    def __init__(self, tokenizer: Tokenizer, n_vocab: int, max_initial_timestamp: float | None):
        self.eot = tokenizer.eot
        self.begin = tokenizer.timestamp_begin
        self.text_end = tokenizer.no_timestamps  # the token before `begin`, forbidden where timestamps are written
        self.ids = mx.arange(n_vocab)
        self.first_limit = n_vocab
        if max_initial_timestamp:
            self.first_limit = self.begin + round(max_initial_timestamp / SECONDS_PER_TIMESTAMP)

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        if tokens.shape[1] == 0:
            return mx.where((self.ids >= self.begin) & (self.ids <= self.first_limit), logits, -mx.inf)

        times = tokens >= self.begin
        newest = mx.where(times, tokens, 0).max(axis=1, keepdims=True)  # times only grow, so the last is the largest
        last = times[:, -1:]
        before = times[:, -2:-1] if tokens.shape[1] > 1 else mx.ones_like(last)
        opened, closed = last & before, last & ~before

        # Allowed: ids from `text_floor` up to the timestamps, and timestamps from `time_floor` on.
        text_floor = mx.where(closed, self.eot, 0)
        time_floor = mx.where(opened, self.ids.size, mx.where(closed, newest, newest + 1))
        time_floor = mx.maximum(time_floor, self.begin)
        text = (self.ids >= text_floor) & (self.ids < self.text_end)
        logits = mx.where(text | (self.ids >= time_floor), logits, -mx.inf)

        any_time = mx.logsumexp(logits[:, self.begin :], axis=-1, keepdims=True)
        best_text = logits[:, : self.begin].max(axis=-1, keepdims=True)
        return mx.where((any_time > best_text) & (self.ids < self.begin), -mx.inf, logits)
