"""Draw single layers as boxes, with what an adapter trains in them."""

from mlx_whisper_lora.explanation.network.part import Part, describe_bits, format_shape
from mlx_whisper_lora.explanation.network.svg import box, link, text

WIDE, NARROW, CHIP = 26, 36, 20  # heights: of a layer in one line, of one in two lines, of a line for the adapter
_MOST_COLORS = 3
_CHIP_WIDTH, _BITS_WIDTH = 108, 40
_TITLE_SHARE = 0.26  # of the width of a layer in one line


class LayerPen:
    """Draws layers.

    Args:
        methods: the methods that train something in the network. Each has a color.
        page: the page that the layers are links to. "" is the page of the drawing.
    """

    def __init__(self, methods: list[str], page: str):
        self.page = page
        self._looks = {method: f"method{min(i, _MOST_COLORS - 1)}" for i, method in enumerate(methods)}

    def look(self, method: str | None) -> str:
        """Return the class of what a method trains, or of frozen weights."""
        return self._looks[method] if method else "still"

    def wide(self, part: Part, path: str, x: float, y: float, width: float) -> str:
        """Return a layer in one line, WIDE high, whose upper left corner is at (x, y)."""
        right = x + width - 10
        room = _TITLE_SHARE * width
        drawn = [self._frame(part, x, y, width, WIDE), text(x + 10, y + 17, part.title, room, 12, weight=600)]
        chip = ""
        if trained := self._chip(part):
            chip = self._draw_chip(*trained, right - _CHIP_WIDTH, y + 4, _CHIP_WIDTH)
            right -= _CHIP_WIDTH + 8
        if bits := _bits(part):
            drawn.append(text(right, y + 17, bits, _BITS_WIDTH, 10, "end"))
            right -= _BITS_WIDTH
        middle = x + room + 14
        drawn += [text(middle, y + 17, _shape(part), right - middle), chip]
        return self.link(part, path, "".join(drawn))

    def narrow(self, part: Part, path: str, x: float, y: float, width: float, height: float) -> str:
        """Return a layer in two lines, or in three if it is partly trained, whose upper left corner is at (x, y)."""
        bits, room = _bits(part), width - 16
        drawn = [
            self._frame(part, x, y, width, height),
            text(x + 8, y + 15, part.title, room - (_BITS_WIDTH if bits else 0), 12, weight=600),
            text(x + width - 8, y + 15, bits, _BITS_WIDTH, 10, "end"),
            text(x + 8, y + 30, _shape(part), room),
        ]
        if chip := self._chip(part):
            drawn.append(self._draw_chip(*chip, x + 5, y + NARROW - 1, width - 10))
        return self.link(part, path, "".join(drawn))

    def has_chip(self, part: Part) -> bool:
        """Return whether a layer needs a line for what is trained in it."""
        return self._chip(part) is not None

    def link(self, part: Part, path: str, content: str) -> str:
        """Return what is drawn as a link to the details of a part."""
        return link(f"{self.page}#{path}", describe_part(part, path), content)

    def _frame(self, part: Part, x: float, y: float, width: float, height: float) -> str:
        whole = None if self._chip(part) else next(iter(part.trained), None)
        look = self.look(whole) if part.weights else "open"
        return box(x, y, width, height, look, is_hatched=bool(part.quantizations))

    def _chip(self, part: Part) -> tuple[str, int] | None:
        """Return the method that trains a part of the weights, and their number. A layer trained whole has a color."""
        trained = part.trained
        return next(iter(trained.items())) if 0 < trained.total() < part.parameters else None

    def _draw_chip(self, method: str, count: int, x: float, y: float, width: float) -> str:
        content = text(x + width / 2, y + 13, f"{method} {short(count)}", width - 8, 10.5, "middle")
        return box(x, y, width, 18, self.look(method)) + content


def describe_part(part: Part, path: str) -> str:
    """Return a line on a part: where it is, and how many weights it has."""
    trained = "".join(f", {count:,} trained ({method})" for method, count in part.trained.items())
    bits = "".join(f", {describe_bits(each)}" for each in part.quantizations)
    blocks = f", each of {part.times} blocks" if part.times > 1 else ""
    return f"{path}{blocks}: {part.parameters:,} parameters{trained}{bits}"


def short(count: int) -> str:
    """Return a number with three digits, such as "16.4 K"."""
    for unit, size in (("M", 1_000_000), ("K", 1_000)):
        if count >= 0.9995 * size:
            return f"{count / size:,.0f} {unit}" if count >= 999.5 * size else f"{count / size:.3g} {unit}"
    return str(count)


def _bits(part: Part) -> str:
    return ", ".join(f"{each.bits} bit" for each in part.quantizations)


def _shape(part: Part) -> str:
    return format_shape(part.weights[0].shape) if part.weights else part.note
