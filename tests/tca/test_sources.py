from __future__ import annotations

from datetime import timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.tca.inputs import executed_by_order, keyed_orders
from stocklean_exec.tca.sources import read_executed, read_frame, trade_record

AT = pd.Timestamp("2026-11-23 15:00", tz="UTC")


@pytest.fixture(scope="module")
def blotter():
    broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0, "BBB": 50.0, "CCC": 10.0}, cash=100_000)
    with sx.open_blotter() as opened:
        sx.rebalance({"AAA": 0.5, "BBB": 0.2}, broker, opened, run_id="one", approve="me", dry_run=False)
        sx.rebalance(
            {"AAA": 0.4, "BBB": 0.2, "CCC": 0.1}, broker, opened, run_id="two", approve="me", dry_run=False
        )
        yield opened


@pytest.mark.slow
def test_all_runs_one_run_or_several_runs_can_be_read(blotter):
    whole = trade_record(blotter)
    assert set(whole.runs["run_id"]) == {"one", "two"}
    one = trade_record(blotter, run_id="one")
    assert set(one.orders["run_id"]) == {"one"}
    assert set(one.fills["client_order_id"]) <= set(one.orders["client_order_id"])
    assert len(one.quotes) == len(blotter.quotes("one"))
    both = trade_record(blotter, run_id=["one", "two"])
    assert (
        len(both.orders) == len(whole.orders) == len(one.orders) + len(trade_record(blotter, run_id="two").orders)
    )
    assert repr(both) == f"<TradeRecord: 2 runs, {len(whole.orders)} orders, {len(whole.fills)} fills>"


@pytest.mark.slow
def test_a_record_can_be_selected_by_account_and_dates(blotter):
    account = blotter.orders()["account"].iloc[0]
    assert len(trade_record(blotter, account=account).orders) == len(blotter.orders())
    assert len(trade_record(blotter, account="other").fills) == 0
    decided = blotter.orders("two")["approved_at"].min()
    assert set(trade_record(blotter, since=decided).orders["run_id"]) == {"two"}
    assert set(trade_record(blotter, until=decided).orders["run_id"]) == {"one"}
    assert len(trade_record(blotter, since="2001-01-01").orders) == len(blotter.orders())
    assert len(trade_record(blotter, until="2001-01-01").orders) == 0


@pytest.mark.slow
def test_a_blotter_file_and_its_export_give_the_same_record(tmp_path):
    broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0}, cash=100_000)
    with sx.open_blotter(tmp_path / "b.duckdb") as opened:
        sx.rebalance({"AAA": 0.5}, broker, opened, run_id="one", approve="me", dry_run=False)
        opened.export(tmp_path / "tables")
        there = trade_record(opened)
        for source in (tmp_path / "b.duckdb", tmp_path / "tables"):
            found = trade_record(source)
            for name in ("orders", "fills", "runs", "events"):
                wanted = getattr(there, name)
                got = getattr(found, name)[wanted.columns]
                pd.testing.assert_frame_equal(got, wanted, check_dtype=False, check_categorical=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "options", "code"),
    [
        (None, {"run_id": "three"}, "run_unknown"),
        (None, {"since": "2026-11-23 10:00"}, "naive_time"),
        (None, {"since": 5}, "time_dtype"),
        (5, {}, "wrong_type"),
        ("nowhere.duckdb", {}, "blotter_missing"),
    ],
)
def test_an_unknown_run_or_source_is_an_error(blotter, source, options, code):
    with pytest.raises(InputError) as caught:
        trade_record(blotter if source is None else source, **options)
    assert caught.value.codes == (code,)


@pytest.mark.slow
def test_orders_that_ended_have_their_end_time():
    broker = sx.MockBroker(
        sx.read_quotes({"AAA": 100.0, "BBB": 50.0}),
        cash=100_000,
        fill_plan=pd.DataFrame([{"symbol": "BBB", "action": "cancel", "seconds": 2.0}]),
    )
    with sx.open_blotter() as opened:
        sx.rebalance({"AAA": 0.5, "BBB": 0.2}, broker, opened, run_id="one", approve="me", dry_run=False)
        orders = trade_record(opened).orders.set_index("symbol")
    assert orders.loc["AAA", "ended_at"] is pd.NaT
    assert orders.loc["BBB", "ended_at"] > orders.loc["BBB", "arrived_at"]


FILLS = pd.DataFrame(
    {
        "client_order_id": ["b", "a", "a"],
        "symbol": pd.Categorical(["B", "A", None]),
        "side": ["SELL", "BUY", "BUY"],
        "quantity": [5.0, 4.0, 6.0],
        "price": [49.5, 100.0, 110.0],
        "commission": [np.nan, 1.0, np.nan],
        "filled_at": [AT, AT + pd.Timedelta(seconds=2), AT + pd.Timedelta(seconds=1)],
        "perm_id": pd.array([1, None, 3], dtype="Int64"),
    }
)


