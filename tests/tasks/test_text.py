"""Texts as numbers: vocabularies, files good and bad, the split, windows."""

import re
import shutil
import subprocess
from itertools import islice

import numpy as np
import pytest

from tinyseq.errors import DataError, FileError, TinyseqError
from tinyseq.tasks import Corpus, Vocabulary, Windows, embedded_text, read_text


def test_encode_is_the_position_of_each_character():
    vocabulary = Vocabulary("zaé\n😀b")
    text = "baé\n\nz😀"
    assert vocabulary.encode(text).tolist() == [vocabulary.symbols.index(c) for c in text]
    assert vocabulary.encode(text).dtype == np.int64
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.encode("").tolist() == []


def test_vocabulary_of_a_text_is_sorted_and_complete():
    assert Vocabulary.of("banana\n").symbols == "\nabn"


def test_unknown_character_is_named_with_its_place():
    with pytest.raises(DataError, match=r"character 'é' \(U\+00E9\) at line 2, column 3 is not in the vocabulary of 4"):
        Vocabulary("ab\nc").encode("abc\nabé")


def test_token_outside_the_vocabulary_is_named():
    with pytest.raises(DataError, match="token 3 is not in the vocabulary: tokens are 0 to 2"):
        Vocabulary("abc").decode(np.array([0, 3]))
    with pytest.raises(DataError, match="token -1"):
        Vocabulary("abc").decode(np.array([-1]))


def test_vocabulary_with_a_character_twice_or_none():
    with pytest.raises(DataError, match="has 'a' twice"):
        Vocabulary("aba")
    with pytest.raises(DataError, match="at least one character, got ''"):
        Vocabulary("")


def test_embedded_text_is_long_deterministic_and_has_no_paragraph_twice():
    text = embedded_text()
    assert text == embedded_text()
    assert len(text) > 200_000
    words = [" ".join(p.split()) for p in text.split("\n\n") if p.strip()]
    assert len(words) == len(set(words))
    assert "statement" in text


