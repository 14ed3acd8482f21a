"""Bad files: what is read, what is refused, and with which code; the list is ``tests/bad_inputs/files.py``."""

import duckdb
import pytest

import stocklean_exec as sx
from tests.bad_inputs.files import FILES, PARQUET


@pytest.mark.slow
@pytest.mark.parametrize(("content", "code"), [pytest.param(*rest, id=name) for name, *rest in FILES])
def test_files_are_read_or_refused_with_a_hint(tmp_path, content, code):
    file = tmp_path / "targets.csv"
    file.write_bytes(content)
    if code is None:
        assert sx.read_targets(file)[["symbol", "weight"]].to_numpy().tolist() == [["SPY", 1.0]]
        return
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(file)
    assert caught.value.codes == (code,)


@pytest.mark.parametrize("symbol", ["NA", "TRUE", "NAN", "INF", "NULL", "1E5", "MAR"])
def test_symbols_that_look_like_something_else_stay_symbols(tmp_path, symbol):
    (tmp_path / "t.csv").write_text(f"symbol,weight\n{symbol},1\n")
    assert sx.read_targets(tmp_path / "t.csv")["symbol"].tolist() == [symbol]


@pytest.mark.parametrize("path", ["nowhere.csv", "x" * 5_000, "symbol,weight\nSPY,1\n", ".", "a\0b"])
def test_a_path_without_a_file_is_an_error(path):
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(path)
    assert caught.value.codes == ("file_missing",)


@pytest.mark.slow
@pytest.mark.parametrize(("query", "code"), [pytest.param(*rest, id=name) for name, *rest in PARQUET])
def test_a_parquet_file_has_bounds(tmp_path, query, code):
    file = tmp_path / "targets.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet)")
    if code is None:
        assert len(sx.read_targets(file)) in (1, 20_000)
        return
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(file)
    assert caught.value.codes == (code,)


def test_a_file_that_is_not_parquet_is_an_error(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"symbol,weight\nSPY,1\n")
    with pytest.raises(sx.InputError) as caught:
        sx.read_targets(tmp_path / "t.parquet")
    assert caught.value.codes == ("parquet_format",)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("l.toml", "max_gross = ", "limits_format"),
        ("l.json", "[1]", "limits_format"),
        ("l.toml", "x = 1", "limit_unknown"),
    ],
)
def test_unreadable_limits_are_an_error(tmp_path, name, text, code):
    (tmp_path / name).write_text(text)
    with pytest.raises(sx.InputError) as caught:
        sx.read_limits(tmp_path / name)
    assert caught.value.codes == (code,)
