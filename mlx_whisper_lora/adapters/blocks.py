"""The choice of the blocks that get an adapter, for methods that put one into some blocks only."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, option


@dataclass(frozen=True, kw_only=True)
class BlockChoice:
    """Settings that choose the last blocks of the encoder and of the decoder. A configuration may inherit them.

    Raises:
        OptionError: a value is out of range, or no block is chosen.
    """

    layers: int = option(
        -1, "Adapt the last N blocks of the encoder and of the decoder, or as many as there are. -1 adapts all."
    )
    encoder_layers: int | None = option(
        None, "Adapt the last N blocks of the encoder. 0 adapts none, -1 all.", shown_default="as `layers`"
    )
    decoder_layers: int | None = option(
        None, "Adapt the last N blocks of the decoder. 0 adapts none, -1 all.", shown_default="as `layers`"
    )

    def __post_init__(self):
        check_ranges(self)
        if self.layers < 1 and self.layers != -1:
            raise OptionError(f"`layers` must be at least 1, or -1 for all blocks, got {self.layers}")
        for name in ("encoder_layers", "decoder_layers"):
            count = getattr(self, name)
            if count is not None and count < -1:
                raise OptionError(f"`{name}` must be at least 0, or -1 for all blocks, got {count}")
        if self._blocks("encoder", 1) + self._blocks("decoder", 1) == 0:
            raise OptionError("`encoder_layers` and `decoder_layers` are both 0: there is nothing to adapt")

    def _blocks(self, side: str, count: int) -> int:
        """Return how many of the `count` blocks of a side, "encoder" or "decoder", are adapted."""
        given = {"encoder": self.encoder_layers, "decoder": self.decoder_layers}[side]
        wanted = self.layers if given is None else given
        return count if wanted == -1 else min(wanted, count)

    def paths(self, model: Whisper, layers: tuple[str, ...]) -> Iterator[str]:
        """Yield the path of each of the layers in each chosen block, such as decoder.blocks.3.attn.query.

        Layers of cross-attention are those of the decoder alone.
        """
        for side, part in (("encoder", model.encoder), ("decoder", model.decoder)):
            count = len(part.blocks)
            for i in range(self._blocks(side, count)):
                for layer in layers:
                    if side == "decoder" or not layer.startswith("cross_attn"):
                        yield f"{side}.blocks.{count - 1 - i}.{layer}"

    def notes(self, model: Whisper) -> list[str]:
        """Return a sentence if the model has fewer blocks than `layers`."""
        counts = {"encoder": model.dims.n_audio_layer, "decoder": model.dims.n_text_layer}
        few = [f"the {side} has {count} blocks" for side, count in counts.items() if count < self.layers]
        return [f"{' and '.join(few)}, and {self.layers} were asked for: all of them are adapted"] if few else []

    def describe_layers(self) -> str:
        """Return the chosen numbers of blocks, such as "4 (encoder 0)"."""
        sides = [
            f"{side} {given}"
            for side in ("encoder", "decoder")
            if (given := getattr(self, f"{side}_layers")) is not None
        ]
        return f"{self.layers} ({', '.join(sides)})" if sides else str(self.layers)
