"""CSV tables: separators, quotes, encodings, and rows that do not fit the header."""

import pytest

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.data.sources.tables import read_rows


@pytest.fixture
def read(tmp_path):
    """Reads a table next to the recordings 1.wav to 4.wav; returns the fields of its rows, and the errors of others."""

    def read_table(content: str | bytes, name: str = "metadata.csv") -> tuple[list[dict], list[str]]:
        for number in range(1, 5):
            (tmp_path / f"{number}.wav").touch()
        table = tmp_path / name
        table.write_bytes(content if isinstance(content, bytes) else content.encode())
        bad: list[DataError] = []
        rows = [row.fields for row in read_rows(table, SourceOptions(), bad)]
        return rows, [str(error).removeprefix(str(table)) for error in bad]

    return read_table


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["metadata.csv", "metadata.tsv"])
def test_the_separator_is_found_in_the_header(separator, name, read):
    content = separator.join(["file_name", "text"]) + "\n" + separator.join(["1.wav", '"yes, no;\tmaybe"']) + "\n"
    assert read(content, name) == ([{"file_name": "1.wav", "text": "yes, no;\tmaybe"}], [])


def test_rows_with_more_or_fewer_fields_than_the_header_are_errors_with_their_lines(read):
    rows, bad = read("file_name,text,speaker\n1.wav,Hello, world,me\n\n2.wav,fine,me\n3.wav,short\n")
    assert [row["text"] for row in rows] == ["fine"]
    assert bad == [
        ", line 2: 4 fields, but the header has 3; put a text with a comma between double quotes",
        ", line 5: 2 fields, but the header has 3; write empty fields too",
    ]


def test_quotes(read):
    content = (
        "file_name,text\n"
        '1.wav, "after, a space"\n'
        '2.wav,he said "yes" twice\n'
        '3.wav,"he said ""yes"""\n'
        '4.wav,"two lines:\nyes, no"\n'
    )
    rows, bad = read(content)
    expected = ["after, a space", 'he said "yes" twice', 'he said "yes"', "two lines:\nyes, no"]
    assert ([row["text"] for row in rows], bad) == (expected, [])


def test_a_row_whose_quotes_do_not_pair_up_is_an_error_and_the_next_is_read(read):
    rows, bad = read('file_name,text\n1.wav,"yes" he said\n2.wav,fine\n3.wav,"open\n')
    assert [row["text"] for row in rows] == ["fine"]
    problem = 'double quotes do not pair up; write one within a quoted text twice, as in "say ""hello"""'
    assert bad == [f", line 2: {problem}", f", line 4: {problem}"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ('1.wav,"open\n2.wav,b\n3.wav,c\n', "and is not closed by line 4; close or remove it"),
        ('1.wav,"open\n2.wav,"b"\n3.wav,c\n', "and is not closed by line 3; close or remove it"),
        ('1.wav,"open\n2.wav,shut"\n', "and takes in line 3, which is a row of its own; close or remove it"),
        ('1.wav,"open\n9.wav,shut"\n', "and takes in line 3, which is a row of its own; close or remove it"),
        ('1.wav,"open\n' + "2.wav,b\n" * 20_000, "and is not closed by line 16386; close or remove it"),
    ],
)
def test_a_quote_that_swallows_rows_is_named_by_the_line_where_it_opens(rows, problem, read):
    with pytest.raises(DataError) as error:
        read("file_name,text\n" + rows)
    assert str(error.value).endswith(f"metadata.csv, line 2: a double quote opens in this row, {problem}")


@pytest.mark.parametrize("header", ["File Name,TEXT", " file_name , text ", "\ufefffile_name,text", "file_name,text,"])
def test_case_spaces_and_marks_in_the_header_do_not_count(header, read):
    row = "1.wav,hello" + "," * (header.count(",") - 1)
    assert read(f"{header}\n{row}\n") == ([{"file_name": "1.wav", "text": "hello"}], [])


def test_rows_of_nothing_but_separators_and_spaces_are_skipped(read):
    assert read("\nfile_name,text\n,\n \n1.wav,hello\n,\n") == ([{"file_name": "1.wav", "text": "hello"}], [])


def test_line_ends_of_old_macs(read):
    rows, bad = read("file_name,text\r1.wav,a\r2.wav\r")
    assert (rows, bad) == (
        [{"file_name": "1.wav", "text": "a"}],
        [", line 3: 1 field, but the header has 2; write empty fields too"],
    )


def test_a_value_that_is_too_long_or_holds_nul_is_an_error(read):
    rows, bad = read(f"file_name,text\n1.wav,{'a' * 200_000}\n2.wav,a\0b\n3.wav,c\n")
    assert [row["text"] for row in rows] == ["c"]
    assert bad[0] == ", line 2: not a row of a CSV table (field larger than field limit (131072))"
    assert bad[1].startswith(", line 3: ") and "\0" not in bad[1] and len(bad) == 2


BAD_HEADERS = {
    "": ": the table is empty; its first line must name the columns",
    "file_name,text,text\n": ", line 1: two columns are called 'text'; rename one of them",
    "file_name\n1.wav\n": (
        ", line 1: no text column (one of text, transcription, transcript, sentence); found file_name; give its name "
        "as --text-column; the first line must name the columns"
    ),
    "1.wav,hello\n": (
        ", line 1: no audio column (one of file_name, audio, audio_filepath, audio_file, path); found 1.wav, hello; "
        "give its name as --audio-column; the first line must name the columns"
    ),
}


@pytest.mark.parametrize("content", BAD_HEADERS)
def test_a_header_that_lacks_columns_or_repeats_one_is_refused(content, read):
    with pytest.raises(DataError) as error:
        read(content)
    assert str(error.value).endswith(f"metadata.csv{BAD_HEADERS[content]}")


@pytest.mark.parametrize(
    ("encoding", "problem"),
    [
        ("utf-16", ": UTF-16 text; save the table as UTF-8 (Excel: CSV UTF-8)"),
        ("utf-32", ": UTF-32 text; save the table as UTF-8"),
        ("utf-16-le", ": UTF-16 text; save the table as UTF-8 (Excel: CSV UTF-8)"),
        (
            "cp1252",
            ", line 2: not UTF-8 text (byte 0xe9), but perhaps Windows-1252; save the table as UTF-8 (Excel: CSV "
            "UTF-8)",
        ),
    ],
)
def test_another_encoding_is_named(encoding, problem, read):
    with pytest.raises(DataError) as error:
        read("file_name,text\n1.wav,caf\u00e9\n".encode(encoding))
    assert str(error.value).endswith(f"metadata.csv{problem}")


def test_json_nested_too_deeply_and_arrays_are_errors_of_their_rows(read):
    content = "[" * 100_000 + '\n["1.wav", "a"]\n{"file_name": "1.wav"}\n'
    rows, bad = read(content, "metadata.jsonl")
    assert rows == [{"file_name": "1.wav"}]
    assert (
        bad[0].startswith(", line 1: not JSON (") and bad[1] == ', line 2: expected a JSON object, found ["1.wav", "a"]'
    )
