"""Tables out of files."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.schema.files import read_positions, read_quotes, read_targets
from stocklean_exec.schema.tables import QUOTES

WHEN = pd.Timestamp("2026-11-23 14:30", tz="UTC")


def test_targets_from_csv(tmp_path):
    file = tmp_path / "targets.csv"
    file.write_text(
        "symbol, weight, order_type, limit_price, sector\nSPY, 0.6, LMT, 400.5, index\nbrk.b, 4e-1,,,\n"
    )
    frame = read_targets(file)
    assert frame["symbol"].tolist() == ["SPY", "BRK B"]
    assert frame["weight"].tolist() == [0.6, 0.4]
    assert frame["order_type"].tolist() == ["LMT", "MKT"]
    assert frame["limit_price"].tolist()[0] == 400.5
    assert frame["limit_price"].isna().tolist() == [False, True]
    assert frame["sector"].tolist() == ["index", ""]


def test_a_path_can_be_text(tmp_path):
    (tmp_path / "t.csv").write_text("symbol,weight\nSPY,1\n")
    assert read_targets(str(tmp_path / "t.csv"))["symbol"].tolist() == ["SPY"]


def test_shorts_leverage_and_zeros_are_accepted_when_reading_targets():
    assert read_targets({"A": 1.5, "B": -0.5})["weight"].tolist() == [1.5, -0.5]
    assert read_targets({"A": 0.0})["weight"].tolist() == [0.0]


def test_positions_from_csv(tmp_path):
    (tmp_path / "p.csv").write_text("symbol,quantity,avg_cost,con_id\nSPY,-12,399.5,756733\n")
    row = read_positions(tmp_path / "p.csv").iloc[0]
    assert row[["symbol", "quantity", "avg_cost", "con_id"]].tolist() == ["SPY", -12.0, 399.5, 756733]


def test_quotes_from_csv(tmp_path):
    (tmp_path / "q.csv").write_text("symbol,bid,ask,quoted_at\nSPY,399.9,400.1,2026-11-23T09:30:00-05:00\n")
    row = read_quotes(tmp_path / "q.csv").iloc[0]
    assert row[["bid", "ask"]].tolist() == [399.9, 400.1]
    assert row["quoted_at"] == WHEN


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "time"), [("q.parquet", "TIMESTAMPTZ"), ("q.PQ", "TIMESTAMPTZ"), ("q.parquet", "TIMESTAMPTZ_NS")]
)
def test_quotes_from_parquet(tmp_path, name, time):
    quotes = QUOTES.conform(pd.DataFrame({"symbol": ["A", "B"], "last": [1.5, 2.5], "quoted_at": [WHEN, pd.NaT]}))
    with duckdb.connect() as connection:
        connection.register("quotes", quotes)
        columns = f"* REPLACE (quoted_at::{time} AS quoted_at)"
        query = f"COPY (SELECT {columns} FROM quotes) TO '{tmp_path / name}' (FORMAT parquet)"  # noqa: S608 - a test's own
        connection.execute(query)
    found = read_quotes(tmp_path / name)
    assert found["last"].tolist() == [1.5, 2.5]
    assert found["quoted_at"].tolist()[0] == WHEN
    assert found["quoted_at"].isna().tolist() == [False, True]


READERS = [
    (read_targets, "weight", 0.25, 0.75),
    (read_positions, "quantity", 3.0, 7.0),
    (read_quotes, "last", 30.0, 70.0),
]


def parquet_of(file, column, value, symbol="A"):
    rows = f"SELECT '{symbol}' AS symbol, {value}::DOUBLE AS {column}, NULL::TIMESTAMPTZ AS quoted_at"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({rows}) TO '{file}' (FORMAT parquet)")
    return file


@pytest.mark.slow
@pytest.mark.parametrize(("read", "column", "mine", "other"), READERS)
@pytest.mark.parametrize("name", ["t[1].parquet", "t*.parquet", "t?.parquet", "[t].parquet", "t[!x]].parquet"])
def test_a_parquet_file_is_read_by_its_exact_name(tmp_path, monkeypatch, name, read, column, mine, other):
    for neighbour in ("t1", "t", "ta", "t]"):
        parquet_of(tmp_path / f"{neighbour}.parquet", column, other)
    parquet_of(tmp_path / name, column, mine)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, str(tmp_path / name), name):
        assert read(path)[column].tolist() == [mine]


@pytest.mark.parametrize(("read", "column", "mine", "other"), READERS)
@pytest.mark.parametrize("name", ["t[1].parquet", "t*.parquet", "t?.parquet", "**/*.parquet"])
def test_a_glob_pattern_is_not_read_as_files(tmp_path, name, read, column, mine, other):
    parquet_of(tmp_path / "t1.parquet", column, other)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert caught.value.codes == ("file_missing",)


def test_folder_names_like_partitions_add_or_change_no_columns(tmp_path):
    (tmp_path / "symbol=B" / "weight=1").mkdir(parents=True)
    frame = read_targets(parquet_of(tmp_path / "symbol=B" / "weight=1" / "t.parquet", "weight", 0.5))
    assert frame[["symbol", "weight"]].to_numpy().tolist() == [["A", 0.5]]


MEASURED = """
import sys
import stocklean_exec as sx

def peak():
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

sx.read_targets(sys.argv[1])
before = peak()
try:
    sx.read_targets(sys.argv[2])
