"""Expressions for parts of splits."""

import pytest

from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.split_expression import SplitPart, parse_split
from mlx_whisper_lora.whisper.option import OptionError


def test_parts_of_several_splits():
    parts = parse_split("train.clean-100 + validation[100:200]+test[:10%]", "train_split")
    assert parts == [
        SplitPart("train.clean-100"),
        SplitPart("validation", "100", "200"),
        SplitPart("test", None, "10%"),
    ]


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("a", range(11)),
        ("a[2:4]", range(2, 4)),
        ("a[8:100]", range(8, 11)),
        ("a[-3:]", range(8, 11)),
        ("a[:-3]", range(8)),
        ("a[:50%]", range(6)),  # 5.5 rows are rounded, so that two halves have all rows, and none twice
        ("a[50%:]", range(6, 11)),
        ("a[5:2]", range(0)),
    ],
)
def test_the_rows_of_a_part(expression, rows):
    (part,) = parse_split(expression, "train_split")
    assert list(range(11)[part.rows(lambda: 11)]) == list(rows)


def test_bounds_from_the_start_need_no_length():
    (part,) = parse_split("a[2:4]", "train_split")
    assert part.rows(lambda: pytest.fail("counted")) == slice(2, 4)


@pytest.mark.parametrize("expression", ["", "train+", "train[", "train[5]", "train[a:b]", "train[:5]x", "train[1:2:3]"])
def test_anything_else_is_refused(expression):
    with pytest.raises(OptionError) as error:
        HubDataOptions(valid_split=expression)
    assert error.value.with_flags() == (
        f"--valid-split must be splits such as train, train[:80%] or train+validation[100:200], got {expression!r}"
    )