def parquet(frame, file, time="TIMESTAMPTZ"):
    plain = frame.assign(filled_at=frame["filled_at"].dt.tz_localize(None)) if "filled_at" in frame else frame
    with duckdb.connect() as connection:
        connection.register("given", plain.astype({"symbol": "str"}))
        replaced = f"REPLACE (timezone('UTC', filled_at)::{time} AS filled_at)" if "filled_at" in frame else ""
        query = f"COPY (SELECT * {replaced} FROM given) TO '{file}' (FORMAT parquet)"  # noqa: S608 - a test's own
        connection.execute(query)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("time", ["TIMESTAMPTZ", "TIMESTAMPTZ_NS"])
def test_a_frame_read_from_parquet_equals_the_original(time, tmp_path):
    read = read_frame(parquet(FILLS, tmp_path / "f.parquet", time), "fills")
    assert isinstance(read["symbol"].dtype, pd.CategoricalDtype)
    wanted = FILLS.astype({"filled_at": "datetime64[us, UTC]", "client_order_id": "str"})
    pd.testing.assert_frame_equal(
        read.astype({"symbol": "str", "side": "str"}), wanted.astype({"symbol": "str", "side": "str"})
    )
    some = read_frame(tmp_path / "f.parquet", "fills", ["price", "nothing"])
    assert some.columns.tolist() == ["price"]
    assert read_frame(tmp_path / "f.parquet", "fills", []).shape == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("time", ["TIMESTAMPTZ", "TIMESTAMPTZ_NS"])
def test_fills_aggregated_in_a_file_equal_those_aggregated_in_a_frame(time, tmp_path):
    orders = keyed_orders(
        pd.DataFrame({"client_order_id": ["a", "b", "c"], "symbol": "X", "side": "BUY", "quantity": 10.0})
    )
    fills = FILLS.assign(q=7.0, p=7.0, paid=7.0)  # columns of one's own, whatever they are called
    in_file = executed_by_order(orders, read_executed(parquet(fills, tmp_path / "f.parquet", time)))
    pd.testing.assert_frame_equal(in_file, executed_by_order(orders, FILLS))
    bare = read_executed(
        parquet(FILLS[["client_order_id", "quantity", "price", "symbol"]], tmp_path / "g.parquet")
    )
    assert bare.table["commissions_due"].sum() == 3


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (FILLS.drop(columns="price"), "missing_column"),
        (FILLS.assign(quantity=[1.0, -1.0, 1.0]), "fill_quantity"),
        (FILLS.assign(quantity=[1.0, np.nan, 1.0]), "fill_quantity"),
    ],
)
def test_fills_that_cannot_be_aggregated_are_refused(frame, code, tmp_path):
    with pytest.raises(InputError) as caught:
        read_executed(parquet(frame, tmp_path / "f.parquet"))
    assert caught.value.codes == (code,)


@pytest.mark.parametrize("quantity", ["'nan'", "'inf'", "'-inf'", "0", "-0.5", "NULL"])
@pytest.mark.parametrize("with_orders", [False, True])
def test_an_invalid_quantity_is_refused_by_order_id(quantity, with_orders, tmp_path):
    # Statistics of Parquet files do not cover NaN: such a fill must be found in the sums.
    orders, fills = tmp_path / "o.parquet", tmp_path / "f.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT unnest(['a', 'b']) AS client_order_id) TO '{orders}'")
        connection.execute(
            "COPY (SELECT CASE WHEN i < 5000 THEN 'a' ELSE 'b' END AS client_order_id, 1.0::DOUBLE AS price, "  # noqa: S608 - a test's own
            f"CASE WHEN i = 7000 THEN {quantity}::DOUBLE ELSE 1.0::DOUBLE END AS quantity "
            f"FROM range(10_000) r(i)) TO '{fills}'"
        )
    with pytest.raises(InputError, match="b has fills whose quantity is not above zero") as caught:
        read_executed(fills, (orders, pd.Index(["a", "b"])) if with_orders else None)
    assert len(caught.value.problems) == 1


@pytest.mark.slow
def test_fills_matched_by_order_row_give_the_same_result(tmp_path):
    orders = pd.DataFrame({"client_order_id": ["c", "b", "a"], "symbol": "X", "side": "BUY", "quantity": 10.0})
    files = parquet(orders, tmp_path / "o.parquet"), parquet(FILLS, tmp_path / "f.parquet")
    pd.testing.assert_frame_equal(
        sx.completion(*files).drop(columns=["first_fill_seconds"]),
        sx.completion(orders, FILLS).drop(columns=["first_fill_seconds"]),
    )
    table = read_executed(files[1], (files[0], pd.Index(["c", "b", "a"]))).table
    assert table["fills"].tolist() == [0, 1, 2]
    assert table["filled_quantity"].tolist() == [0, 5, 10]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ids", "fills", "code"),
    [
        (["a"], FILLS, "orphan_exec"),
        (["a", "b", "b"], FILLS, "duplicate_client_order_id"),
        (["a", "b"], FILLS.assign(quantity=[1.0, 0.0, 1.0]), "fill_quantity"),
    ],
)
def test_inconsistent_files_are_refused_like_frames(ids, fills, code, tmp_path):
    orders = pd.DataFrame({"client_order_id": ids, "symbol": "X", "side": "BUY", "quantity": 10.0})
    with pytest.raises(InputError) as caught:
        sx.completion(parquet(orders, tmp_path / "o.parquet"), parquet(fills, tmp_path / "f.parquet"))
    assert caught.value.codes == (code,)