except sx.InputError as error:
    print(error.codes[0], str(error).splitlines()[1].strip(), peak() - before, sep="|")
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory as Linux counts it")
def test_a_parquet_file_of_too_many_rows_is_refused_without_reading_them(tmp_path):
    small, large = parquet_of(tmp_path / "small.parquet", "weight", 0.5), tmp_path / "large.parquet"
    with duckdb.connect() as connection:
        rows = "SELECT 'A' AS symbol, 0.1 AS weight FROM range(20_000_000)"
        connection.execute(f"COPY ({rows}) TO '{large}' (FORMAT parquet, ROW_GROUP_SIZE 1_000_000)")
    assert large.stat().st_size < 50_000  # and 300 MB as arrays, before any text
    child = subprocess.run(
        [sys.executable, "-c", MEASURED, str(small), str(large)], capture_output=True, text=True, check=True
    )
    code, detail, grown = child.stdout.strip().split("|")
    assert code == "too_many_rows"
    assert detail == "20,000,000 rows; the maximum is 20,000 [too_many_rows]"
    assert float(grown) < 60  # MiB


def test_an_error_names_the_row_of_the_file(tmp_path):
    (tmp_path / "t.csv").write_text('symbol,weight\nSPY,0.1\nTLT,"1,000.5"\n')
    with pytest.raises(InputError) as caught:
        read_targets(tmp_path / "t.csv")
    assert [(problem.row, problem.column) for problem in caught.value.problems] == [(1, "weight")]
    (tmp_path / "t.csv").write_text("symbol,weight\nSPY,0.1\nTLT\n")
    with pytest.raises(InputError, match="line 3 has 1 cells, the header has 2"):
        read_targets(tmp_path / "t.csv")


FUND = """Fund of something
Holdings as of,"Nov 20, 2026"
\u00a0
Ticker,Name,Weight (%)
AAPL,Apple,60.0
MSFT,Microsoft,40.0
"""


def test_lines_above_the_header_are_one_problem_that_says_what_to_do(tmp_path):
    (tmp_path / "fund.csv").write_text(FUND, encoding="utf-8-sig")
    with pytest.raises(InputError) as caught:
        read_targets(tmp_path / "fund.csv")
    assert [problem.code for problem in caught.value.problems] == ["csv_preamble"]
    assert "has 3 lines above its header, 'Ticker,Name,Weight (%)': remove them, or give skiprows=3" in str(
        caught.value
    )


def test_lines_above_the_header_are_skipped_and_line_numbers_are_those_of_the_file(tmp_path):
    text = FUND.replace("Ticker,Name,Weight (%)", "symbol,name,weight").replace("0.0", "")
    (tmp_path / "fund.csv").write_text(text.replace(",6", ",0.6").replace(",4", ",0.4"), encoding="utf-8-sig")
    assert read_targets(tmp_path / "fund.csv", skiprows=3)["weight"].tolist() == [0.6, 0.4]
    (tmp_path / "fund.csv").write_text(text + "one cell\n", encoding="utf-8-sig")
    with pytest.raises(InputError, match="line 7 has 1 cells, the header has 3"):
        read_targets(tmp_path / "fund.csv", skiprows=3)


def test_a_statement_of_many_sections_is_one_problem(tmp_path):
    lines = ["Statement,Header,Field Name,Field Value", "Statement,Data,Title,x"]
    lines += ["Positions,Data,Order,Stocks,USD,AAPL,100"] * 200
    (tmp_path / "p.csv").write_text("\n".join(lines))
    with pytest.raises(
        InputError, match="is not a table with a header: line 1 has 4 cells, and 200 other"
    ) as caught:
        read_positions(tmp_path / "p.csv")
    assert len(caught.value.problems) == 1


def test_a_file_with_its_header_on_top_lists_the_wrong_lines(tmp_path):
    (tmp_path / "t.csv").write_text("symbol,weight\nA,0.5,x\nB\n")
    with pytest.raises(InputError) as caught:
        read_targets(tmp_path / "t.csv")
    assert caught.value.codes == ("csv_format",)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("skiprows", [-1, "3", 1.0e9])
def test_a_number_of_lines_that_is_none_is_refused(tmp_path, skiprows):
    (tmp_path / "t.csv").write_text("symbol,weight\nA,1\n")
    with pytest.raises(InputError, match="skiprows"):
        read_targets(tmp_path / "t.csv", skiprows=skiprows)
    with pytest.raises(InputError, match="skiprows is for CSV files"):
        read_targets({"A": 1.0}, skiprows=1)


def test_a_csv_file_of_many_columns_is_one_problem(tmp_path):
    head, row = ",".join(f"c{number}" for number in range(50_000)), ",".join("1" for _ in range(50_000))
    (tmp_path / "t.csv").write_text(f"symbol,weight,{head}\nA,1,{row}\n")
    with pytest.raises(InputError, match="50,002 columns; the maximum is 1,000") as caught:
        read_targets(tmp_path / "t.csv")
    assert len(caught.value.problems) == 1


def test_a_frame_of_many_columns_is_one_problem():
    frame = pd.DataFrame([["A", 1.0, *range(1_000)]], columns=["symbol", "weight", *map(str, range(1_000))])
    with pytest.raises(InputError) as caught:
        read_targets(frame)
    assert caught.value.codes == ("too_many_columns",)
    assert read_targets(frame.iloc[:, :1_000])["weight"].tolist() == [1.0]


def test_a_column_that_a_file_has_twice_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("symbol,weight,weight,note,note,note\nA,1,0.5,x,y,z\n")
    with pytest.raises(InputError) as caught:
        read_targets(tmp_path / "t.csv")
    assert [(problem.code, problem.column, problem.detail) for problem in caught.value.problems] == [
        ("duplicate_column", "weight", "column 'weight' appears 2 times"),
        ("duplicate_column", "note", "column 'note' appears 3 times"),
    ]
