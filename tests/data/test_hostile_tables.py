"""Tables that would give wrong numbers without a word: read rightly, or refused by line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyseq import data
from tinyseq.errors import DataError


def table(folder: Path, text: str, **options: Any) -> data.Sequences:
    path = folder / "t.csv"
    path.write_text(text, "utf-8")
    return data.csv(path, **options)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b,y\n1_000,1,2.5\n2,3,5.5\n", {}, r"line 2, column 'a' is '1_000' where a number is expected"),
        ("g,t,a,y\nA,2,1,2.5\nA,1,3,4.5\n", {"group": "g", "sort": True}, r"sort=True \(--sort\) sorts by the times"),
        ("g,a,y\nA,1,u\n,2,u\n,3,v\n", {"group": "g"}, r"line 3, column 'g', the group, is empty"),
        ("a,b,y\n1,2,u\n2,3,v\n", {"features": ["a", "a"]}, r"'a' is named twice"),
        ("t,a,y\n2024-01-01T12:00,1,2.5\n2024-01-01T13:00+02:00,2,5.5\n", {"time": "t"},
         r"line 3, column 't': .* is a date of a time zone, '2024-01-01T12:00' \(line 2\) is a date"),
        ("t,a,y\n2024,1,2.5\n2024-05-01,2,5.5\n", {"time": "t"},
         r"line 3, column 't': .* is a date, '2024' .* a number"),
        ("t,a,y\n2024-01-01T12:00+00:00,1,2.5\n2024-01-01T13:00+02:00,2,5.5\n", {"time": "t"}, r"times run backwards"),
        ("s,y\n1700000000,1.5\n1700000030,2.5\n1700000060,3.5\n", {},
         r"column 's' holds numbers that float32 cannot tell apart, from 1700000000 to 1700000060"),
        ("a,y\n1,1700000000.25\n2,1700000030.5\n3,1700000060.5\n", {}, r"column 'y' holds numbers that float32 cannot"),
        ("a,y\n1,1.5\n2,-\n3,2.5\n4,3.5\n", {}, r"line 3, column 'y', the target, is missing \('-'\)"),
        ("a,y\n1,1\n2,b\n3,2\n", {"reals": True}, r"line 3, column 'y', the target, is 'b' where a number is expected"),
        ("a,b,y\n1,2,3.5\n,3,4.5\n", {"missing": "mask", "flagged": ["b"]},
         r"line 3, column 'a' is missing \(''\); where the model learned none was"),
    ],
)  # fmt: skip
def test_what_would_be_wrong_in_silence_is_refused(text: str, options: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        table(tmp_path, text, **options)


def test_times_of_zones_are_put_in_order_by_utc(tmp_path: Path) -> None:
    text = "t,a,y\n2024-01-01T12:00+02:00,1,2.5\n2024-01-01T09:30Z,2,3.5\n2024-01-01T11:00+00:00,3,5.5\n"
    assert table(tmp_path, text, time="t", sort=True).x[0][:, 0].tolist() == [2, 1, 3]


def test_numbers_that_are_told_apart_are_read(tmp_path: Path) -> None:
    """A constant that float32 has not exactly, whole numbers wide apart."""
    found = table(tmp_path, "a,b,y\n0.1,12345678901234567,2.5\n0.1,5,3.5\n0.1,20000000,4.5\n")
    np.testing.assert_array_equal(found.x[0], np.float32([[0.1, 12345678901234567], [0.1, 5], [0.1, 2e7]]))


def test_names_with_other_separators_in_quotes(tmp_path: Path) -> None:
    found = table(tmp_path, '"a,b,c,d";y\n1;2,5\n3;4,5\n')
    assert found.features == ("a,b,c,d",) and found.y[0].tolist() == [[2.5], [4.5]]


def test_what_another_file_misses_stands_in_the_features_of_the_first(tmp_path: Path) -> None:
    """Trained where b had gaps: other files have that feature too, whatever they miss."""
    first = table(tmp_path, "a,b,y\n1,2,3.5\n1,,4.5\n", missing="mask")
    assert first.features == ("a", "b", "b is missing") and first.about["flagged"] == ["b"]
    for text, expected in {
        "a,b,y\n1,2,3.5\n4,5,4.5\n": [[1, 2, 0], [4, 5, 0]],
        "a,b,y\n1,,3.5\n4,5,4.5\n": [[1, 0, 1], [4, 5, 0]],
    }.items():
        other = table(tmp_path, text, missing="mask", flagged=first.about["flagged"])
        assert other.features == first.features and other.x[0].tolist() == expected


def test_whole_numbers_are_reals_where_the_model_learned_reals(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"{k},{k % 2}\n" for k in range(10))
    assert table(tmp_path, text).classified
    assert table(tmp_path, text, reals=True).y[0].ravel().tolist() == [0, 1] * 5
    lines = tmp_path / "t.jsonl"
    lines.write_text("".join(f'{{"x": [{k}], "y": {k % 2}}}\n' for k in range(4)))
    assert data.json_lines(lines).classified
    assert data.json_lines(lines, reals=True).y.ravel().tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("number", ["1e300", "1" + "0" * 400, "NaN", "[1.5, 1e300]"])
def test_a_real_of_json_that_no_float_holds_names_its_line(number: str, tmp_path: Path) -> None:
    lines = tmp_path / "t.jsonl"
    listed = number.startswith("[")
    first = '{"x": [1, 2], "y": [1.5, 2.5]}' if listed else '{"x": [1], "y": 1.5}'
    lines.write_text(f'{first}\n{{"x": [1, 2], "y": {number}}}\n')
    with pytest.raises(DataError, match=r"line 2, key 'y': .* is no finite number, or too large for float32"):
        data.json_lines(lines)
