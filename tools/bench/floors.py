"""The least time that a task can take: its matrix products at the rate of a large one, its weights at that of memory.

A product of (M, K) by (K, N) takes 2MKN operations. With D the width of the model, P encoder positions of 20 ms, T
tokens of the decoder, V tokens in the vocabulary and N labels:

    convolutions    3 frames by n_mels to D for each of 2P frames, and 3 by D to D for each of P positions
    encoder block   P times 12 DD: query, key, value and output have DD each, and the MLP twice 4 DD;
                    PPD for the scores of attention, and PPD for their weighted sum
    decoder block   T times 14 DD: as above, and the query and the output of cross-attention; P times 2 DD: its key and
                    value; two products of TTD for self-attention, and two of TPD for cross-attention
    output          N times VD
    backward pass   the gradient of a product with a frozen weight takes the operations of the product once more;
                    attention has no weight and two gradients, and takes twice its own

Sums, softmaxes, GELU, the adapters (3 % of the weights they adapt) and padding to tiles come on top. Nothing below the
lowest adapter is counted in the backward pass.

A step of greedy decoding reads each weight of the decoder, except the key and value of cross-attention, and the keys
and values of the window, for two operations a number. So memory is its limit.
"""

from typing import NamedTuple

from mlx_whisper_lora.whisper.model.whisper import ModelDimensions


class Phase(NamedTuple):
    """A part of a task that is limited by one of two numbers."""

    operations: float  # of floating point
    bytes: float = 0.0  # that are read from memory


class Rates(NamedTuple):
    """The measured rates of a machine, a second."""

    operations: float
    bytes: float


class Heard(NamedTuple):
    """A recording as the model transcribes it."""

    windows: int
    tokens: int  # that the decoder writes, the end of each window included


def floor(phases: list[Phase], rates: Rates) -> float:
    """Return the seconds that phases, one after another, take at least."""
    return sum(max(each.operations / rates.operations, each.bytes / rates.bytes) for each in phases)


def encoder(dims: ModelDimensions, positions: int) -> Phase:
    """Return the forward pass of the encoder on a window."""
    return Phase(_convolutions(dims, positions) + dims.n_audio_layer * sum(_encoder_block(dims, positions)))


def training_step(
    dims: ModelDimensions, clips: int, positions: int, labels: int, layers: int = -1, cached: bool = False
) -> list[Phase]:
    """Return a step of LoRA on the last `layers` blocks of encoder and decoder, -1 for all.

    Args:
        dims: the dimensions of the model.
        clips: in the batch.
        positions: that the encoder computes of each clip.
        labels: tokens that each clip has after its prompt of three.
        layers: adapted blocks.
        cached: the blocks of the encoder below them are not computed.
    """
    width, tokens = dims.n_text_state, labels + 2
    trained = dims.n_audio_layer if layers == -1 else layers
    products, attention = _encoder_block(dims, positions)
    forward = trained * (products + attention)
    if not cached:
        forward += _convolutions(dims, positions) + (dims.n_audio_layer - trained) * (products + attention)
    # The lowest adapters need no gradient of their own input: three of twelve products of the block.
    backward = trained * (products + 2 * attention) - products / 4

    products, own, cross = _decoder_block(dims, positions, tokens)
    output = 2 * labels * dims.n_vocab * width
    forward += dims.n_text_layer * (products + own + cross) + output
    # The gradient of the features comes from all blocks, and from the first one without its self-attention.
    backward += dims.n_text_layer * (products + 2 * own + 2 * cross) + output
    backward -= 2 * tokens * 5 * width**2 + 2 * own
    return [Phase(clips * (forward + backward))]


def decoder_step(dims: ModelDimensions, positions: int, windows: int = 1, number: int = 4) -> Phase:
    """Return a step of greedy decoding, for several windows together, without the few tokens before it.

    Args:
        dims: the dimensions of the model.
        positions: the encoder positions of each window.
        windows: that are decoded together.
        number: bytes of a number.
    """
    width, blocks = dims.n_text_state, dims.n_text_layer
    weights = blocks * 14 * width**2 + dims.n_vocab * width
    features = blocks * 2 * positions * width
    return Phase(2 * windows * (weights + features), number * (weights + windows * features))


def transcription(
    dims: ModelDimensions, heard: Heard, positions: int = 1500, together: int = 1, number: int = 4
) -> list[Phase]:
    """Return the transcription of a recording, without the prompts of its windows.

    Args:
        dims: the dimensions of the model.
        heard: the windows and tokens of the recording.
        positions: the encoder positions of a window.
        together: windows in a batch.
        number: bytes of a number.
    """
    keys_and_values = Phase(dims.n_text_layer * 2 * positions * 2 * dims.n_text_state**2)
    step = decoder_step(dims, positions, together, number)
    steps = heard.tokens / together
    return [
        Phase(heard.windows * (encoder(dims, positions).operations + keys_and_values.operations)),
        Phase(steps * step.operations, steps * step.bytes),
    ]


def _convolutions(dims: ModelDimensions, positions: int) -> float:
    width = dims.n_audio_state
    return 2 * (2 * positions * 3 * dims.n_mels * width + positions * 3 * width**2)


def _encoder_block(dims: ModelDimensions, positions: int) -> tuple[float, float]:
    """Return the operations of the products with weights, and those of attention."""
    width = dims.n_audio_state
    return 2 * positions * 12 * width**2, 2 * 2 * positions**2 * width


def _decoder_block(dims: ModelDimensions, positions: int, tokens: int) -> tuple[float, float, float]:
    """Return the operations of the products with weights, of self-attention and of cross-attention."""
    width = dims.n_text_state
    products = 2 * width**2 * (14 * tokens + 2 * positions)
    return products, 2 * 2 * tokens**2 * width, 2 * 2 * tokens * positions * width
