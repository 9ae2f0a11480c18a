"""The drawing of a network and its page, as files."""

from html.parser import HTMLParser
from xml.etree import ElementTree

import mlx.core as mx
import mlx.nn as nn
import pytest

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base
from mlx_whisper_lora.adapters.inject import add_adapter, count_parameters
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.methods import METHODS
from mlx_whisper_lora.explanation.network.layers import short
from mlx_whisper_lora.explanation.network.write import write_network
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from tests.support.models import small_model

SVG = "{http://www.w3.org/2000/svg}"
LORA = LoRAConfig(rank=2, layers=1)


class Page(HTMLParser):
    """The tags of a page, the lines of its list and the rows of its table."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.lines: list[str] = []
        self.rows: list[list[str]] = []
        self._texts: list[list[str]] = [[]]
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "li" and data.strip():
            self.lines.append(data)
        elif self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()

    def ids(self) -> list[str]:
        return [attributes["id"] for tag, attributes in self.tags if tag == "tbody"]


def drawn(path) -> ElementTree.Element:
    return ElementTree.fromstring(path.read_text(encoding="utf-8"))


def texts(svg: ElementTree.Element) -> list[str]:
    return [each.text for each in svg.iter(f"{SVG}text")]


def test_the_bundled_model_is_drawn(tmp_path, demo_model_folder):
    svg, html = write_network(load_model(demo_model_folder, mx.float32), "demo", tmp_path / "new" / "folder")
    assert [svg.name, html.name] == ["network.svg", "network.html"]
    found = texts(drawn(svg))
    assert "log-mel" in found and "logits" in found and found.count("query") == 3
    assert not any("trained" in each for each in found)


def test_every_part_of_the_drawing_is_a_link_to_its_rows(tmp_path):
    model = small_model()
    add_adapter(model, LORA)
    svg, html = write_network(model, "small", tmp_path)
    ids = Page(html.read_text(encoding="utf-8")).ids()
    links = [each.get("href") for each in drawn(svg).iter(f"{SVG}a")]
    assert len(set(ids)) == len(ids) and {*links} == {f"network.html#{each}" for each in ids if "." in each}
    assert len(links) == len({*links})


def test_the_page_has_the_numbers_of_the_model_and_of_its_adapter(tmp_path):
    model = small_model()
    base = Base.of(model, "small <b>")
    add_adapter(model, LORA)
    config = AdapterConfig(LORA, "te", "transcribe", 30.0, base)
    html = write_network(model, "small <b>", tmp_path, config)[1].read_text(encoding="utf-8")
    page, counts = Page(html), count_parameters(model)
    trained = counts.encoder + counts.decoder
    assert page.lines[0].startswith(f"{counts.total:,} parameters, {trained:,} of them trained (")
    assert page.lines[0].endswith(f"an adapter of {4 * trained / 1e6:.1f} MB")
    assert page.lines[2] == f"adapter: lora, {LORA}" and "to transcribe Telugu" in page.lines[3]
    assert ["lora_a (added)", "64 × 2", "128", "lora", "float32"] in page.rows
    assert ["weight", "64 × 64", "4,096", "frozen", "float32"] in page.rows
    assert "The network of small &lt;b&gt;" in html


def test_a_page_needs_no_network(tmp_path):
    html = write_network(small_model(), "small", tmp_path)[1].read_text(encoding="utf-8")
    links = [
        value for _, attributes in Page(html).tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert links and all(link.startswith("#") for link in links)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "head"])
def test_what_a_method_trains_has_its_color(tmp_path, name):
    model = small_model()
    add_adapter(model, METHODS[name].Config())
    svg = drawn(write_network(model, name, tmp_path)[0])
    assert [each.get("class") for each in svg.iter(f"{SVG}rect")].count("method0") > 1  # the legend has one
    assert any(each.startswith(f"{name}: ") for each in texts(svg))


def test_large_models_have_small_drawings_and_their_weights_are_not_computed(tmp_path):
    for size in ("large-v3", "large-v3-turbo"):
        model = Whisper(DIMENSIONS[size])
        quantize(model, Quantization(64, 4))
        add_adapter(model, LoRAConfig())
        before = mx.get_active_memory()
        svg, html = write_network(model, size, tmp_path)
        assert mx.get_active_memory() - before < 1e6 and html.stat().st_size < 100_000
        found = texts(drawn(svg))
        assert "encoder.blocks.0-31 × 32" in found and "4 bit" in found


def test_what_else_is_in_a_model_is_drawn(tmp_path):
    model = small_model()
    model.head = nn.Linear(64, 5)
    svg, html = write_network(model, "small", tmp_path)
    assert "head" in texts(drawn(svg)) and "head" in Page(html.read_text(encoding="utf-8")).ids()


def test_numbers_have_three_digits():
    assert [*map(short, (7, 999, 1000, 16_384, 999_499, 999_900, 1_541_570_560))] == [
        "7",
        "999",
        "1 K",
        "16.4 K",
        "999 K",
        "1 M",
        "1,542 M",
    ]
