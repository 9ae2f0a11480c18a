"""Options that are declared once."""

from dataclasses import replace

import numpy as np
import pytest

from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.writers import SubtitleLayout
from tests.support.models import seeded_model, window_features

MISSPELT = {
    "an option of decoding": (lambda: DecodingOptions(beam_sise=5), "beam_sise", "beam_size"),
    "a change of options": (lambda: replace(DecodingOptions(), temprature=0.5), "temprature", "temperature"),
    "decode": (
        lambda: decode(seeded_model("english"), window_features("english"), langauge="en"), "langauge", "language",
    ),
    "transcribe": (lambda: transcribe(seeded_model("english"), b"", on_segments=print), "on_segments", "on_segment"),
    "an adapter": (lambda: LoRAConfig(rnk=8), "rnk", "rank"),
    "subtitles": (lambda: SubtitleLayout(max_line_with=9), "max_line_with", "max_line_width"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISSPELT)
def test_a_misspelt_argument_names_itself_and_the_nearest(case):
    call, given, nearest = MISSPELT[case]
    with pytest.raises(OptionError, match=f"^unknown argument {given}; did you mean {nearest}\\?$"):
        call()


def test_an_unknown_argument_is_a_type_error_as_in_python():
    with pytest.raises(TypeError, match=r"^unknown argument zzz$"):
        DecodingOptions(zzz=1)


def test_ranges_refuse_nan_and_leave_arrays_alone():
    with pytest.raises(OptionError, match=r"^length_penalty must be a number, got nan$"):
        DecodingOptions(length_penalty=float("nan"))
    assert DecodingOptions(prompt=np.array([1, 2])).prompt.tolist() == [1, 2]
