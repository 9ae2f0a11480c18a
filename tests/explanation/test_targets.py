"""The scores of a transcript, its words and its language, beside those of decoding."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.explanation.targets import transcript_targets
from mlx_whisper_lora.explanation.transcript import find_transcript, pad_to_window
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.decoding.language import detect_language
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.transcription.long_form import Transcription
from tests.support.models import small_model


def scores_of(model, transcript, parts, *mels) -> np.ndarray:
    return np.array(transcript_targets(model, transcript, parts, len(mels[0])).scores(mx.array(np.stack(mels))))


def test_the_score_of_a_transcript_is_that_of_decoding(demo, transcript, sentence):
    window = pad_to_window(demo, mx.array(sentence)[None])[0]
    decoded = decode(demo, window, without_timestamps=True, temperature=0.0, suppress_tokens="")
    assert transcript.text == decoded.text == "the yellow sister holds this yellow apple"
    ((score,),) = scores_of(demo, transcript, [transcript.whole()], sentence)
    n_tokens = len(transcript.tokens)
    assert score * n_tokens >= decoded.avg_logprob * (n_tokens + 1) - 1e-3  # that has the end of the text too
    assert score < 0


def test_the_score_of_the_transcript_is_the_mean_of_its_tokens(demo, transcript, sentence):
    words = [transcript.word(i) for i in range(7)]
    ((whole, *rest),) = scores_of(demo, transcript, [transcript.whole(), *words], sentence)
    counts = [len(word.tokens) for word in words]
    assert whole == pytest.approx(np.dot(rest, counts) / sum(counts), rel=1e-5)


def test_the_score_of_a_language_is_its_probability_when_it_is_detected(demo, transcript, sentence):
    _, probs = detect_language(demo, pad_to_window(demo, mx.array(sentence)[None])[0])
    ((english, german),) = scores_of(demo, transcript, [*map(transcript.language, ("en", "de"))], sentence)
    assert (np.exp(english), np.exp(german)) == (
        pytest.approx(probs["en"], rel=1e-3),
        pytest.approx(probs["de"], rel=1e-3),
    )


def test_a_clip_has_the_scores_in_a_batch_that_it_has_alone(demo, transcript, sentence):
    parts = [transcript.whole(), transcript.language("en")]
    both = scores_of(demo, transcript, parts, sentence, sentence * 0.5)
    np.testing.assert_allclose(both[1:], scores_of(demo, transcript, parts, sentence * 0.5), rtol=1e-4)
    assert both[0, 0] > both[1, 0]


def test_words_are_chosen_by_number_text_or_language(transcript):
    names = [part.name for part in transcript.parts(["2", "Holds,", "yellow", "<|de|>"])]
    assert names == ["2 yellow", "4 holds", "6 yellow", "<|de|>"]
    assert [part.name for part in transcript.parts(["all"])][:3] == ["<|en|>", "1 the", "2 yellow"]
    assert transcript.parts(["none"]) == []


def test_tokens_of_a_word_are_chosen_by_its_number_and_theirs(demo, sentence):
    """The logarithm of the probability of a word is the sum of those of its tokens."""
    given = find_transcript(demo, mx.array(sentence), text="the yellowish sister")
    tokens = given.words[1].tokens
    parts = given.parts(["2", *(f"2.{k + 1}" for k in range(len(tokens)))])
    assert [part.name for part in parts] == ["2 yellowish", "2.1 yellow", "2.2 ish"]
    ((word, *rest),) = scores_of(demo, given, parts, sentence)
    assert rest[0] > -0.1 > rest[1] and word == pytest.approx(sum(rest) / len(tokens), rel=1e-5)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("8", "words: '8' is not a word of the transcript, or its number: 1:the 2:yellow 3:sister"),
        ("1.2", "words: '1.2' is not a word of the transcript"),
        ("purple", "words: 'purple' is not a word of the transcript"),
        ("<|xx|>", "words: this model has no language token <|xx|>"),
    ],
)
def test_a_word_that_is_not_there_is_an_error(chosen, message, transcript):
    with pytest.raises(OptionError, match=message.replace("|", r"\|")):
        transcript.parts([chosen])


def test_a_given_text_is_explained_in_the_place_of_the_models(demo, sentence):
    given = find_transcript(demo, mx.array(sentence), text=" the yellow brother")
    assert given.text == "the yellow brother" and len(given.words) == 3


def test_a_clip_without_words_is_an_error(demo, sentence, monkeypatch):
    monkeypatch.setattr(Transcription, "steps", lambda self: iter(()))
    with pytest.raises(ValueError, match="the model hears no words in this clip"):
        find_transcript(demo, mx.array(sentence))


def test_a_model_of_english_alone_has_no_language_to_explain(sentence):
    model = small_model(n_vocab=51864)
    transcript = find_transcript(model, mx.array(sentence), text="some words")
    parts = transcript.parts(["all"])
    assert [part.name for part in parts] == ["1 some", "2 words"]
    assert (scores_of(model, transcript, parts, sentence) < 0).all()
    with pytest.raises(OptionError, match="no language token"):
        transcript.parts(["<|en|>"])
