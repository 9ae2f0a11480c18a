"""Draw a network as SVG: the encoder on the left, the decoder on the right, and data that flow upwards."""

from collections.abc import Iterator

from mlx_whisper_lora.explanation.network.layers import LayerPen, short
from mlx_whisper_lora.explanation.network.part import Part, describe_bits, places
from mlx_whisper_lora.explanation.network.side import WIDTH, Side
from mlx_whisper_lora.explanation.network.svg import box, drawing, line, text

_GAP, _MARGIN, _HEADING = 120, 24, 76  # between the sides, around them, and above them
_LEGEND_ROW = 21


def draw_network(network: Part, title: str, page: str = "") -> str:
    """Draw a network.

    Args:
        network: the description of the network, with equal blocks as one.
        title: a line above the drawing.
        page: the page with the details of each part, to which it is a link. "" is the page that the drawing is in.

    Returns:
        An SVG element, which can be a file of its own.
    """
    encoder, decoder, *others = network.parts
    pen = LayerPen([*network.trained], page)
    left, right = Side(pen, 0, is_mirrored=False), Side(pen, WIDTH + _GAP, is_mirrored=True)
    left.draw(encoder)
    right.draw(decoder)
    for each in others:
        left.beside(each, each.name)
    drawn = [*_tied(right), *left.drawn, *right.drawn, *_cross_attention(left, right)]
    drawn += [_caption(encoder, left), _caption(decoder, right)]
    legend = _legend(network, pen)
    top = min(left.y - len(legend) * _LEGEND_ROW - 12, right.y) - _HEADING
    drawn.append(text(0, top + 34, _summary(network, title), 2 * WIDTH + _GAP, 18, weight=600))
    for i, (look, is_hatched, words) in enumerate(legend):  # over the encoder, which is lower than the decoder
        y = top + 50 + i * _LEGEND_ROW
        drawn.append(box(0, y, 26, 15, look, is_hatched) if look else "")
        drawn.append(text(36 if look else 0, y + 12, words, WIDTH, 12))
    return drawing(title, drawn, -_MARGIN, top, 2 * (WIDTH + _MARGIN) + _GAP, _MARGIN - top)


def _caption(part: Part, side: Side) -> str:
    """Return the name of a side above it, and the number of its weights."""
    return text(side.x + WIDTH / 2, side.y - 14, _summary(part, part.title), WIDTH, 14, "middle", weight=600)


def _summary(part: Part, title: str) -> str:
    trained = part.trained.total()
    return f"{title}: {short(part.parameters)} parameters" + (f", {short(trained)} trained" if trained else "")


def _cross_attention(left: Side, right: Side) -> Iterator[str]:
    """Yield the arrows from the encoder to each cross-attention."""
    x, heights = WIDTH + _GAP / 2, [left.y, *right.features]
    yield line([(left.stream, left.y), (x, left.y)], "line stream")
    yield line([(x, min(heights)), (x, max(heights))], "line stream")
    for y in right.features:
        yield line([(x, y), (right.inner - 1, y)], "line stream", has_head=True)


def _tied(right: Side) -> Iterator[str]:
    """Yield a line from the token embedding to the logits, whose weights it shares."""
    low, high = right.middles["decoder.token_embedding"], right.middles["decoder.logits"]
    edge = right.x + WIDTH
    yield line([(edge, low), (edge + 12, low), (edge + 12, high), (edge + 1, high)], "line dashed", has_head=True)


def _legend(network: Part, pen: LayerPen) -> list[tuple[str, bool, str]]:
    """Return lines: the look of a box or "", whether it is hatched, and what it stands for."""
    trained, total = network.trained, network.parameters
    rows = [("still", False, "frozen")] if 0 < trained.total() < total else []
    rows += [(pen.look(method), False, f"{method}: {count:,} trained") for method, count in trained.items()]
    rows += [
        ("still", True, f"weights in {describe_bits(each)}")
        for each in sorted(network.quantizations, key=describe_bits)
    ]
    flows = [place.part.output for place in places(network) if place.part.output]
    sizes = {symbol: size for flow in flows for symbol, size in zip(flow.symbols, flow.sizes, strict=True)}
    prompt = ", N vectors of a prompt" if any("N" in symbol for symbol in sizes) else ""
    return [
        *rows,
        ("", False, "F frames of 10 ms with M mel bands, in a window of 30 s"),
        ("", False, f"P positions of 20 ms, T tokens (at most {sizes['T']}){prompt}"),
        ("", False, "D numbers for each, V tokens in the vocabulary"),
    ]