def test_a_file_in_utf8_is_read_whatever_its_line_ends(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfna\xc3\xafve\r\nline\rend\n")
    assert read_text(file) == "naïve\nline\nend\n"


def test_missing_file(tmp_path):
    with pytest.raises(FileError, match=r"no such text file: .*gone\.txt"):
        read_text(tmp_path / "gone.txt")


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(FileError, match="is a folder; give a text file"):
        read_text(tmp_path)


def test_a_path_below_a_file(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(FileError, match="cannot read"):
        read_text(tmp_path / "a" / "b")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path, content):
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        read_text(file)


def test_file_that_is_not_utf8_says_where_and_how_to_convert(tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes("abc é".encode("latin-1"))
    with pytest.raises(DataError, match=r"byte 4 is 0xe9.\n.*iconv -f latin1 -t utf-8"):
        read_text(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf16_with_or_without_its_mark_says_how_to_convert(tmp_path, encoding):
    file = tmp_path / "wide.txt"
    file.write_bytes("hello".encode(encoding))
    with pytest.raises(DataError, match=r"(byte 0 is 0xff|binary: byte 1 is 0x00).\n.*iconv -f utf-16 -t utf-8"):
        read_text(file)


def test_split_keeps_every_character_in_order():
    text = "abcdefghij" * 3
    corpus = Corpus.of(text, "t", held_out=0.2)
    assert len(corpus.held_out) == 6
    assert corpus.vocabulary.decode(np.concatenate([corpus.train, corpus.held_out])) == text


@pytest.mark.parametrize("part", [0, 1, -0.5, float("nan")])
def test_split_part_out_of_range(part):
    with pytest.raises(TinyseqError, match="held-out part must be above 0 and below 1"):
        Corpus.of("abc", "t", held_out=part)


def test_text_too_short_to_split():
    with pytest.raises(DataError, match="t has 2 characters: too few"):
        Corpus.of("ab", "t")


def test_split_with_a_vocabulary_that_does_not_fit():
    with pytest.raises(DataError, match="character 'c'"):
        Corpus.of("abcabcabcabc", "t", vocabulary=Vocabulary("ab"))


def test_windows_are_the_text_and_its_next_character():
    tokens = np.arange(23)
    windows = Windows(tokens, T=3, B=2)  # two streams of 11: 0… and 11…
    got = list(islice(windows, 5))
    assert [fresh for _, _, fresh in got] == [True, False, False, False, True]
    assert got[0][0].tolist() == [[0, 11], [1, 12], [2, 13]]
    assert got[0][1].tolist() == [[1, 12], [2, 13], [3, 14]]
    assert got[1][0].tolist() == [[3, 14], [4, 15], [5, 16]]
    assert got[3][0].tolist() == [[9, 20], [10, 21]]  # what is left of 11 steps
    assert got[4][0].tolist() == got[0][0].tolist()
    assert windows.per_epoch == 4


def test_windows_use_the_last_character_as_a_target():
    x, y, _ = next(iter(Windows(np.arange(7), T=3, B=2)))
    assert x.T.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert y.T.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_text_shorter_than_one_window_says_what_fits():
    with pytest.raises(DataError, match=r"has 30 characters, shorter than one window.*10 · 4 \+ 1 = 41.\n.*batch of 2"):
        Windows(np.zeros(30, np.int64), T=10, B=4)
    Windows(np.zeros(30, np.int64), T=10, B=2)
    with pytest.raises(DataError, match="a window of 4 and a batch of 1"):
        Windows(np.zeros(5, np.int64), T=10, B=4)
    with pytest.raises(DataError, match="there are 1 characters to train on; one to read"):
        Windows(np.zeros(1, np.int64), T=10, B=4)


@pytest.mark.parametrize(("T", "B", "name"), [(0, 1, "window"), (1, 0, "batch"), (2.5, 1, "window")])
def test_window_sizes_are_checked(T, B, name):
    with pytest.raises(TinyseqError, match=f"{name} must be a whole number of at least 1"):
        Windows(np.zeros(9, np.int64), T=T, B=B)


@pytest.mark.parametrize(
    ("n", "T", "B"), [(1599, 25, 32), (23, 3, 2), (100, 7, 5), (2, 1, 1), (50, 49, 1), (97, 2, 48)]
)
def test_every_character_but_the_first_is_trained_on_in_each_epoch(n, T, B):
    windows = Windows(np.arange(n), T, B)
    seen, last = np.zeros(n, int), np.zeros(B, int)
    for k, (x, y, fresh) in enumerate(islice(windows, windows.per_epoch)):
        assert x.shape == y.shape and x.shape[1] == B and 1 <= x.shape[0] <= T
        assert fresh == (k == 0)
        np.testing.assert_array_equal(y, x + 1)
        if k:
            np.testing.assert_array_equal(x[0], last + 1)  # each stream goes on where it was
        last = x[-1]
        np.add.at(seen, y, 1)
    assert seen[0] == 0 and (seen[1:] >= 1).all()
    assert seen.sum() - (n - 1) < B  # no more than a character of each stream twice
    sizes = [len(windows[k][0]) for k in range(windows.per_epoch)]
    assert max(sizes) - min(sizes) <= 1


def test_a_window_by_its_number_is_the_one_of_the_reading():
    windows = Windows(np.arange(60), 4, 3)
    for k, (x, y, fresh) in enumerate(islice(windows, 2 * windows.per_epoch + 1)):
        again = windows[k]
        assert np.array_equal(again[0], x) and np.array_equal(again[1], y) and again[2] == fresh


def test_the_digest_tells_texts_and_cuts_apart():
    tokens = np.arange(60)
    other = tokens.copy()
    other[-1] = 3
    made = [Windows(t, T, B).digest for t, T, B in ((tokens, 4, 3), (tokens, 5, 3), (tokens, 4, 4), (other, 4, 3))]
    assert len(set(made)) == 4
    assert Windows(list(range(60)), 4, 3).digest == made[0]


@pytest.mark.parametrize("tokens", [np.zeros(9), np.zeros((9, 2), np.int64), "abcdefghi"])
def test_a_text_that_is_no_row_of_numbers(tokens):
    with pytest.raises(DataError, match=r"one row of whole numbers \(n,\)"):
        Windows(tokens, 2, 2)


def followed(error, folder):
    """What comes of running the command that a message names, as a shell runs it."""
    command = re.search(r"(iconv|tr) -.*", str(error)).group()
    subprocess.run(["sh", "-c", command], cwd=folder, check="-c " not in command, capture_output=True)
    return read_text(folder / "utf8.txt")


PROSE = "“Don’t,” she said — naïve café.\n" * 9


@pytest.mark.skipif(shutil.which("iconv") is None, reason="needs iconv")
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", PROSE),
        ("latin1", "na\xefve caf\xe9 \xab \xbb\n" * 9),
        ("utf-16", PROSE),
        ("utf-16-le", PROSE),
        ("utf-16-be", PROSE),
        ("utf-32", PROSE),
        ("utf-32-le", PROSE),
        ("utf-32-be", PROSE),
        ("shift_jis", "吾輩は猫である。名前はまだ無い。\n" * 9),
    ],
)
def test_the_command_that_the_message_names_gives_the_right_text(tmp_path, encoding, text):
    file = tmp_path / "a text's file.txt"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as caught:
        read_text(file)
    assert followed(caught.value, tmp_path) == text
    assert len(str(caught.value)) < 900


def test_other_readings_of_the_place_are_shown(tmp_path):
    file = tmp_path / "russian.txt"
    file.write_bytes("Привет, мир!\n".encode("cp1251") * 20)
    with pytest.raises(DataError, match=r"cp1251 +'Привет, мир"):
        read_text(file)


def test_stray_nuls_are_named_by_place_and_can_be_left_out(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes("über line\nsecond li\0ne\nthird\n".encode())
    with pytest.raises(DataError, match=r"1 NUL in it, the first in line 2, column 10: byte 20 is 0x00") as caught:
        read_text(file)
    assert followed(caught.value, tmp_path) == "über line\nsecond line\nthird\n"


@pytest.mark.skipif(shutil.which("iconv") is None, reason="needs iconv")
@pytest.mark.parametrize("content", ["naïve é ".encode() * 20 + b"\xc3", "naïve é ".encode() * 20 + b"\xff ab"])
def test_damaged_utf8_is_not_taken_for_another_encoding(tmp_path, content):
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    with pytest.raises(
        DataError, match=r"The rest is UTF-8: 1 damaged place, the first in line 1, column 161"
    ) as caught:
        read_text(file)
    assert followed(caught.value, tmp_path).startswith("naïve é " * 20)


def test_bytes_that_are_no_text(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match=r"not text but binary: byte 0 is 0x00.\nGive a text file"):
        read_text(file)


def test_messages_about_large_vocabularies_are_short():
    large = Vocabulary("".join(map(chr, range(0x4E00, 0x4E00 + 3600))))
    with pytest.raises(DataError, match=r"vocabulary of 3600 characters: '.{100}' …\. Leave it out") as caught:
        large.encode("一a")
    assert len(str(caught.value)) < 300
    assert len(repr(large)) < 200


@pytest.mark.parametrize(
    ("symbols", "text", "form"),
    [
        ("abc'", "’", '"\'"'),
        ("abe", "é", "'e'"),
        ("abc", "A", "'a'"),
        ("é", "E\u0301"[:1], ""),
        ("fi", "ﬁ", "'fi'"),
        ("1 ", "\u00a0", "' '"),
    ],
)
def test_the_known_form_of_an_unknown_character_is_named(symbols, text, form):
    with pytest.raises(DataError, match=re.escape(f"It has {form}: write that" if form else "Leave it out")):
        Vocabulary(symbols).encode(text)
