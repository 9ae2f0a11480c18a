"""Trained vectors before the input of the encoder and of the decoder, with the entire model frozen.

Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning" (2021). In the decoder, the vectors come
before the embeddings of the tokens, and every token attends to them; the tokens keep their positions, so that a text
may be as long as without a prompt. In the encoder, they come before the states of the window (Jia et al., "Visual
Prompt Tuning", 2022), which attend to them in every block; their own outputs are dropped, so that the decoder, and with
it the times of words, finds the positions of the window where they are without a prompt.
"""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from mlx_whisper_lora.adapters.method import Method
from mlx_whisper_lora.whisper.model.twin import twin
from mlx_whisper_lora.whisper.model.whisper import AudioEncoder, Features, LayerCache, TextDecoder, Whisper, text_mask
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

_DEVIATION = 0.02  # of a fresh prompt, as of embeddings before training


@documented
@dataclass(frozen=True)
class SoftPromptConfig:
    """The sides that get a prompt, and its length.

    Raises:
        OptionError: a value is out of range, or no side gets a prompt.
    """

    encoder_length: int = option(
        16, "Trained vectors before the states of the encoder. 0: none.", minimum=0, maximum=1500
    )
    decoder_length: int = option(
        16, "Trained vectors before the tokens of the decoder. 0: none.", minimum=0, maximum=1500
    )

    def __post_init__(self):
        check_ranges(self)
        if self.encoder_length + self.decoder_length == 0:
            raise OptionError("`encoder_length` and `decoder_length` are both 0: there is nothing to train")

    def __str__(self) -> str:
        return f"prompts of {self.encoder_length} vectors in the encoder and {self.decoder_length} in the decoder"


class _Prompted(nn.Module):
    """A frozen part of a model with a trained prompt.

    Args:
        part: the encoder or decoder, whose parts it has.
        prompt: the vectors, shape (N, D).
    """

    def __init__(self, part: nn.Module, prompt: mx.array):
        nn.Module.__init__(self)
        for name, value in twin(part).items():
            setattr(self, name, value)
        self.freeze()
        self.prompt = prompt


class PromptedEncoder(_Prompted, AudioEncoder):
    """A frozen encoder with trained vectors before its input."""

    def upper(self, x: mx.array, n_blocks: int = 0) -> mx.array:
        return super().upper(_prepend(self.prompt, x), n_blocks)[:, len(self.prompt) :]


class PromptedDecoder(_Prompted, TextDecoder):
    """A frozen decoder with trained vectors before its tokens. They are the first entries of its cache."""

    def hidden(
        self,
        tokens: mx.array,
        audio_features: Features,
        cache: list[LayerCache] | None = None,
        need_weights: bool = False,
    ) -> tuple[mx.array, list[mx.array | None]]:
        past, padding = (cache[0].length, cache[0].padding) if cache else (0, None)
        count, length = len(self.prompt), tokens.shape[1]
        x = self.embed(tokens, max(past - count, 0), padding)
        if past == 0:
            x = _prepend(self.prompt, x)
        mask = text_mask(past, x.shape[1], padding, x.dtype, prompt=count)
        hidden, scores = self.upper(x, audio_features, mask, cache, need_weights)
        return hidden[:, -length:], [None if score is None else score[:, :, -length:] for score in scores]


def _prepend(prompt: mx.array, x: mx.array) -> mx.array:
    """Return states (B, T, D) with a prompt (N, D) before each row."""
    return mx.concatenate([mx.broadcast_to(prompt.astype(x.dtype), (len(x), *prompt.shape)), x], axis=1)


class SoftPrompts(Method):
    """The method "prompt" of the registry."""

    Config = SoftPromptConfig
    about = "vectors before the input"
    prefix = "prompt_"
    unfused = "its vectors come before the input, and no weight does"

    def wrap(self, model: Whisper, config: SoftPromptConfig) -> dict[str, nn.Module]:
        """Return each side that gets a prompt, with a fresh one."""
        modules: dict[str, nn.Module] = {}
        if config.encoder_length:
            shape = config.encoder_length, model.dims.n_audio_state
            modules["encoder"] = PromptedEncoder(model.encoder, _DEVIATION * mx.random.normal(shape))
        if config.decoder_length:
            shape = config.decoder_length, model.dims.n_text_state
            modules["decoder"] = PromptedDecoder(model.decoder, _DEVIATION * mx.random.normal(shape))
        return modules
