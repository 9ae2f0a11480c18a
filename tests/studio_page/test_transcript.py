"""Transcripts as HTML, and the words in which two of them differ."""

from mlx_whisper_lora.studio_page.transcript import find_differences, transcript_html, word_rows


def result(*segments: str, language: str = "en") -> dict:
    """Return a result of `transcribe` whose words last half a second each."""
    made, number = [], 0
    for text in segments:
        words = []
        for word in text.split():
            words.append({"word": f" {word}", "start": number / 2, "end": (number + 1) / 2})
            number += 1
        made.append({"text": f" {text}", "words": words})
    return {"segments": made, "language": language}


def test_words_that_the_other_transcript_lacks_are_marked():
    first, second = result("the west book", "opens"), result("the village", "book opens soon")
    marks = find_differences(first, second)
    assert transcript_html(first, marks.first) == (
        '<p dir="auto" lang="en">the <mark>west</mark> book</p>\n<p dir="auto" lang="en">opens</p>'
    )
    assert transcript_html(second, marks.second) == (
        '<p dir="auto" lang="en">the <mark>village</mark></p>\n<p dir="auto" lang="en">book opens <mark>soon</mark></p>'
    )


def test_a_transcript_without_timed_words_is_compared_too():
    first = {"segments": [{"text": " one two"}], "language": "en"}
    assert find_differences(first, result("one three")) == ({1}, {1})
    assert transcript_html(first) == '<p dir="auto" lang="en">one two</p>' and word_rows(first) == []


def test_a_transcript_is_not_taken_for_html():
    assert "<b>" not in transcript_html(result("<b> ${value}"), marked={0})


def test_words_are_rows_with_start_and_end():
    assert word_rows(result("ਸਤ ਸ੍ਰੀ")) == [["ਸਤ", "0.00", "0.50"], ["ਸ੍ਰੀ", "0.50", "1.00"]]
