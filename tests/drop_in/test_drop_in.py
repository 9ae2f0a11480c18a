"""Programs for openai-whisper and mlx-whisper, with this package in their place."""

import importlib

import mlx.core as mx
import numpy as np
import pytest

import mlx_whisper_lora
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from tests.support.models import seeded_model
from tests.support.stand_in import standing_in_for
from tools.references.seeded import chirps

OPTIONS = {"language": "en", "temperature": 0.0, "sample_len": 8, "no_speech_threshold": None}

# The modules that programs import, and the names that they take from them.
WHISPER = {
    "whisper": "available_models decode detect_language load_audio load_model log_mel_spectrogram pad_or_trim "
    "transcribe DecodingOptions DecodingResult ModelDimensions Whisper audio decoding model normalizers timing "
    "tokenizer utils",
    "whisper.audio": "SAMPLE_RATE N_FFT HOP_LENGTH CHUNK_LENGTH N_SAMPLES N_FRAMES N_SAMPLES_PER_TOKEN "
    "FRAMES_PER_SECOND TOKENS_PER_SECOND load_audio pad_or_trim log_mel_spectrogram",
    "whisper.decoding": "decode detect_language DecodingOptions DecodingResult",
    "whisper.model": "ModelDimensions Whisper",
    "whisper.normalizers": "BasicTextNormalizer EnglishTextNormalizer",
    "whisper.normalizers.english": "EnglishNumberNormalizer EnglishSpellingNormalizer EnglishTextNormalizer",
    "whisper.timing": "add_word_timestamps dtw dtw_cpu find_alignment median_filter WordTiming",
    "whisper.tokenizer": "LANGUAGES TO_LANGUAGE_CODE Tokenizer get_encoding get_tokenizer",
    "whisper.transcribe": "cli transcribe",
    "whisper.utils": "compression_ratio format_timestamp get_writer ResultWriter WriteJSON WriteSRT WriteTSV WriteTXT "
    "WriteVTT",
    "whisper.version": "__version__",
}
MLX_WHISPER = {
    "mlx_whisper": "audio decoding load_models transcribe",
    "mlx_whisper.audio": WHISPER["whisper.audio"],
    "mlx_whisper.decoding": WHISPER["whisper.decoding"],
    "mlx_whisper.load_models": "load_model",
    "mlx_whisper.timing": WHISPER["whisper.timing"],
    "mlx_whisper.tokenizer": "LANGUAGES TO_LANGUAGE_CODE Tokenizer get_encoding get_tokenizer",
    "mlx_whisper.transcribe": "ModelHolder transcribe",
    "mlx_whisper.writers": "format_timestamp get_writer ResultWriter WriteSRT",
}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(seeded_model("multilingual"), folder)
    return str(folder)


@pytest.mark.parametrize(("module", "names"), (WHISPER | MLX_WHISPER).items())
def test_the_modules_that_programs_import_are_there(module, names):
    with standing_in_for(module.partition(".")[0]):
        found = importlib.import_module(module)
        missing = [name for name in names.split() if not hasattr(found, name)]
    assert missing == []


def test_the_modules_are_found_in_this_package_too():
    with standing_in_for("whisper"):
        from mlx_whisper_lora.audio import N_FRAMES
        from mlx_whisper_lora.tokenizer import LANGUAGES, TO_LANGUAGE_CODE
    assert (N_FRAMES, LANGUAGES["te"], TO_LANGUAGE_CODE["castilian"]) == (3000, "telugu", "es")


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mlx_whisper_lora' has no attribute 'transcripe'"):
        mlx_whisper_lora.transcripe  # noqa: B018


def test_the_example_of_openai_whispers_readme(model_folder):
    """Without `.to(model.device)` after the spectrogram, which is an array of MLX."""
    with standing_in_for("whisper"):
        import whisper

        model = whisper.load_model(model_folder)
        audio = whisper.pad_or_trim(chirps(1.5))
        mel = whisper.log_mel_spectrogram(audio, n_mels=model.dims.n_mels)
        _, probs = model.detect_language(mel)
        result = whisper.decode(model, mel, whisper.DecodingOptions(sample_len=8))
    assert result.language == max(probs, key=probs.get)
    assert result.tokens == model.decode(np.array(mel), sample_len=8).tokens


def test_a_model_transcribes_as_the_function_does(model_folder):
    with standing_in_for("whisper"):
        import whisper

        model = whisper.load_model(name=model_folder).to("cpu")
        results = [
            model.transcribe(chirps(1.5), fp16=False, **OPTIONS),
            whisper.transcribe(model, chirps(1.5), **OPTIONS),
            whisper.transcribe(model=model, audio=chirps(1.5), **OPTIONS),
        ]
    assert results == [transcribe(model, chirps(1.5), **OPTIONS)] * 3


def test_a_loaded_model_stands_for_its_path(model_folder):
    with standing_in_for("mlx_whisper"):
        import mlx_whisper
        from mlx_whisper.load_models import load_model

        model = load_model(model_folder)
        by_name = mlx_whisper.transcribe(chirps(1.5), path_or_hf_repo=model_folder, **OPTIONS)
        loaded = mlx_whisper.transcribe(audio=chirps(1.5), path_or_hf_repo=model, **OPTIONS)
    assert model.dtype == mx.float32 and loaded == by_name and by_name["segments"]


@pytest.mark.slow
def test_words_of_segments_that_are_dicts():
    """As stable-ts aligns a text: it calls the function of mlx-whisper that works in place."""
    with standing_in_for("mlx_whisper"):
        from mlx_whisper.audio import log_mel_spectrogram, pad_or_trim
        from mlx_whisper.load_models import load_model
        from mlx_whisper.timing import add_word_timestamps
        from mlx_whisper.tokenizer import get_tokenizer

        model, audio = load_model("demo"), load_audio(DEMO_AUDIO, end=5.0)
        result = transcribe(model, audio, word_timestamps=True, language="en", temperature=0.0)
        segments = [{**segment, "words": []} for segment in result["segments"] if segment["seek"] == 0]
        add_word_timestamps(
            segments=segments,
            model=model,
            tokenizer=get_tokenizer(True, language="en", task="transcribe"),
            mel=log_mel_spectrogram(pad_or_trim(audio)),
            num_frames=500,
            last_speech_timestamp=0.0,
        )
    for segment, expected in zip(segments, result["segments"], strict=False):
        assert segment.keys() == expected.keys() and segment["words"]
        for word, same in zip(segment["words"], expected["words"], strict=True):
            assert word["word"] == same["word"] and word["start"] == pytest.approx(same["start"], abs=0.1)


def test_a_tokenizer_has_the_ids_of_its_special_tokens():
    tokenizer = mlx_whisper_lora.get_tokenizer(True)
    assert tokenizer.special_tokens["<|te|>"] == tokenizer.to_language_token("te")
    assert len(tokenizer.special_tokens) == 1608
    assert tokenizer.encode("<|te|> a", allowed_special="all") == [tokenizer.special_tokens["<|te|>"], 257]
    assert tokenizer.decode(tokenizer.encode("<|te|> a")) == "<|te|> a"
