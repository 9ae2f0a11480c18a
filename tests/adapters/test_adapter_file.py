"""The adapter file: what it holds, and which models and files are refused."""

import io
import json
import os
import tracemalloc
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.adapters.adapter_file import (
    AdapterConfig,
    Base,
    fingerprint,
    load_adapter,
    read_adapter,
    read_adapter_config,
    save_adapter,
)
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import adapter_modules, add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.checkpoints.hf_export import save_hf_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import Whisper
from tests.support.models import small_model

REFERENCE = Path(__file__).parent / "reference"
LORA = LoRAConfig(rank=3, scale=1.5, dropout=0.1, layers=1, targets=("attn.query", "mlp2"))


def trained_model(lora: LoRAConfig = LORA) -> tuple[Whisper, AdapterConfig]:
    """A model with an adapter as if trained, and what is known of it."""
    model = small_model()
    base = Base.of(model, "models/small")
    mx.random.seed(0)
    add_adapter(model, lora)
    for module in adapter_modules(model).values():
        module.lora_b = mx.random.normal(module.lora_b.shape) * 0.1
    return model, AdapterConfig(lora, "te", "translate", 12.5, base, run="5eed", clips=frozenset({7, 2**64 - 1}))


@pytest.fixture
def adapter_file(tmp_path):
    path = tmp_path / "adapters.npz"
    save_adapter(path, *trained_model())
    return path


def logits(model: Whisper) -> np.ndarray:
    mel = mx.array(np.random.default_rng(0).standard_normal((1, 100, 80)).astype(np.float32))
    return np.array(model(mel, mx.array([[50258, 50259, 50359, 50363, 7]])))


def test_the_file_is_plain_numpy_and_describes_itself(adapter_file):
    with np.load(adapter_file, allow_pickle=False) as file:
        arrays = dict(file)
    config = arrays.pop("config")
    assert config.dtype == np.uint8 and config.ndim == 1
    np.testing.assert_array_equal(arrays.pop("clips"), np.array([7, 2**64 - 1], np.uint64))
    assert {name: array.shape for name, array in arrays.items()} == {
        f"{side}.blocks.1.{name}": shape
        for side in ("encoder", "decoder")
        for name, shape in {
            "attn.query.lora_a": (64, 3),
            "attn.query.lora_b": (3, 64),
            "mlp2.lora_a": (256, 3),
            "mlp2.lora_b": (3, 64),
        }.items()
    }
    model = small_model()
    assert json.loads(config.tobytes()) == {
        "version": 3,
        "method": "lora",
        "settings": {"rank": 3, "scale": 1.5, "dropout": 0.1, "layers": 1, "targets": ["attn.query", "mlp2"]},
        "language": "te",
        "task": "translate",
        "audio_context": 12.5,
        "run": "5eed",
        "split": "57e4397ccfb34c20",
        "library_version": __version__,
        "base": {
            "name": "models/small",
            "dimensions": model.dims.to_dict(),
            "fingerprint": fingerprint(model),
            "repository": "models/small",
        },
    }


def test_a_loaded_adapter_is_the_saved_one(adapter_file):
    saved, config = trained_model()
    model = small_model()
    assert load_adapter(model, adapter_file, "models/small") == config == read_adapter_config(adapter_file)
    np.testing.assert_array_equal(logits(model), logits(saved))
    modules = adapter_modules(model)
    assert {module.scale for module in modules.values()} == {1.5}
    assert modules.keys() == adapter_modules(saved).keys()


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_version_is_the_same_adapter(version):
    """The files were saved at commits d99ace7 and f763ba4, from `trained_model` above."""
    saved, config = trained_model()
    model = small_model()
    expected = replace(config, base=replace(config.base, repository=None), run=None, clips=frozenset())
    assert load_adapter(model, REFERENCE / f"version_{version}.npz", "models/small") == expected
    np.testing.assert_array_equal(logits(model), logits(saved))


