"""Curves as SVG."""

import re
from xml.etree import ElementTree

import pytest

from mlx_whisper_lora.training.reporting.chart import _ticks, draw_curves


def test_a_curve_goes_through_its_points_between_round_numbers():
    svg = draw_curves("Loss <1>", {"training": [(0, 2.0), (10, 1.0)], "validation": [(10, float("nan"))]}, "step")
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "Loss <1>"
    texts = [element.text for element in root.iter("text")]
    assert texts[0] == "Loss <1>" and texts[1:7] == ["1", "1.2", "1.4", "1.6", "1.8", "2"]
    assert "step 10" in texts and "training" in texts and "validation" not in texts  # it has no finite point
    (curve,) = (each.attrib["d"] for each in root.iter("path") if each.attrib.get("fill") == "none")
    (x0, y0), (x1, y1) = (map(float, pair) for pair in re.findall(r"([\d.]+) ([\d.]+)", curve))
    assert (x0, y0) == (64.0, 28.0) and (x1, y1) == (468.0, 196.0)  # from the top left to the bottom right


def test_without_a_finite_point_there_is_no_chart():
    assert draw_curves("Loss", {"training": [(1, float("inf"))], "validation": []}, "step") == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0.31, 0.36, [0.31, 0.32, 0.33, 0.34, 0.35, 0.36]),
        (1e-5, 1e-3, [0, 0.0002, 0.0004, 0.0006, 0.0008, 0.001]),
        (5, 5, [5, 6]),
        (0, 0, [0, 0.2]),
        (0, 4000, [0, 1000, 2000, 3000, 4000]),
    ],
)
def test_ticks_are_round_and_hold_the_range(low, high, expected):
    assert _ticks(low, high) == expected