@pytest.mark.slow
@pytest.mark.parametrize("signs", ["[1]", "*", "?"])
def test_measures_read_the_files_of_exactly_the_given_names(signs, tmp_path):
    orders = pd.DataFrame({"client_order_id": ["a", "b"], "symbol": "X", "side": "BUY", "quantity": 10.0})
    mine = parquet(orders, tmp_path / f"o{signs}.parquet"), parquet(FILLS, tmp_path / f"f{signs}.parquet")
    parquet(orders.assign(quantity=1_000.0), tmp_path / "o1.parquet")
    parquet(FILLS.assign(quantity=1.0), tmp_path / "f1.parquet")
    done = sx.completion(*mine)
    assert done["quantity"].tolist() == [10.0, 10.0]
    assert done["filled_quantity"].tolist() == [10.0, 5.0]  # 4 + 6 and 5, and not one for each fill
    assert read_frame(mine[1], "fills")["quantity"].tolist() == [5.0, 4.0, 6.0]
    assert read_frame(mine[0], "orders")["quantity"].tolist() == [10.0, 10.0]


@pytest.mark.slow
def test_an_export_is_read_from_the_folder_of_exactly_the_given_name(tmp_path):
    for folder, run in (("week[1]", "mine"), ("week1", "other")):
        broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0}, cash=100_000)
        with sx.open_blotter() as opened:
            sx.rebalance({"AAA": 0.5}, broker, opened, run_id=run, approve="me", dry_run=False)
            assert opened.export(tmp_path / folder) == tmp_path / folder
    assert trade_record(tmp_path / "week[1]").runs["run_id"].tolist() == ["mine"]


def test_an_impossible_path_is_an_input_error():
    with pytest.raises(InputError) as caught:
        sx.completion("a\0b.parquet", FILLS)
    assert caught.value.codes == ("file_missing",)


def test_files_of_too_many_rows_are_refused_by_their_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr("stocklean_exec.tca.sources._MAX_ROWS", 2)
    file = parquet(FILLS, tmp_path / "f.parquet")
    with pytest.raises(InputError, match="3 rows; the maximum is 2") as caught:
        read_frame(file, "fills")
    assert caught.value.codes == ("too_many_rows",)
    assert read_executed(file).table["fills"].sum() == 3  # which reads totals only
    assert len(read_frame(parquet(FILLS.iloc[:2], tmp_path / "g.parquet"), "fills")) == 2


# -- tables of other libraries ----------------------------------------------------------------------------------


def test_tables_of_polars_and_arrow_give_what_frames_give():
    polars = pytest.importorskip("polars")
    arrow = pytest.importorskip("arro3.core")
    at = AT.to_pydatetime()
    orders = {
        "client_order_id": ["a", "b"],
        "symbol": ["X", "Y"],
        "side": ["BUY", "SELL"],
        "quantity": [100.0, 50.0],
        "decision_price": [10.0, 20.0],
        "arrival_price": [10.1, 19.9],
        "arrived_at": [at, at],
    }
    fills = {
        "exec_id": ["1", "2"],
        "client_order_id": ["a", "b"],
        "symbol": ["X", "Y"],
        "side": ["BUY", "SELL"],
        "quantity": [100, 20],
        "price": [10.2, 19.8],
        "commission": [1.0, None],
        "filled_at": [at + timedelta(seconds=1), at + timedelta(seconds=2)],
    }
    for table in (polars.DataFrame, lambda data: arrow.Table(polars.DataFrame(data))):
        costs = sx.slippage(table(orders), table(fills))
        # (10.2 - 10.1) / 10.1 and (19.9 - 19.8) / 19.9, in basis points
        assert costs["slippage_bps"].round(4).tolist() == [99.0099, 50.2513]
        assert costs["commission"].fillna(-1).tolist() == [1.0, -1.0]
        done = sx.completion(table(orders), table(fills))
        assert done["last_fill_seconds"].tolist() == [1.0, 2.0]
        quotes = {
            "symbol": ["X", "X", "Y", "X", "Y"],
            "bid": [10.0, 10.3, 19.7, 10.3, 19.7],
            "ask": [10.2, 10.5, 19.9, 10.5, 19.9],
            "quoted_at": [at + timedelta(seconds=second) for second in (0, 8, 8, 30, 30)],
        }
        curve = sx.markouts(table(fills), table(quotes), horizons=[10.0], by=["symbol"]).reset_index()
        # X: the mid moves from the 10.2 paid to 10.4; Y: it stays at 19.8, the price of the sale
        assert curve["markout_bps"].round(4).tolist() == [196.0784, 0.0]
