"""Write the drawing of a network, and the page with its parts."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig
from mlx_whisper_lora.explanation.network.describe import describe
from mlx_whisper_lora.explanation.network.draw import draw_network
from mlx_whisper_lora.explanation.network.page import network_page
from mlx_whisper_lora.explanation.network.part import Part, collapse, describe_bits
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from mlx_whisper_lora.whisper.text.languages import language_name

_FLOAT32 = 4  # bytes of a number in an adapter file


def write_network(
    model: Whisper, name: str, folder: str | PathLike, adapter_config: AdapterConfig | None = None
) -> list[Path]:
    """Draw a model as it is loaded, with the adapter that is in it.

    An adapter that was fused is a part of the weights and not drawn: put it in with `load_adapter`.

    Args:
        model: the model. Its weights are counted, and not computed.
        name: the name of the model, as it is shown.
        folder: where network.svg and network.html are written. It is made if it is missing.
        adapter_config: the configuration of the adapter, for the page to say what it was trained for.

    Returns:
        The files.

    Raises:
        OSError: a file cannot be written.
    """
    network = collapse(describe(model))
    drawing, page = Path(folder, "network.svg"), Path(folder, "network.html")
    drawing.parent.mkdir(parents=True, exist_ok=True)
    lines = [*_summary(network, model.dims), *_about(adapter_config)]
    with atomic_write(drawing) as file:
        file.write(draw_network(network, name, page.name))
    with atomic_write(page) as file:
        file.write(network_page(network, name, lines))
    return [drawing, page]


def _summary(network: Part, dims: ModelDimensions) -> Iterator[str]:
    """Yield lines on the numbers of a network."""
    total, trained = network.parameters, network.trained.total()
    share = f"{trained:,} of them trained ({100 * trained / total:.3g} %)" if trained else "no adapter"
    size = f", an adapter of {_FLOAT32 * trained / 1e6:.1f} MB" if trained else ""
    yield f"{total:,} parameters, {share}{size}"
    yield (
        f"{dims.n_audio_layer} blocks in the encoder and {dims.n_text_layer} in the decoder; "
        f"{dims.n_vocab:,} tokens, {dims.n_mels} mel bands"
    )
    for each in sorted(network.quantizations, key=describe_bits):
        yield f"quantized weights have {describe_bits(each)}, and each counts as one parameter"


def _about(config: AdapterConfig | None) -> Iterator[str]:
    """Yield lines on an adapter."""
    if config:
        language = language_name(config.language) if config.language else "several languages"
        yield f"adapter: {config.method}, {config.settings}"
        purpose = f"name {config.classifier.describe()}" if config.classifier else f"{config.task} {language}"
        yield f"trained to {purpose}; base: {config.base.describe()}"
    yield f"mlx_whisper_lora {__version__}"
