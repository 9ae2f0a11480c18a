"""The page of a network in Chromium: no text leaves its box, and a click shows the weights of a part."""

import pytest

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.adapters.new_language import NewLanguage
from mlx_whisper_lora.adapters.reprogramming import ReprogrammingConfig
from mlx_whisper_lora.adapters.soft_prompt import SoftPromptConfig
from mlx_whisper_lora.explanation.network.write import write_network
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper

pytest.importorskip("playwright", reason="the extra `pages` has Playwright")

from tools.pages.browser import open_page

pytestmark = pytest.mark.slow
# Texts that leave the box before them, or touch another text of the same part, and texts outside the drawing.
BAD_TEXTS = """() => {
  const bad = [], inside = (a, b) => a.x >= b.x && a.x + a.width <= b.x + b.width && a.y >= b.y - 1
    && a.y + a.height <= b.y + b.height + 1;
  const apart = (a, b) => a.x + a.width < b.x || b.x + b.width < a.x || a.y + a.height - 3 < b.y
    || b.y + b.height - 3 < a.y;
  const svg = document.querySelector("svg");
  for (const link of svg.querySelectorAll("a")) {
    let frame = null;
    const texts = [];
    for (const each of link.children) {
      if (each.tagName === "rect" && !each.classList.contains("hatch")) frame = each.getBBox();
      if (each.tagName !== "text") continue;
      const box = each.getBBox();
      if (!inside(box, frame) || texts.some(other => !apart(box, other))) bad.push(each.textContent);
      texts.push(box);
    }
  }
  for (const text of svg.querySelectorAll("text"))
    if (!inside(text.getBBox(), svg.viewBox.baseVal)) bad.push(text.textContent);
  return bad;
}"""


def large_in_four_bits() -> Whisper:
    model = Whisper(DIMENSIONS["large-v3"])
    quantize(model, Quantization(64, 4))
    add_adapter(model, LoRAConfig(), NewLanguage("dv", "si"))
    return model


def adapted(size: str, config) -> Whisper:
    model = Whisper(DIMENSIONS[size])
    add_adapter(model, config)
    return model


@pytest.fixture
def open_network(tmp_path):
    """Return a function that opens the page of a model."""

    def open_model(model: Whisper, name: str = "a model", **view):
        return open_page(write_network(model, name, tmp_path)[1].as_uri(), **view)

    try:
        with open_page("about:blank"):
            return open_model
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: Whisper(DIMENSIONS["tiny"]), id="tiny"),
        pytest.param(lambda: adapted("base", LoRAConfig(layers=4)), id="base with LoRA"),
        pytest.param(large_in_four_bits, id="large in 4 bits with LoRA"),
        pytest.param(lambda: adapted("large-v3-turbo", SoftPromptConfig()), id="turbo with prompts"),
        pytest.param(lambda: adapted("large-v3", ReprogrammingConfig(adapter_dim=640)), id="large, reprogrammed"),
    ],
)
def test_no_text_leaves_its_box(model, open_network):
    with open_network(model(), name="/folder/of/a/model" * 20) as page:
        assert page.evaluate(BAD_TEXTS) == []
        assert page.locator("svg text").count() > 60


def test_a_click_shows_the_weights_of_a_part_and_of_what_is_in_it(open_network):
    with open_network(adapted("base", LoRAConfig(layers=4))) as page:
        chosen, layer = page.locator("#chosen"), page.locator('a[href="#encoder.blocks.2-5.attn.query"]')
        layer.click()
        rows = chosen.get_by_role("row").all_inner_texts()
        assert [row.split("\t") for row in rows[2:]] == [
            ["weight", "512 × 512", "262,144", "frozen", "float32"],
            ["bias", "512", "512", "frozen", "float32"],
            ["lora_a (added)", "512 × 16", "8,192", "lora", "float32"],
            ["lora_b (added)", "16 × 512", "8,192", "lora", "float32"],
        ]
        assert "279,040 parameters, 16,384 trained by lora, in each of 4 blocks" in rows[1]

        page.locator('a[href="#encoder.blocks.2-5.attn"] text').first.click()
        assert chosen.locator("tbody").count() == 5  # attention and its four layers
        chosen.get_by_role("button", name="Close").click()
        assert chosen.inner_text() == "Choose a part of the drawing to see its weights here."


def test_a_part_is_chosen_with_the_keyboard(open_network):
    with open_network(Whisper(DIMENSIONS["tiny"])) as page:
        page.locator('a[href="#decoder.token_embedding"]').focus()
        page.keyboard.press("Enter")
        assert "51865 × 384" in page.locator("#chosen").inner_text()


def test_on_a_dark_screen_the_texts_are_light(open_network):
    light = "getComputedStyle(document.querySelector('svg text')).fill"
    with open_network(Whisper(DIMENSIONS["tiny"]), color_scheme="dark") as page:
        assert page.evaluate(light) == "rgb(233, 238, 244)"
        assert page.evaluate(light.replace("svg text", ".ground")) == "rgb(18, 22, 28)"


def test_without_a_script_a_link_leads_to_the_rows_of_its_part(open_network):
    with open_network(Whisper(DIMENSIONS["tiny"]), java_script_enabled=False) as page:
        page.locator('a[href="#decoder.ln"]').click()
        assert page.url.endswith("#decoder.ln") and page.locator("tbody:target").count() == 1