def test_a_bug_in_reading_the_configuration_is_not_reported_as_a_damaged_file(adapter_file, monkeypatch):
    def bug(*_):
        raise AttributeError("a typing error of ours")

    monkeypatch.setattr("mlx_whisper_lora.adapters.adapter_file._settings_from_json", bug)
    with pytest.raises(AttributeError, match="a typing error of ours"):
        read_adapter(adapter_file)


def test_a_half_precision_adapter_is_stored_in_float32(tmp_path):
    model, config = trained_model()
    model.set_dtype(mx.float16)
    save_adapter(tmp_path / "a.npz", model, config)
    assert {array.dtype for array in read_adapter(tmp_path / "a.npz").arrays.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("stored", [mx.float32, mx.float16])
def test_one_checkpoint_has_one_fingerprint_whatever_it_is_loaded_as(stored, tmp_path):
    model = small_model()
    model.set_dtype(stored)
    save_model(model, tmp_path)
    prints = {fingerprint(load_model(tmp_path, dtype)) for dtype in (mx.float16, mx.float32)}
    assert len(prints) == 1


@pytest.mark.slow
def test_one_checkpoint_has_one_fingerprint_in_every_layout(tmp_path):
    save_model(small_model(), tmp_path / "mlx")
    save_hf_model(small_model(), tmp_path / "hf")
    assert fingerprint(load_model(tmp_path / "hf")) == fingerprint(load_model(tmp_path / "mlx"))


def test_a_quantized_checkpoint_has_a_fingerprint_of_its_own(tmp_path):
    model = small_model()
    quantize(model, Quantization(32, 8))
    save_model(model, tmp_path)
    prints = {fingerprint(load_model(tmp_path, dtype)) for dtype in (mx.float16, mx.float32)}
    assert len(prints) == 1 and fingerprint(small_model()) not in prints


def test_numbers_that_devices_round_differently_count_as_zero():
    tiny, zero = small_model(), small_model()
    tiny.decoder.ln.bias, zero.decoder.ln.bias = mx.full((64,), 3e-6), mx.zeros((64,))
    assert fingerprint(tiny) == fingerprint(zero)


def test_fingerprints_tell_models_apart():
    one, other = small_model(), small_model()
    other.encoder.blocks[0].mlp1.weight = other.encoder.blocks[0].mlp1.weight * 1.01
    assert fingerprint(one) == fingerprint(small_model()) != fingerprint(other)


def test_a_base_of_other_dimensions_is_refused_naming_both(adapter_file):
    other = small_model(n_text_state=128, n_audio_state=128)
    with pytest.raises(AdapterError) as error:
        load_adapter(other, adapter_file, "models/wide")
    assert str(error.value) == (
        f"{adapter_file}: this adapter was trained on models/small (n_audio_state 64) and does not fit "
        "models/wide (n_audio_state 128)"
    )
    assert not adapter_modules(other)


def test_a_base_of_other_weights_is_refused_naming_both(adapter_file):
    other = small_model(seed=1)
    with pytest.raises(
        AdapterError, match=r"trained on models/small .*models/other has the same dimensions but other w"
    ):
        load_adapter(other, adapter_file, "models/other")
    assert not adapter_modules(other)


def test_a_model_with_an_adapter_takes_no_second_one(adapter_file):
    model = small_model()
    load_adapter(model, adapter_file, "models/small")
    with pytest.raises(AdapterError, match="has an adapter already"):
        load_adapter(model, adapter_file, "models/small")


def rewrite(path, **changes) -> None:
    """Change arrays of an .npz; None removes one."""
    with np.load(path) as file:
        arrays = {**file, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def config_bytes(path, **changes) -> np.ndarray:
    with np.load(path) as file:
        config = json.loads(file["config"].tobytes()) | changes
    return np.frombuffer(json.dumps(config).encode(), np.uint8)


def with_settings(path, **changes) -> np.ndarray:
    """Return the configuration of an adapter file with other settings of its method."""
    settings = asdict(read_adapter_config(path).settings)
    return config_bytes(path, settings=settings | changes)


def with_base(path, **dimensions) -> np.ndarray:
    """Return the configuration of an adapter file with other dimensions of its base."""
    base = asdict(read_adapter_config(path).base)
    return config_bytes(path, base=base | {"dimensions": base["dimensions"] | dimensions})


def array_header(shape: tuple[int, ...]) -> bytes:
    """Return the header of a float32 array in NumPy's format."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()


def zip_member(path, name: str, data: bytes) -> None:
    """Add a member to an archive that has none of this name."""
    rewrite(path, **{name.removesuffix(".npy"): None})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, data)


QUERY_B = "decoder.blocks.1.attn.query.lora_b"
NOT_ADAPTERS = {
    "missing": (lambda path: path.unlink(), "no such adapter file"),
    "empty": (lambda path: path.write_bytes(b""), r"this is an empty file \(0 bytes\)"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged or cut short"),
    "text": (lambda path: path.write_text("rank: 8"), "this is not an adapter of this library, which is an .npz"),
    "pickled": (lambda path: rewrite(path, config=np.array([{"rank": 8}], dtype=object)), "Python objects, which are"),
    "other arrays": (lambda path: np.savez(path, x=np.zeros(3)), "but not an adapter .*'config' is missing"),
    "a device": (lambda path: (path.unlink(), path.symlink_to(os.devnull)), "a device or a pipe, not an adapter file"),
    "no JSON": (lambda path: rewrite(path, config=np.zeros(3, np.uint8)), "but not an adapter"),
    "a JSON list": (lambda path: rewrite(path, config=np.frombuffer(b"[1]", np.uint8)), "is not a JSON object"),
    "no language": (
        lambda path: rewrite(path, config=np.frombuffer(b'{"method": "lora"}', np.uint8)),
        "'language' is missing",
    ),
    "newer": (lambda path: rewrite(path, config=config_bytes(path, version=6)), "version 6, and .* update mlx_whisper"),
    "other clips": (lambda path: rewrite(path, clips=np.zeros(2, np.uint64)), "its clips are not those that it names"),
    "clips of objects": (lambda path: rewrite(path, clips=np.zeros((2, 2))), "but not an adapter"),
    "other method": (lambda path: rewrite(path, config=config_bytes(path, method="ia3")), "its method is 'ia3'"),
    "unknown target": (lambda path: rewrite(path, config=with_settings(path, targets=["x"])), "targets must be chosen"),
    "half a layer": (lambda path: rewrite(path, config=with_settings(path, layers=0.5)), "its setting layers is 0.5"),
    "dropout": (lambda path: rewrite(path, config=with_settings(path, dropout=1.0)), "dropout must be below 1"),
    "context": (lambda path: rewrite(path, config=config_bytes(path, audio_context=31)), "its audio_context is 31"),
    "wide base": (
        lambda path: rewrite(path, config=with_base(path, n_text_state=10**9)),
        "n_text_state of its base is",
    ),
    "base of another kind": (
        lambda path: rewrite(path, config=with_base(path, n_experts=8)),
        "are not those of Whisper",
    ),
    "nameless base": (
        lambda path: rewrite(
            path, config=config_bytes(path, base={**asdict(read_adapter_config(path).base), "name": 7})
        ),
        "should be texts",
    ),
    "endless": (lambda path: rewrite(path, config=with_settings(path, rank=float("inf"))), "its setting rank is inf"),
    "huge rank": (lambda path: rewrite(path, config=with_settings(path, rank=10**9)), "rank must be at most 1280"),
    "huge scale": (lambda path: rewrite(path, config=with_settings(path, scale=1e300)), "scale must be at most 10000"),
    "no context": (
        lambda path: rewrite(path, config=config_bytes(path, audio_context=float("nan"))),
        "_context is nan",
    ),
    "unknown setting": (
        lambda path: rewrite(path, config=with_settings(path, shape=1)),
        "setting shape is unknown",
    ),
    "unknown language": (
        lambda path: rewrite(path, config=config_bytes(path, language=7)),
        "its language is 7 and its",
    ),
    "base is text": (lambda path: rewrite(path, config=config_bytes(path, base="small")), "but not an adapter"),
    "nested": (lambda path: rewrite(path, config=np.frombuffer(b"[" * 10**5, np.uint8)), "but not an adapter"),
    "half a header": (
        lambda path: zip_member(path, f"{QUERY_B}.npy", np.lib.format.magic(1, 0) + b"\x01\x00("),
        "damaged or cut short",
    ),
    "bytes": (lambda path: zip_member(path, f"{QUERY_B}.npy", b"numbers"), "damaged or cut short"),
    "terabytes": (
        lambda path: zip_member(path, f"{QUERY_B}.npy", array_header((2**40, 64)) + bytes(768)),
        r"lora_b\.npy asks for 281474976710656 bytes, and has 768",
    ),
    "too many numbers": (
        lambda path: zip_member(path, f"{QUERY_B}.npy", array_header((3, 64)) + bytes(999)),
        "has 999",
    ),
    "an array missing": (lambda path: rewrite(path, **{QUERY_B: None}), f"the array {QUERY_B} is missing"),
    "an array too many": (lambda path: rewrite(path, x=np.zeros(3)), "the array x does not belong to this adapter"),
    "wrong shape": (lambda path: rewrite(path, **{QUERY_B: np.zeros((64, 3))}), r"of shape \(3, 64\)"),
    "not a number": (lambda path: rewrite(path, **{QUERY_B: np.full((3, 64), np.nan)}), "should hold finite numbers"),
    "no number": (lambda path: rewrite(path, **{QUERY_B: np.full((3, 64), "x")}), "should hold finite numbers"),
}


@pytest.mark.parametrize("case", NOT_ADAPTERS)
def test_a_file_that_is_not_an_adapter_is_refused_and_the_model_stays_plain(case, adapter_file):
    damage, message = NOT_ADAPTERS[case]
    damage(adapter_file)
    model = small_model()
    with pytest.raises(AdapterError, match=message) as error:
        load_adapter(model, adapter_file, "models/small")
    assert str(error.value).startswith(str(adapter_file))
    assert not adapter_modules(model)


def test_an_archive_that_unpacks_to_gigabytes_is_refused_before_memory_is_spent(adapter_file):
    with (
        zipfile.ZipFile(adapter_file, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(array_header((100 * 2**18,)))
        for _ in range(100):
            member.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(AdapterError, match="it would unpack to over 10 times its size"):
        read_adapter(adapter_file)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_compressed_adapter_is_read(adapter_file, tmp_path):
    with np.load(adapter_file) as file:
        np.savez_compressed(tmp_path / "small.npz", **file)
    assert read_adapter(tmp_path / "small.npz").config == read_adapter(adapter_file).config


def test_no_pickle_is_ever_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    np.savez(tmp_path / "a.npz", config=np.array([Bomb()], dtype=object))
    with pytest.raises(AdapterError):
        read_adapter(tmp_path / "a.npz")
    assert not (tmp_path / "exploded").exists()


def test_bit_flips_end_in_a_clear_error_or_change_nothing(adapter_file):
    whole = adapter_file.read_bytes()
    expected = read_adapter(adapter_file).arrays
    random = np.random.default_rng(0)
    for position in random.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << random.integers(8)
        adapter_file.write_bytes(damaged)
        try:
            arrays = read_adapter(adapter_file).arrays
        except AdapterError:
            continue
        assert all(np.array_equal(arrays[name], array) for name, array in expected.items() if name in arrays)


def test_saving_replaces_an_adapter_whole_or_leaves_it(adapter_file, monkeypatch):
    before = adapter_file.read_bytes()
    model, config = trained_model()

    def full_disk(file, **arrays):
        file.write(b"half an ada")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_adapter(adapter_file, model, replace(config, language="hi"))
    assert adapter_file.read_bytes() == before
    assert [path.name for path in adapter_file.parent.iterdir()] == [adapter_file.name]
