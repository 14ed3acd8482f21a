from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.tca.asof import MICROS, look_up
from stocklean_exec.tca.market import FrameMarket
from stocklean_exec.tca.market_files import MarketFiles, ReadPlan, quote_files, trade_files
from stocklean_exec.tca.parquet import HashPart

NAMES = ["A", "B", "O'NEIL", "BRK B"]


def random_quotes(seed=1, rows=4_000):
    rng = np.random.default_rng(seed)
    mid = rng.integers(500, 1_000, rows) / 10
    half = rng.integers(-1, 4, rows) / 10  # some are crossed
    frame = pd.DataFrame(
        {
            "symbol": rng.choice(NAMES, rows),
            "quoted_at": pd.to_datetime(rng.integers(0, 86_400 * MICROS, rows), unit="us", utc=True),
            "bid": np.where(rng.random(rows) < 0.02, np.nan, mid - half),
            "ask": np.where(rng.random(rows) < 0.02, 0.0, mid + half),
            "delayed": rng.random(rows) < 0.02,
            "price": np.where(rng.random(rows) < 0.05, np.nan, mid),
            "volume": rng.integers(0, 100, rows).astype("float64"),
        }
    )
    return frame.drop_duplicates(["symbol", "quoted_at"])


LAYOUTS = {
    "by symbol": lambda frame: [frame.sort_values(["symbol", "quoted_at"])],
    "by time": lambda frame: [frame.sort_values("quoted_at")],
    "in no order": lambda frame: [frame],
    "one file a day, by symbol": lambda frame: [
        part.sort_values(["symbol", "quoted_at"]) for _, part in frame.groupby(frame["quoted_at"].dt.hour // 6)
    ],
    "files that overlap": lambda frame: [
        frame.iloc[::2].sort_values(["symbol", "quoted_at"]),
        frame.iloc[1::2].sort_values(["symbol", "quoted_at"]),
    ],
}


def write(frames, folder, time="TIMESTAMPTZ"):
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for number, frame in enumerate(frames):
            at = frame["quoted_at"].dt.tz_localize(None)
            connection.register("given", frame.assign(quoted_at=at))
            column = "timezone('UTC', quoted_at)" if "TZ" in time else "quoted_at"
            query = f"SELECT * REPLACE ({column}::{time} AS quoted_at) FROM given"  # noqa: S608 - a test's own
            connection.execute(f"COPY ({query}) TO '{folder}/part{number}.parquet' (FORMAT parquet)")
            connection.unregister("given")
    return folder


def lookups(seed=2, rows=500):
    rng = np.random.default_rng(seed)
    return pd.Series(rng.choice([*NAMES, "NONE"], rows)), rng.integers(-100, 90_000, rows) * MICROS


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch_bytes", [1, 1 << 30])
def test_files_in_any_layout_give_the_same_look_ups_as_a_frame(layout, batch_bytes, tmp_path):
    quotes = random_quotes()
    files = MarketFiles(write(LAYOUTS[layout](quotes), tmp_path / "quotes"), batch_bytes=batch_bytes)
    fields = ("mid", "bid", "ask", "state")
    from_frame, from_files = (look_up(market, *lookups(), fields) for market in (FrameMarket(quotes), files))
    for name in (*fields, "age"):
        np.testing.assert_array_equal(from_files[name], from_frame[name])
    assert np.isfinite(from_files["mid"]).sum() > 100


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("names", [["A"], ["B", "NONE"], ["A", "BRK B", "O'NEIL"], NAMES])
@pytest.mark.parametrize("hours", [(0, 24), (6, 24), (7, 11), (5, 6), (23, 48), (30, 40)])
def test_files_give_the_rows_of_a_frame_for_any_symbols_and_window(layout, names, hours, tmp_path):
    # All symbols or few, files from end to end or in part: other rows are filtered by DuckDB or here.
    quotes = random_quotes(rows=400)
    files = MarketFiles(write(LAYOUTS[layout](quotes), tmp_path / "quotes"))
    start, end = (hour * 3_600 * MICROS for hour in hours)
    found, wanted = (
        {name: (times, *values) for name, times, values in market.series(names, ["bid", "ask"], start, end)}
        for market in (files, FrameMarket(quotes))
    )
    assert found.keys() == wanted.keys()
    for name, series in wanted.items():
        np.testing.assert_array_equal(found[name], series)


@pytest.mark.slow
def test_trades_with_renamed_columns_can_be_read(tmp_path):
    frame = random_quotes()
    frame.loc[frame.index[:4], "volume"] = [np.inf, -np.inf, np.nan, -1.0]  # which count as none
    folder = write([frame.sort_values(["symbol", "quoted_at"])], tmp_path)
    files = trade_files(folder, columns={"traded_at": "quoted_at"})
    frames = FrameMarket(frame.rename(columns={"quoted_at": "traded_at"}), "trades")
    one, two = (
        {name: (times, values) for name, times, values in market.series(NAMES, ["price", "volume"], 0, 2**62)}
        for market in (files, frames)
    )
    assert set(one) == set(two) == set(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(one[name][0], two[name][0])
        np.testing.assert_array_equal(one[name][1], two[name][1])
        assert np.isfinite(one[name][1][1]).all()


@pytest.mark.slow
def test_an_empty_time_is_refused_as_it_is_in_a_frame(tmp_path):
    quotes = random_quotes()
    quotes.loc[quotes.index[3], "quoted_at"] = pd.NaT
    files = quote_files(write([quotes], tmp_path))
    for market in (lambda: FrameMarket(quotes), lambda: list(files.series(["A"], ["mid"], 0, 2**62))):
        with pytest.raises(InputError, match="quoted_at is empty in 1 rows") as caught:
            market()
        assert caught.value.codes == ("time_missing",)


@pytest.mark.slow
def test_rows_with_equal_times_keep_their_sequence_across_files(tmp_path):
    # Two files of one symbol that overlap: at 14:00:05 the first file's quote comes first, so the second's stands.
    at = pd.Timestamp("2026-11-23 14:00", tz="UTC")
    first, second = (
        pd.DataFrame(
            {
                "symbol": "A",
                "quoted_at": [at + pd.Timedelta(seconds=second) for second in seconds],
                "bid": bids,
                "ask": bids,
            }
        )
        for seconds, bids in (([5, 10], [1.0, 2.0]), ([4, 5, 6], [3.0, 4.0, 5.0]))
    )
    files = quote_files(write([first, second], tmp_path))
    ((_, times, (bid,)),) = files.series(["A"], ["bid"], 0, 2**62)
    assert ((times - times[0]) // MICROS).tolist() == [0, 1, 1, 2, 6]
    assert bid.tolist() == [3.0, 1.0, 4.0, 5.0, 2.0]


@pytest.mark.slow
def test_only_the_requested_window_and_symbols_are_read(tmp_path):
    files = quote_files(write([random_quotes()], tmp_path))
    found = list(files.series(["B"], ["mid"], 3_600 * MICROS, 7_200 * MICROS))
    assert [name for name, _, _ in found] == ["B"]
    times = found[0][1]
    assert times.min() >= 3_600 * MICROS
    assert times.max() <= 7_200 * MICROS
    assert list(files.series([], ["mid"], 0, 1)) == []
    assert list(files.series(["B"], ["mid"], 1, 0)) == []


@pytest.mark.slow
def test_the_query_names_the_window_and_the_symbols(tmp_path):
    # What makes fifty orders against fifty million quotes cheap: nothing else is read.
    files = quote_files(write([random_quotes()], tmp_path))
    end = 60_000 * MICROS
    plan = files._plan_read(["A", "O'NEIL"], 0, end)
    assert plan == ReadPlan([f"{tmp_path}/part0.parquet"], 4_000, mixed=True)
    query = files._query(["A", "O'NEIL"], ["mid"], 0, end, plan, HashPart(0, 16))
    assert "IN ('A', 'O''NEIL')" in query
    assert "BETWEEN TIMESTAMPTZ '1970-01-01 00:00:00+00:00' AND TIMESTAMPTZ '1970-01-01 16:40:00+00:00'" in query
    plan = files._connection.execute(f"EXPLAIN {query}").fetchall()[0][1]
    assert "Filters" in plan
    assert "JOIN" not in plan


@pytest.mark.slow
def test_times_without_a_zone_need_the_option(tmp_path):
    quotes = random_quotes().drop(columns="delayed")
    folder = write([quotes], tmp_path, time="TIMESTAMP")
    with pytest.raises(InputError) as caught:
        quote_files(folder)
    assert caught.value.codes == ("naive_time",)
    shifted = quotes.assign(quoted_at=quotes["quoted_at"] + pd.Timedelta(hours=5))  # New York in winter
    symbols, at = lookups()
    found = look_up(quote_files(folder, time_zone="America/New_York"), symbols, at)
    np.testing.assert_array_equal(found["mid"], look_up(FrameMarket(shifted), symbols, at)["mid"])


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
@pytest.mark.parametrize("layout", ["by symbol", "one file a day, by symbol"])
@pytest.mark.parametrize("hours", [(0, 24), (20, 21), (1, 4), (24, 29)])
def test_a_window_is_converted_to_the_local_time_of_the_files(zone, layout, hours, tmp_path):
    # The files' statistics are of the wall's clock: at three in the afternoon in New York it is eight in London.
    quotes = random_quotes(rows=400)
    quotes["quoted_at"] += pd.Timedelta(days=300)
    folder = write(LAYOUTS[layout](quotes), tmp_path, time="TIMESTAMP")
    wall = quotes["quoted_at"].dt.tz_localize(None).dt.tz_localize(zone).dt.tz_convert("UTC")
    day = wall.min().normalize().value // 1_000
    start, end = (day + hour * 3_600 * MICROS for hour in hours)
    found, wanted = (
        {name: (times, *values) for name, times, values in market.series(NAMES, ["bid"], start, end)}
        for market in (quote_files(folder, time_zone=zone), FrameMarket(quotes.assign(quoted_at=wall)))
    )
    assert found.keys() == wanted.keys()
    for name, series in wanted.items():
        np.testing.assert_array_equal(found[name], series)


@pytest.mark.slow
@pytest.mark.parametrize(("time", "zone"), [("TIMESTAMPTZ_NS", None), ("TIMESTAMP_NS", "UTC")])
def test_times_in_nanoseconds_are_read_as_microseconds(time, zone, tmp_path):
    # Nanoseconds are what pandas before 3.0 wrote, and what pyarrow writes of such frames still.
    quotes = random_quotes()
    folder = write([quotes], tmp_path, time=time)
    assert duckdb.sql(f"DESCRIBE FROM '{folder}/*.parquet'").fetchall()[1][1].startswith(time)
    for hours in ((0, 24), (7, 11)):
        start, end = (hour * 3_600 * MICROS for hour in hours)
        found, wanted = (
            {name: (times, *values) for name, times, values in market.series(NAMES, ["bid"], start, end)}
            for market in (quote_files(folder, time_zone=zone), FrameMarket(quotes))
        )
        assert found.keys() == wanted.keys()
        for name, series in wanted.items():
            np.testing.assert_array_equal(found[name], series)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda folder: folder / "nothing", "file_missing"),
        (lambda folder: folder / "*.csv", "parquet_format"),
        (lambda folder: write([random_quotes().rename(columns={"bid": "b"})], folder / "names"), "missing_column"),
        (
            lambda folder: write([random_quotes().rename(columns={"bid": "quoted_at_"})], folder / "x"),
            "missing_column",
        ),
    ],
)
def test_missing_files_or_columns_are_errors(change, code, tmp_path):
    with pytest.raises(InputError) as caught:
        quote_files(change(tmp_path))
    assert caught.value.codes == (code,)


