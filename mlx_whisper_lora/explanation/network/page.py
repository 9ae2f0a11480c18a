"""One HTML page with a drawing of a network, and all of its parts as a table. It needs no network and no library.

A part of the drawing is a link to its rows of the table. A script shows the rows beside the drawing instead.
"""

from collections.abc import Iterable, Iterator
from html import escape

from mlx_whisper_lora.data.html import PAGE_END, page_start
from mlx_whisper_lora.explanation.network.draw import draw_network
from mlx_whisper_lora.explanation.network.part import Part, Place, Weight, format_shape, places

_COLUMNS = ("weights", "shape", "numbers", "trained by", "stored as")
_STYLE = """<style>
body { max-width: 72rem; padding-bottom: 3rem; }
h1, li { overflow-wrap: anywhere; }
.drawing { overflow-x: auto; }
.drawing svg { min-width: 44rem; height: auto; display: block; }
#chosen { position: sticky; bottom: 0; max-height: 42vh; overflow: auto; background: Canvas; padding: .3rem .8rem;
  border: 1px solid GrayText; border-radius: .4rem .4rem 0 0; margin: .6rem 0; }
#chosen button { float: right; font: inherit; }
table { width: 100%; }
th { text-align: left; padding: .5rem 1rem .1rem 0; }
tbody th { border-top: 1px solid GrayText; font-weight: 400; overflow-wrap: anywhere; }
td:first-child { padding-left: 1rem; }
td:nth-child(3), thead th:nth-child(3) { text-align: right; font-variant-numeric: tabular-nums; }
tbody:target { outline: 2px solid Highlight; }
</style>
"""
_SCRIPT = """<script>
const chosen = document.getElementById("chosen"), links = document.querySelectorAll("svg a");
const hint = chosen.innerHTML;
function show(link) {
  links.forEach(each => each.classList.toggle("chosen", each === link));
  if (!link) { chosen.innerHTML = hint; return; }
  const path = link.getAttribute("href").slice(1), table = document.createElement("table");
  table.append(document.querySelector("thead").cloneNode(true));
  document.querySelectorAll("tbody[id]").forEach(rows => {
    if (rows.id === path || rows.id.startsWith(path + ".")) {
      const copy = rows.cloneNode(true);
      copy.removeAttribute("id");
      table.append(copy);
    }
  });
  const close = document.createElement("button");
  close.textContent = "Close";
  close.onclick = () => { show(null); link.focus(); };
  chosen.replaceChildren(close, table);
  chosen.scrollTop = 0;
}
links.forEach(link => link.addEventListener("click", event => { event.preventDefault(); show(link); }));
</script>
"""


def network_page(network: Part, name: str, lines: Iterable[str]) -> str:
    """Return the page of a network.

    Args:
        network: the description of the network, with equal blocks as one.
        name: the name of the model, for the title.
        lines: what is listed under the title.
    """
    head = "".join(f'<th scope="col">{each}</th>' for each in _COLUMNS)
    return (
        f"{page_start(f'The network of {name}', lines)}{_STYLE}"
        f'<div class="drawing">{draw_network(network, name)}</div>\n'
        '<section id="chosen" aria-live="polite"><p>Choose a part of the drawing to see its weights here.</p></section>'
        f"\n<h2>All parts</h2>\n<table><thead><tr>{head}</tr></thead>\n"
        f"{''.join(_rows(place) for place in places(network) if place.part.name)}</table>\n{_SCRIPT}{PAGE_END}"
    )


def _rows(place: Place) -> str:
    """Return the rows of a part: one on itself, and one for each array of weights."""
    facts = escape(", ".join(_facts(place)))
    head = f'<th scope="rowgroup" colspan="{len(_COLUMNS)}"><b>{escape(place.path)}</b>: {facts}</th>'
    weights = "".join(_row(weight) for weight in place.part.weights)
    return f'<tbody id="{escape(place.path)}"><tr>{head}</tr>{weights}</tbody>\n'


def _facts(place: Place) -> Iterator[str]:
    """Yield what is to be said about a part."""
    part, times = place.part, place.times
    if not place.path.endswith(part.title):
        yield part.title
    if part.note:
        yield part.note
    if part.output:
        yield f"output {part.output}"
    if part.parameters:
        yield f"{part.parameters:,} parameters"
    for method, count in part.trained.items():
        yield f"{count:,} trained by {method}"
    if times > 1:
        yield f"in each of {times} blocks, in all {times * part.parameters:,}"


def _row(weight: Weight) -> str:
    name = f"{weight.name} (added)" if weight.is_added else weight.name
    cells = (name, format_shape(weight.shape), f"{weight.size:,}", weight.method or "frozen", weight.stored)
    return f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in cells)}</tr>"
