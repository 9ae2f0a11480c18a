"""Six clips of speech, written in each layout of data folders that is read."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.transcription.writers import write_result
from tests.support.clips import write_jsonl

STEP = 3.0  # seconds from one clip of a long recording to the next


class Spoken(NamedTuple):
    id: str
    text: str
    speaker: str
    split: str
    samples: np.ndarray  # at 16 kHz, as 16 bits hold them; a whole number of milliseconds


def _spoken() -> list[Spoken]:
    texts = ["please come", '"Rain," she said; twice', "నమస్కారం", "four | one", "", "mother & thank <you>"]
    splits = ["train", "train", "train", "train", "valid", "test"]
    spoken = []
    for i, (clip, text, split) in enumerate(zip(load_clips(DEMO_CLIPS)["train"], texts, splits, strict=False)):
        samples = load_audio(clip.audio, start=clip.start, end=clip.end)
        samples = np.round(samples[: len(samples) // 16 * 16] * 2**15) / 2**15
        speaker = ("84", "121", "84", "300", "5", "6")[i]
        spoken.append(Spoken(f"{speaker}-7-{i:04}", text or "lamp and clock", speaker, split, samples))
    return spoken


SPOKEN = _spoken()


def of_split(split: str) -> list[Spoken]:
    return [each for each in SPOKEN if each.split == split]


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_audio(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (samples * 2**15).astype(np.int16), 16000)


def write_talk(path: Path, spoken: Sequence[Spoken]) -> list[tuple[float, float, str]]:
    """Write a long recording of some clips. Return start, end and text of each."""
    samples = np.zeros(round(STEP * 16000) * len(spoken), np.float32)
    times = []
    for i, each in enumerate(spoken):
        first = round(STEP * 16000) * i
        samples[first : first + len(each.samples)] = each.samples
        times.append((first / 16000, (first + len(each.samples)) / 16000, each.text))
    write_audio(path, samples)
    return times


def write_semicolons(folder: Path) -> None:
    for split, name in (("train", "train"), ("valid", "validation"), ("test", "test")):
        place = folder / "data" / name
        place.mkdir(parents=True)
        with (place / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, delimiter=";")
            rows.writerow(["File Name", "Sentence", "Language", "Speaker ID"])
            for each in of_split(split):
                write_audio(place / f"{each.id}.wav", each.samples)
                rows.writerow([f"{each.id}.wav", each.text, "english", each.speaker])


def write_own_columns(folder: Path) -> None:
    rows = []
    for each in SPOKEN:
        write_audio(folder / f"{each.id}.flac", each.samples)
        rows.append(
            {"text": "wrong", "Clip": f"{each.id}.flac", "my words": each.text, "tongue": "en", "who": each.speaker}
        )
    write_jsonl(
        folder / "metadata.jsonl", [row | {"split": each.split} for row, each in zip(rows, SPOKEN, strict=True)]
    )


CV_OLD = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent"]
CV_NEW = [
    *CV_OLD[:2],
    "sentence_id",
    "sentence",
    "sentence_domain",
    *CV_OLD[3:-1],
    "accents",
    "variant",
    "locale",
    "segment",
]


def write_cv_table(path: Path, columns: Sequence[str], spoken: Sequence[Spoken], suffix: str = ".mp3") -> None:
    lines = ["\t".join(columns)]
    for each in spoken:
        values = {"client_id": each.speaker, "path": each.id + suffix, "sentence": each.text, "locale": "en"}
        lines.append("\t".join(values.get(column, "") for column in columns))
    write_lines(path, lines)


def write_common_voice(folder: Path) -> None:
    for each in SPOKEN:
        write_audio(folder / "clips" / f"{each.id}.mp3", each.samples)
    for split, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
        write_cv_table(folder / f"{name}.tsv", CV_NEW, of_split(split))
    for name in ("invalidated", "other"):
        write_cv_table(folder / f"{name}.tsv", CV_NEW, SPOKEN[:1])
    write_lines(folder / "clip_durations.tsv", ["clip\tduration[ms]", f"{SPOKEN[0].id}.mp3\t1000"])


def write_old_common_voice(folder: Path) -> None:
    write_common_voice(folder)
    for split, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
        write_cv_table(folder / f"{name}.tsv", CV_OLD, of_split(split), suffix="")


def write_validated(folder: Path) -> None:
    write_common_voice(folder)
    write_cv_table(folder / "train.tsv", CV_NEW, SPOKEN[:1])
    write_cv_table(folder / "validated.tsv", CV_NEW, SPOKEN)


def write_spontaneous(folder: Path) -> None:
    columns = (
        "client_id audio_id audio_file duration_ms prompt transcription votes age gender language split quality_tags"
    )
    lines = [columns.replace(" ", "\t")]
    for each in SPOKEN:
        write_audio(folder / "audios" / f"{each.id}.mp3", each.samples)
        split = {"valid": "dev"}.get(each.split, each.split)
        ms = str(len(each.samples) // 16)
        start = [each.speaker, each.id, f"{each.id}.mp3", ms, "How do you do?"]
        lines.append("\t".join([*start, each.text, "", "", "", "English", split, ""]))
        lines.append("\t".join([*start, "", "", "", "", "English", "", ""]))  # nobody has transcribed this one
        lines.append("\t".join([*start, f"{each.text}?", "", "", "", "English", "", ""]))  # not validated
    write_lines(folder / "ss-corpus-en.tsv", lines)


def write_libri_speech(folder: Path) -> None:
    names = {"train": "train-clean-100", "valid": "dev-clean", "test": "test-other"}
    chapters: dict[Path, list[str]] = {}
    for each in SPOKEN:
        chapter = folder / "LibriSpeech" / names[each.split] / each.speaker / "7"
        write_audio(chapter / f"{each.id}.flac", each.samples)
        chapters.setdefault(chapter / f"{each.speaker}-7.trans.txt", []).append(f"{each.id} {each.text}")
    for path, lines in chapters.items():
        write_lines(path, lines)
    write_lines(folder / "LibriSpeech" / "README.TXT", ["about"])


def write_kaldi(folder: Path) -> None:
    for split, name in (("train", "train_clean_5"), ("valid", "dev"), ("test", "test")):
        place, spoken = folder / "data" / name, of_split(split)
        times = write_talk(folder / "audio" / f"{split}.wav", spoken)
        write_lines(place / "wav.scp", [f"talk {folder / 'audio' / split}.wav"])
        segments = zip(times, spoken, strict=True)
        write_lines(place / "segments", [f"{each.id} talk {start} {end}" for (start, end, _), each in segments])
        write_lines(place / "text", [f"{each.id} {each.text}" for each in spoken])
        write_lines(place / "utt2spk", [f"{each.id} {each.speaker}" for each in spoken])


def write_flat_kaldi(folder: Path) -> None:
    for each in SPOKEN:
        write_audio(folder / "wav" / f"{each.id}.wav", each.samples)
    write_lines(folder / "wav.scp", [f"{each.id} wav/{each.id}.wav" for each in SPOKEN])
    write_lines(folder / "text", [f"{each.id} {each.text}" for each in SPOKEN])


def write_nemo(folder: Path) -> None:
    for split, name in (
        ("train", "train_manifest.json"),
        ("valid", "dev_manifest.json"),
        ("test", "test_manifest.json"),
    ):
        times = write_talk(folder / f"{split}.wav", of_split(split))
        rows = [
            {"audio_filepath": f"{split}.wav", "text": text, "lang": "en", "offset": start, "duration": end - start}
            for start, end, text in times
        ]
        rows[0].pop("offset")  # which is 0
        write_jsonl(folder / name, rows)
    write_jsonl(folder / "manifest.jsonl", rows)  # not read, as the others have a split


def write_lj_speech(folder: Path) -> None:
    for each in SPOKEN:
        write_audio(folder / "wavs" / f"{each.id}.wav", each.samples)
    write_lines(
        folder / "metadata.csv", [f"{each.id}|{each.text.replace('|', '/')}|{each.text.upper()}" for each in SPOKEN]
    )


def write_pairs(folder: Path) -> None:
    for each in SPOKEN:
        place = folder / {"valid": "dev"}.get(each.split, each.split)
        write_audio(place / f"{each.id}.wav", each.samples)
        write_lines(place / f"{each.id}.txt", [each.text, ""])
    write_lines(folder / "README.txt", ["about"])


def write_result_as(output_format: str) -> Callable[[Path], None]:
    """Return what writes long recordings and their transcripts, as `transcribe` writes them."""

    def write(folder: Path) -> None:
        for split in ("train", "valid", "test"):
            times = write_talk(folder / split / "talk.wav", of_split(split))
            segments = [{"start": start, "end": end, "text": f" {text}"} for start, end, text in times]
            result = {"text": "", "segments": segments, "language": "en"}
            write_result(result, folder / split, "talk", output_format)

    return write


def write_voices(folder: Path) -> None:
    """Write WebVTT with voices, entities, tags, notes and a name for each cue."""
    lines = ["WEBVTT - a talk", "Kind: captions", "", "NOTE", "made by hand", "", "STYLE", "::cue { color: red }", ""]
    for i, (start, end, text) in enumerate(write_talk(folder / "talk.wav", SPOKEN)):
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(" ", "\n", 1)
        clock = [f"00:{time:06.3f}" for time in (start, end)]
        lines += [
            f"cue {i}",
            f"{clock[0]} --> {clock[1]} align:start",
            f"<v.loud {SPOKEN[i].speaker}><i>{text}</i></v>",
            "",
        ]
    write_lines(folder / "talk.vtt", lines)


def write_labels(folder: Path) -> None:
    times = write_talk(folder / "talk.flac", SPOKEN)
    lines = [f"{start:.6f}\t{end:.6f}\t{text}\n\\\t100.0\t2000.0" for start, end, text in times]
    write_lines(folder / "talk.txt", [*lines, "1.0\t2.0\t"])


def _tiers() -> list[tuple[str, str, list[tuple[float, float, str]]]]:
    """Return the tiers of a TextGrid: words of no use, points, and the texts between silences."""
    texts, last = [], 0.0
    for i, each in enumerate(SPOKEN):
        start, end = i * STEP, i * STEP + len(each.samples) / 16000
        texts += [(last, start, ""), (start, end, each.text)] if start > last else [(start, end, each.text)]
        last = end
    points = [(0.5, 0.5, "a point 3 [2]:")]
    return [
        ("IntervalTier", "words", [(0, last, "1 2")]),
        ("TextTier", "bell", points),
        ("IntervalTier", "Text", texts),
    ]


def write_long_text_grid(folder: Path) -> None:
    write_talk(folder / "talk.wav", SPOKEN)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", "xmax = 18 ", "tiers? <exists> "]
    lines += ["size = 3 ", "item []: "]
    for i, (kind, name, items) in enumerate(_tiers(), 1):
        unit = "intervals" if kind == "IntervalTier" else "points"
        lines += [f"    item [{i}]:", f'        class = "{kind}" ', f'        name = "{name}" ', "        xmin = 0 "]
        lines += ["        xmax = 18 ", f"        {unit}: size = {len(items)} "]
        for j, (start, end, text) in enumerate(items, 1):
            quoted = text.replace('"', '""')
            lines += [f"        {unit} [{j}]:"]
            if kind == "IntervalTier":
                lines += [
                    f"            xmin = {start} ",
                    f"            xmax = {end} ",
                    f'            text = "{quoted}" ',
                ]
            else:
                lines += [f"            number = {start} ", f'            mark = "{quoted}" ']
    (folder / "talk.TextGrid").write_bytes(
        "\n".join(lines).encode("utf-16")
    )  # as Praat writes other letters than ASCII


def write_short_text_grid(folder: Path) -> None:
    write_talk(folder / "talk.wav", SPOKEN)
    lines = ['File type = "ooTextFile short"', '"TextGrid"', "", "0", "18", "<exists>", "3"]
    for kind, name, items in _tiers():
        lines += [f'"{kind}"', f'"{name}"', "0", "18", str(len(items))]
        for start, end, text in items:
            quoted = text.replace('"', '""')
            lines += [str(start), *([str(end)] if kind == "IntervalTier" else []), f'"{quoted}"']
    write_lines(folder / "talk.textgrid", lines)


class Layout(NamedTuple):
    write: Callable[[Path], None]
    known: str  # what the layout knows beside audio and text: splits, speakers, languages
    options: SourceOptions = SourceOptions()


LAYOUTS = {
    "tables with semicolons in data/train": Layout(write_semicolons, "splits, speakers, languages"),
    "columns of other names": Layout(
        write_own_columns,
        "splits, speakers, languages",
        SourceOptions(audio_column="clip", text_column="My Words", language_column="tongue", speaker_column="who"),
    ),
    "Common Voice": Layout(write_common_voice, "splits, speakers, languages"),
    "old Common Voice": Layout(write_old_common_voice, "splits, speakers"),
    "validated Common Voice": Layout(
        write_validated, "splits, speakers, languages", SourceOptions(common_voice_validated=True)
    ),
    "Spontaneous Speech": Layout(write_spontaneous, "splits, speakers, languages"),
    "LibriSpeech": Layout(write_libri_speech, "splits, speakers"),
    "Kaldi with segments": Layout(write_kaldi, "splits, speakers"),
    "Kaldi in one folder": Layout(write_flat_kaldi, ""),
    "NeMo": Layout(write_nemo, "splits, languages"),
    "LJSpeech": Layout(write_lj_speech, ""),
    "pairs": Layout(write_pairs, "splits"),
    "SubRip": Layout(write_result_as("srt"), "splits"),
    "WebVTT": Layout(write_result_as("vtt"), "splits"),
    "WebVTT with voices": Layout(write_voices, "speakers"),
    "our JSON": Layout(write_result_as("json"), "splits, languages"),
    "labels of Audacity": Layout(write_labels, ""),
    "long TextGrid": Layout(write_long_text_grid, ""),
    "short TextGrid": Layout(write_short_text_grid, ""),
}
