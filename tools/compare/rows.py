"""The rows of the table: the title of each, and how it is tried."""

from tools.compare.attempts import (
    NO,
    Attempt,
    adapter,
    bad_recording,
    decoded_with,
    decodes,
    effect,
    function,
    half_precision,
    in_clips,
    malicious,
    option,
    patience,
    prompted,
    reads,
    samples,
    several,
    standard_input,
    takes,
    timed_words,
)
from tools.compare.files import LIBSNDFILE, VIDEOS
from tools.compare.peers import RECORDING

OPTIONS = "Options"
TRANSCRIPTS = ("txt", "vtt", "srt", "tsv", "json")
OVERWRITES = "one overwrites the other"
WORDS = "--word-timestamps True"
CLIPS = "--clip-timestamps 0,0.5,1.5,2"
ROWS: dict[str, list[tuple[str, Attempt]]] = {
    OPTIONS: [
        ("beam search", option("--beam-size 2", decoded_with(beam_size=2), beam_size=2)),
        ("patience of beam search", patience),
        ("best of several samples", option("--temperature 0.5 --best-of 2", decoded_with(best_of=2))),
        ("length penalty", option("--length-penalty 0.5", decoded_with(length_penalty=0.5))),
        (
            "higher temperatures after a failure",
            option(
                "--temperature 0.8 --best-of 1 --logprob-threshold 0",
                effect(lambda run: all(segment["temperature"] == 1 for segment in run.segments), NO),
                temperature=(0.8, 1.0),
                best_of=1,
                logprob_threshold=0.0,
            ),
        ),
        ("initial prompt", option("--initial-prompt names", prompted(0))),
        (
            "initial prompt in every window",
            option(
                f"--initial-prompt names --carry-initial-prompt True --condition-on-previous-text False {CLIPS}",
                prompted(-1),
                initial_prompt="names",
                carry_initial_prompt=True,
            ),
        ),
        ("prefix", function(decoded_with(prefix="well"), prefix="well")),
        ("tokens to suppress", option("--suppress-tokens=-1,50", decoded_with(suppress_tokens="-1,50"))),
        (
            "text without timestamps",
            option("--without-timestamps True", decoded_with(without_timestamps=True), without_timestamps=True),
        ),
        ("translation into English", option("--task translate", decoded_with(task="translate"))),
        (
            "language by its name",
            option("--language Spanish", effect(lambda run: run.decoded[0]["language"] in ("es", "Spanish"))),
        ),
        ("clips of a recording", option(CLIPS, in_clips)),
        ("word timestamps", option(WORDS, timed_words)),
        ("skipping silence around hallucinations", option(f"{WORDS} --hallucination-silence-threshold 1")),
        (
            "highlighted words",
            option(
                f"{WORDS} --highlight-words True",
                effect(lambda run: "<u>" in "".join(run.lines() + run.lines("vtt"))),
            ),
        ),
        (
            "lines of limited width",
            option(
                f"{WORDS} --max-line-width 8 --max-line-count 1",
                effect(lambda run: all(len(line) <= 8 or " " not in line.strip() for line in run.lines())),
            ),
        ),
        (
            "words in a line",
            option(
                f"{WORDS} --max-words-per-line 1",
                effect(lambda run: not any(" " in line.strip() for line in run.lines())),
            ),
        ),
        (
            ", ".join(TRANSCRIPTS) + ", all",
            option(
                "--output-format all",
                effect(lambda run: all((run.folder / f"talk.{suffix}").stat().st_size for suffix in TRANSCRIPTS)),
            ),
        ),
        ("name of the output", option("--output-name x", effect(lambda run: run.stems == {"x"}))),
        ("audio from standard input", standard_input),
        ("several files", several(RECORDING, "other.wav", expected={"talk", "other"}, otherwise=OVERWRITES)),
        ("files of one name", several(RECORDING, "folder/talk.wav", expected={"talk", "talk-2"}, otherwise=OVERWRITES)),
        ("patterns, as in `'*.wav'`", several("*.wav", expected={"talk", "other"}, otherwise=NO)),
        ("a file that is not audio", bad_recording),
        ("several windows at a time", option("--batch-size 2", batch_size=2)),
        ("cut by voice activity", option("--batch-size 2 --vad True", batch_size=2, vad=True)),
        ("float16 and float32", half_precision),
        ("LoRA adapters", adapter),
    ],
    "Models": [
        ("MLX, npz", reads("{}/npz")),
        ("MLX, safetensors", reads("{}/safetensors")),
        ("MLX, float32", reads("{}/float32")),
        ("MLX, 4 bits", reads("{}/4bit")),
        ("MLX, 8 bits", reads("{}/8bit")),
        ("transformers, one file", reads("{}/hf")),
        ("transformers, several files", reads("{}/sharded")),
        ("OpenAI's .pt", reads("{}/demo.pt")),
        (".pt with a program pickled into it", malicious),
        ("Hugging Face Hub, from its cache without a network", reads("someone/whisper")),
        ("a revision of it, as name@revision", reads("someone/tagged@v1")),
    ],
    "Audio": [
        ("WAV, FLAC, OGG, Opus, MP3, without ffmpeg", decodes(*LIBSNDFILE, ffmpeg=False)),
        ("the same with ffmpeg", decodes(*LIBSNDFILE)),
        ("M4A, MP4, WebM, with ffmpeg", decodes(*VIDEOS)),
    ],
    "Audio from Python": [
        ("path as a string", takes(lambda tool, path: str(path))),
        ("path as `pathlib.Path`", takes(lambda tool, path: path)),
        ("bytes of a file", takes(lambda tool, path: path.read_bytes())),
        ("open file", takes(lambda tool, path: path.open("rb"))),
        ("NumPy array", takes(lambda tool, path: samples(path))),
        ("array of its framework", takes(lambda tool, path: tool.tensor(samples(path)))),
    ],
}
