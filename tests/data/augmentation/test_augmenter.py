"""Training clips that are changed at random."""

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.ahead import DrawnBatch, LateErrors, read_ahead
from mlx_whisper_lora.data.augmentation.augmenter import Augmenter
from mlx_whisper_lora.data.augmentation.noise import find_noise
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.augmentation.preview import write_preview
from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone
from tests.support.models import small_model

TOKENIZER = get_tokenizer(True, language="en")
EVERYTHING = AugmentationOptions(
    augment_speed=0.2, augment_pitch=2, augment_volume=6, augment_room=0.5, augment_noise=1, augment_telephone=0.5,
    augment_codec=0.5, augment_masks=1,
)  # fmt: skip


@pytest.fixture
def examples(tmp_path) -> list[Example]:
    """Return examples of tones of 2 s."""
    for i in range(4):
        soundfile.write(tmp_path / f"{i}.wav", tone(2.0, 200 + 100 * i), 16000)
    return build_examples([Clip(tmp_path / f"{i}.wav", "one", "en") for i in range(4)], small_model()).examples


def augmenter(examples: list[Example], seed: int = 0, **options) -> Augmenter:
    return Augmenter(AugmentationOptions(**options), examples, small_model(), seed)


def test_the_same_draw_is_the_same_in_any_order_and_thread(examples):
    one, other = (Augmenter(EVERYTHING, examples, small_model(), seed=7) for _ in range(2))
    errors = LateErrors(skip=False, report=print)
    drawn = [DrawnBatch(examples, number=number) for number in range(3)]
    batches = [batch.examples for batch in read_ahead(drawn, errors, one.load)]
    for number in reversed(range(3)):
        for i in reversed(range(4)):
            np.testing.assert_array_equal(other.load(examples[i], number).mel, batches[number][i].mel, strict=True)
    for different in (batches[1][0], Augmenter(EVERYTHING, examples, small_model(), seed=8).load(examples[0], 0)):
        first = batches[0][0].mel
        assert different.mel.shape != first.shape or not np.array_equal(different.mel, first)


def test_times_follow_the_speed(examples):
    changer = augmenter(examples, augment_speed=0.3)
    frames = set()
    for number in range(8):
        changed = changer.load(examples[0].with_timestamps(), number)
        frames.add(changed.n_frames)
        end = changed.tokens[-2] - TOKENIZER.timestamp_begin
        assert end * 2 == pytest.approx(changed.n_frames, abs=2)  # a timestamp every two frames
        assert changed.tokens[:-2] == examples[0].timed.tokens[:-2]
        assert changer.load(examples[0], number).tokens == examples[0].tokens
    assert min(frames) < 180 and max(frames) > 220


def test_a_clip_is_not_slowed_down_beyond_its_window(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(2.9), 16000)
    built = build_examples([Clip(tmp_path / "a.wav", "one", "en")], small_model(), max_seconds=3.0)
    changer = augmenter(built.examples, augment_speed=0.5)
    lengths = [changer.load(built.examples[0], number).n_frames for number in range(30)]
    assert max(lengths) <= 300 and min(lengths) < 250


def test_noise_in_the_place_of_a_clip_has_the_label_of_no_speech(examples):
    noise = augmenter(examples, noise_share=1).load(examples[0], 0)
    assert noise.tokens == (TOKENIZER.sot, TOKENIZER.no_speech, TOKENIZER.eot) and noise.prompt_length == 1
    assert noise.n_frames == 200 and noise.with_timestamps() is noise
    half = augmenter(examples, noise_share=0.3)
    loaded = [half.load(examples[i % 4], i) for i in range(200)]
    assert 40 <= sum(each.prompt_length == 1 for each in loaded) <= 80


def test_noise_comes_from_the_given_folder(examples, tmp_path):
    (tmp_path / "noise" / "deep").mkdir(parents=True)
    (tmp_path / "noise" / "LICENSE").write_text("free")
    soundfile.write(tmp_path / "noise" / "deep" / "hum.flac", np.sin(np.arange(80_000) * 2 * np.pi / 16), 16000)
    changer = augmenter(examples, noise_share=1, noise_data=str(tmp_path / "noise"))
    samples = changer.draw(examples[0].features, np.random.default_rng(0)).samples
    spectrum = np.abs(np.fft.rfft(samples))
    assert len(samples) == 32_000 and abs(int(np.argmax(spectrum)) - 2000) <= 1  # 1000 Hz


def test_a_folder_without_noise_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"none: no such folder of noise"):
        find_noise(str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"no recordings of noise; expected"):
        find_noise(str(tmp_path))
    (tmp_path / "x.wav").write_text("hello")
    with pytest.raises(DataError, match=r"x\.wav: the header of this noise does not give its length"):
        find_noise(str(tmp_path))


def test_light_sets_what_is_not_given():
    light = AugmentationOptions(augment="light", augment_volume=0)
    assert light.amount("augment_speed") == 0.1 and light.amount("augment_volume") == 0
    assert light.changes_clips and not AugmentationOptions().changes_clips


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_snr": (20, 5)}, "noise_snr must be two rising numbers"),
        ({"noise_data": "x"}, "noise_data needs augment_noise or noise_share"),
        ({"preview_augmentation": "x"}, "preview_augmentation shows nothing without augment light"),
        ({"augment_codec": 2}, "augment_codec must be at most 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        AugmentationOptions(**options)


def test_a_preview_can_be_played(examples, tmp_path):
    assert write_preview(Augmenter(EVERYTHING, examples, small_model(), 0), examples, str(tmp_path / "a" / "b")) == 4
    files = sorted(path.name for path in (tmp_path / "a" / "b").iterdir())
    assert len(files) == 16 and files[:4] == [f"01_{kind}.wav" for kind in ("after_1", "after_2", "after_3", "before")]
    before, rate = soundfile.read(tmp_path / "a" / "b" / "01_before.wav", dtype="float32")
    assert rate == 16000
    np.testing.assert_allclose(before, tone(2.0, 200), atol=1e-4)