@pytest.mark.slow
def test_a_time_that_is_a_number_is_refused(tmp_path):
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 'A' AS symbol, 5 AS quoted_at, 1.0 AS bid, 2.0 AS ask) TO '{tmp_path}/q.parquet'"
        )
    with pytest.raises(InputError) as caught:
        quote_files(tmp_path / "q.parquet")
    assert caught.value.codes == ("time_dtype",)


@pytest.mark.slow
def test_only_files_that_the_window_touches_are_read(tmp_path):
    parts = LAYOUTS["one file a day, by symbol"](random_quotes())
    folder = write(parts, tmp_path)
    files, hour = quote_files(folder), 3_600 * MICROS
    assert files._plan_read(["A"], 13 * hour, 14 * hour) == ReadPlan(
        [f"{folder}/part2.parquet"], len(parts[2]), mixed=True
    )
    assert files._plan_read(["A"], 6 * hour, 24 * hour).files == [
        f"{folder}/part{part}.parquet" for part in (1, 2, 3)
    ]
    assert files._plan_read(["A"], 48 * hour, 72 * hour) == ReadPlan([], 0)


@pytest.mark.slow
def test_the_query_has_no_filter_if_nearly_all_rows_are_requested(tmp_path):
    files, day = quote_files(write([random_quotes()], tmp_path)), 86_400 * MICROS
    place = [f"{tmp_path}/part0.parquet"]
    assert files._plan_read(["A", "B", "BRK B"], 0, day) == ReadPlan(
        place, 4_000, ["A", "B", "BRK B", "O'NEIL"], mixed=True
    )
    assert files._plan_read(["A", "B"], 0, day) == ReadPlan(place, 4_000, mixed=True)
    assert files._plan_read(NAMES, 3_600 * MICROS, day) == ReadPlan(place, 4_000, mixed=True)
    query = files._query(["A", "B"], ["mid"], 0, day, files._plan_read(NAMES, 0, day), HashPart(0, 16))
    assert query.endswith("WHERE \"symbol\" BETWEEN 'A' AND 'B'")


