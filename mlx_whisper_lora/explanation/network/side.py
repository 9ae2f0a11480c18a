"""Draw the encoder or the decoder, from the bottom up.

The residual stream is a straight line. Each sublayer branches off, and adds its result to it (Elhage et al., "A
Mathematical Framework for Transformer Circuits", 2021).
"""

from mlx_whisper_lora.explanation.network.layers import CHIP, NARROW, WIDE, LayerPen
from mlx_whisper_lora.explanation.network.part import Part, join
from mlx_whisper_lora.explanation.network.svg import box, line, sum_sign, text

WIDTH = 430
_FROM_STREAM, _FROM_EDGE = 46, 10  # from the edges to what is beside the stream
_INNER = WIDTH - _FROM_STREAM - _FROM_EDGE
_PAD, _ARROW, _RISE = 8, 16, 30  # in a frame, of an arrow, and of one with a text beside it


class Side:
    """One side of the network.

    Args:
        pen: draws the layers.
        x: the left edge.
        is_mirrored: whether the stream is at the right edge, and not at the left one.

    Attributes:
        drawn: what is drawn.
        stream: the place of the residual stream, across.
        y: the upper end of the stream. The lower end is 0, and higher places are negative.
        features: heights at which the features of the encoder enter.
        middles: the heights of layers in the stream, by path.
    """

    def __init__(self, pen: LayerPen, x: float, is_mirrored: bool):
        self.pen, self.x, self.is_mirrored = pen, x, is_mirrored
        self.stream = x + (WIDTH - 24 if is_mirrored else 24)
        self.inner = x + (_FROM_EDGE if is_mirrored else _FROM_STREAM)
        self.center = self.inner + _INNER / 2
        self.y = 0.0
        self.drawn: list[str] = []
        self.features: list[float] = []
        self.middles: dict[str, float] = {}

    def draw(self, side: Part) -> None:
        """Draw all parts of a side, upwards."""
        for part in side.parts:
            path = join(side.name, part.name)
            if part.kind == "block":
                self.block(part, path)
            elif part.kind in ("positions", "added"):
                self.beside(part, path)
            else:
                self.through(part, path)

    def through(self, part: Part, path: str) -> None:
        """Draw a layer that the stream passes through, and the shape of what flows out of it."""
        self.y -= WIDE
        self.drawn.append(self.pen.wide(part, path, self.x, self.y, WIDTH))
        self.middles[path] = self.y + WIDE / 2
        self.rise(_RISE, _flow(part) if part.kind == "layer" else str(part.output or ""))

    def beside(self, part: Part, path: str) -> None:
        """Draw a part beside the stream that joins it. Positions are added to it."""
        height = self.y - WIDE / 2
        self.drawn.append(self.pen.wide(part, path, self.inner, self.y - WIDE, _INNER))
        self.rise(WIDE + _ARROW)
        edge = self.inner + (_INNER if self.is_mirrored else 0)
        is_sum = part.kind == "positions"
        self.enter([(edge, height)], height, is_sum)

    def rise(self, height: float, label: str = "") -> None:
        """Draw the stream upwards, with an arrow if there is a text beside it."""
        low, self.y = self.y, self.y - height
        self.drawn.append(line([(self.stream, low), (self.stream, self.y)], "line stream", has_head=bool(label)))
        if label:
            x, anchor = (self.stream - 12, "end") if self.is_mirrored else (self.stream + 12, "start")
            self.drawn.append(text(x, self.y + height / 2 + 4, label, _INNER, 11, anchor))

    def enter(self, points: list[tuple[float, float]], height: float, is_sum: bool = True) -> None:
        """Draw a line into the stream at a height, where what it brings is added or not."""
        reach = 7 if is_sum else 1
        end = self.stream + (-reach if self.is_mirrored else reach)
        self.drawn.append(line([*points, (end, height)], has_head=True))
        self.drawn.append(sum_sign(self.stream, height) if is_sum else "")

    def block(self, block: Part, path: str) -> None:
        """Draw a block, or the one that stands for several."""
        low, first = self.y, len(self.drawn)
        self.rise(_PAD)
        for part in block.parts:
            if part.kind == "sublayer":
                self.sublayer(part, path)
            else:
                self.rise(_PAD)
                self.beside(part, join(path, part.name))
        self.rise(22)
        times = f" × {block.times}" if block.times > 1 else ""
        label = text(self.inner, self.y + 18, f"{path}{times}", _INNER, 13, weight=600)
        frame = box(self.x, self.y, WIDTH, low - self.y, "group")
        self.drawn.insert(first, self.pen.link(block, path, frame + label))
        self.rise(_RISE, str(block.output))

    def sublayer(self, sublayer: Part, path: str) -> None:
        """Draw a layer norm and what follows it, on a branch of the stream."""
        low, y = self.y, self.y - _PAD - _ARROW
        self.drawn.append(line([(self.stream, low - _PAD), (self.center, low - _PAD), (self.center, y)], has_head=True))
        for i, part in enumerate(sublayer.parts):
            if i:
                before = sublayer.parts[i - 1]
                y = self._arrow(y, _flow(before) if before.output != sublayer.output else "")
            if part.kind == "attention":
                y = self.attention(part, join(path, part.name), y)
            else:
                y -= WIDE
                self.drawn.append(self.pen.wide(part, join(path, part.name), self.inner, y, _INNER))
        self.rise(low - y + _ARROW)
        self.enter([(self.center, y), (self.center, y - _ARROW + 2)], y - _ARROW + 2)

    def attention(self, attention: Part, path: str, low: float) -> float:
        """Draw attention on a lower edge, and return the upper one: query, key and value in a row, the output above."""
        layers = {part.name: part for part in attention.parts}
        query, key, value = (layers.pop(name) for name in ("query", "key", "value"))
        takes_features = key.output != query.output
        row = [key, value, query] if takes_features else [query, key, value]
        height = NARROW + (CHIP if any(map(self.pen.has_chip, row)) else 0)
        y = low - _PAD - height
        width = (_INNER - 4 * _PAD) / len(row)
        drawn = []
        for i, part in enumerate(row):
            x = self.inner + _PAD + i * (width + _PAD)
            drawn.append(self.pen.narrow(part, join(path, part.name), x, y, width, height))
            drawn.append(line([(x + width / 2, y), (x + width / 2, y - _ARROW + 2)], has_head=True))
        if takes_features:
            self.features.append(y + height / 2)
        for part in layers.values():  # the output, and what an adapter has added
            y -= _ARROW + WIDE
            drawn.append(self.pen.wide(part, join(path, part.name), self.inner + _PAD, y, _INNER - 2 * _PAD))
        y -= 24
        title = text(self.inner + _PAD, y + 17, f"{attention.title}, {attention.note}", _INNER - 2 * _PAD, 12)
        frame = box(self.inner, y, _INNER, low - y, "open")
        self.drawn += [self.pen.link(attention, path, frame + title), *drawn]
        return y

    def _arrow(self, y: float, label: str) -> float:
        """Draw an arrow upwards on the branch, and return its end."""
        end = y - (_RISE if label else _ARROW)
        self.drawn.append(line([(self.center, y), (self.center, end)], has_head=True))
        self.drawn.append(text(self.center + 10, (y + end) / 2 + 4, label, _INNER / 2 - 10))
        return end


def _flow(part: Part) -> str:
    """Return the shape of what flows out of a layer, and what is done to it there."""
    return ", ".join(filter(None, (str(part.output), part.note)))