@pytest.mark.slow
@pytest.mark.parametrize(("order", "mixed"), [("symbol, quoted_at", False), ("quoted_at", True)])
def test_files_with_interleaved_symbols_are_read_in_fewer_batches(order, mixed, tmp_path):
    names = [f"S{number}" for number in range(8)]
    rows = (
        "SELECT 'S' || (n % 8) AS symbol, make_timestamptz(n * 1_000_000) AS quoted_at, "  # noqa: S608 - a test's own
        f"n::DOUBLE + 1 AS bid, bid AS ask FROM range(40_000) r(n) ORDER BY {order}"
    )
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({rows}) TO '{tmp_path}/q.parquet' (ROW_GROUP_SIZE 2048)")
    files = MarketFiles(tmp_path, batch_bytes=40_000 * 8 * 3 // 8)  # room for one symbol
    assert files._plan_read(names, 0, 2**52).mixed is mixed
    batches = []
    files._read = lambda part, *rest: batches.append(part) or MarketFiles._read(files, part, *rest)
    found = {name: bid for name, _, (bid,) in files.series(names, ["bid"], 0, 2**52)}
    assert [len(part) for part in batches] == ([4, 4] if mixed else [1] * 8)
    for number, name in enumerate(names):
        np.testing.assert_array_equal(found[name], np.arange(number, 40_000, 8) + 1)


@pytest.mark.slow
def test_a_file_whose_name_looks_like_a_pattern_is_read(tmp_path):
    quotes = random_quotes()
    write([quotes], tmp_path)
    (tmp_path / "part0.parquet").rename(tmp_path / "part[0].parquet")
    files = quote_files(tmp_path)
    for start, end in ((0, 86_400 * MICROS), (3_600 * MICROS, 7_200 * MICROS)):
        found, wanted = (
            list(market.series(["A"], ["bid"], start, end)) for market in (files, FrameMarket(quotes))
        )
        np.testing.assert_array_equal(found[0][1], wanted[0][1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["quotes", "trades"])
def test_an_exact_file_name_takes_precedence_over_a_pattern_match(kind, tmp_path):
    mine, other = random_quotes(seed=1), random_quotes(seed=2)
    write([mine], tmp_path)
    (tmp_path / "part0.parquet").rename(tmp_path / "q[1].parquet")
    write([other], tmp_path)
    (tmp_path / "part0.parquet").rename(tmp_path / "q1.parquet")
    make = quote_files if kind == "quotes" else trade_files
    columns = {} if kind == "quotes" else {"traded_at": "quoted_at"}
    field = "bid" if kind == "quotes" else "volume"
    for name, frame in (("q[1].parquet", mine), ("q1.parquet", other), ("q[1]*", mine)):
        if name == "q[1]*":
            (tmp_path / "q1.parquet").rename(tmp_path / "q2.parquet")
            (tmp_path / "q[1].parquet").rename(tmp_path / "q1.parquet")  # now a pattern, for nothing has that name
        market = FrameMarket(
            frame.rename(columns={"quoted_at": f"{kind[:-1]}d_at"} if kind == "trades" else {}), kind
        )
        ((_, times, (values,)),) = make(tmp_path / name, columns=columns).series(["A"], [field], 0, 2**62)
        ((_, wanted_times, (wanted,)),) = market.series(["A"], [field], 0, 2**62)
        np.testing.assert_array_equal(times, wanted_times)
        np.testing.assert_array_equal(values, wanted)


def test_the_list_of_files_is_fixed_when_they_are_opened(tmp_path):
    quotes = random_quotes()
    files = quote_files(write([quotes], tmp_path))
    (tmp_path / "later.parquet").write_bytes((tmp_path / "part0.parquet").read_bytes())
    assert files._plan_read(["A"], 0, 86_400 * MICROS).files == [f"{tmp_path}/part0.parquet"]


@pytest.mark.slow
def test_files_that_change_while_they_are_read_are_an_error(tmp_path):
    quotes = random_quotes()
    files = quote_files(write([quotes[quotes["symbol"] != "B"]], tmp_path))
    plan = files._plan_read(NAMES, 0, 86_400 * MICROS)
    assert plan.present == ["A", "BRK B", "O'NEIL"]
    files = quote_files(write([quotes], tmp_path))
    with pytest.raises(InputError, match="the files changed while they were read") as caught:
        files._read(NAMES, ["mid"], 0, 86_400 * MICROS, plan)
    assert caught.value.codes == ("parquet_changed",)


@pytest.mark.slow
def test_damaged_files_are_an_error(tmp_path):
    folder = write([random_quotes(rows=100_000).sort_values(["symbol", "quoted_at"])], tmp_path)
    file = folder / "part0.parquet"
    damaged = bytearray(file.read_bytes())
    damaged[1_000:-20_000] = bytes(len(damaged) - 21_000)
    file.write_bytes(damaged)
    with pytest.raises(InputError) as caught:
        list(quote_files(folder).series(NAMES, ["mid"], 0, 86_400 * MICROS))
    assert caught.value.codes == ("parquet_format",)


@pytest.mark.slow
def test_more_symbols_than_fit_one_batch_can_be_read(tmp_path):
    names = [f"S{number:03d}" for number in range(400)]
    frame = random_quotes().head(400).assign(symbol=names)
    files = MarketFiles(write([frame.sort_values("quoted_at")], tmp_path))
    found = {name: bid for name, _, (bid,) in files.series(names, ["bid"], 0, 2**62)}
    wanted = {name: bid for name, _, (bid,) in FrameMarket(frame).series(names, ["bid"], 0, 2**62)}
    assert set(found) == set(wanted) == set(names)
    for name in names:
        np.testing.assert_array_equal(found[name], wanted[name])
