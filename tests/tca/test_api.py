"""The measures give the same results from frames, a blotter, its trade record, or Parquet files."""

from __future__ import annotations

import inspect
import math

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.tca import api, sources
from stocklean_exec.tca import completion as completion_measures
from stocklean_exec.tca import markouts as markout_measures
from stocklean_exec.tca import shortfall as shortfall_measures
from stocklean_exec.tca import slippage as slippage_measures
from stocklean_exec.tca import summary as summary_tables
from stocklean_exec.tca.sources import trade_record


@pytest.fixture(scope="module")
def sources_of_run(tmp_path_factory):
    """One run in a blotter, as frames and as files."""
    folder = tmp_path_factory.mktemp("sources_of_run")
    broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0, "BBB": 50.0}, cash=100_000)
    with sx.open_blotter(folder / "b.duckdb") as blotter:
        sx.rebalance({"AAA": 0.5, "BBB": 0.2}, broker, blotter, run_id="r", approve="me", dry_run=False)
        blotter.export(folder / "tables")
        yield blotter, folder / "tables"


MODULES = (completion_measures, markout_measures, shortfall_measures, slippage_measures, summary_tables)
MEASURES = {
    "slippage": {},
    "slippage_summary": {"benchmark": "decision"},
    "completion": {},
    "completion_summary": {},
    "incomplete_reasons": {},
    "implementation_shortfall": {"final_prices": {"AAA": 101.0}},
    "shortfall_summary": {"by": "side"},
    "shortfall_terms": {},
    "fill_times": {},
    "fill_progress": {},
    "fill_curve": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_the_same_from_frames_from_a_blotter_and_from_files(name, sources_of_run):
    blotter, folder = sources_of_run
    measure, options = getattr(sx, name), MEASURES[name]
    wanted = measure(blotter.orders(), blotter.fills(), **options)
    compare = pd.testing.assert_series_equal if isinstance(wanted, pd.Series) else pd.testing.assert_frame_equal
    for given in ((blotter,), (trade_record(blotter, run_id="r"),), (folder / "orders", folder / "fills")):
        compare(measure(*given, **options), wanted, check_dtype=False, check_categorical=False)
    compare(measure(orders=blotter, fills=None, **options), wanted)


TOTALS = (
    "slippage",
    "slippage_summary",
    "completion",
    "completion_summary",
    "incomplete_reasons",
    "implementation_shortfall",
    "shortfall_summary",
    "shortfall_terms",
)


@pytest.fixture
def read_as_frames(monkeypatch):
    """The tables that a measure reads row by row from files."""
    read, tables = sources.read_frame, []

    def noted(path, table, columns=None):
        tables.append(table)
        return read(path, table, columns)

    monkeypatch.setattr(sources, "read_frame", noted)
    return tables


@pytest.mark.slow
@pytest.mark.parametrize("name", TOTALS)
def test_fills_in_files_are_added_up_by_duckdb_if_totals_suffice(name, sources_of_run, read_as_frames):
    _, folder = sources_of_run
    getattr(sx, name)(folder / "orders", folder / "fills", **MEASURES[name])
    assert read_as_frames == ["orders"]


@pytest.mark.slow
def test_reversion_and_participation_read_only_fill_totals_from_files(sources_of_run, read_as_frames):
    blotter, folder = sources_of_run
    at = blotter.fills()["filled_at"].min()
    quotes = pd.DataFrame({"symbol": ["AAA"], "quoted_at": at, "bid": 99.0, "ask": 101.0})
    trades = pd.DataFrame({"symbol": ["AAA"], "traded_at": at, "price": 100.0, "volume": 1e6})
    sx.reversion(folder / "orders", folder / "fills", quotes, [1])
    sx.participation(folder / "orders", folder / "fills", trades)
    assert read_as_frames == ["orders", "orders"]


def test_a_frame_of_orders_needs_fills_and_the_error_names_them(sources_of_run):
    blotter, _ = sources_of_run
    with pytest.raises(InputError, match=r"^fills: 1 problem\n.*nothing was given; give a DataFrame"):
        sx.slippage(blotter.orders())


@pytest.mark.slow
def test_a_blotter_alone_is_not_enough_for_measures_of_the_market(sources_of_run):
    blotter, _ = sources_of_run
    for measure, kind in ((sx.spread_metrics, "quotes"), (sx.reversion, "quotes"), (sx.participation, "trades")):
        with pytest.raises(InputError, match=rf"^{kind}: 1 problem\n.*nothing was given; give {kind} as"):
            measure(blotter)


def test_the_options_of_a_summary_are_those_of_slippage():
    for_orders, for_runs = (
        inspect.signature(measure).parameters for measure in (sx.slippage, sx.slippage_summary)
    )
    assert list(for_runs.values()) == list(for_orders.values())


@pytest.mark.slow
def test_markouts_and_spreads_accept_files_too(sources_of_run):
    blotter, folder = sources_of_run
    fills, orders = blotter.fills(), blotter.orders()
    at = fills["filled_at"].min()
    quotes = pd.DataFrame({"symbol": ["AAA", "BBB"], "quoted_at": at, "bid": [99.0, 49.0], "ask": [101.0, 51.0]})
    wanted = sx.markouts(fills, quotes, horizons=[0])
    assert wanted["fills"].iloc[0] > 0
    for given in (folder / "fills", blotter, trade_record(blotter)):
        pd.testing.assert_frame_equal(sx.markouts(given, quotes, horizons=[0]), wanted)
    assert len(sx.spread_metrics(orders, fills, quotes)) == len(orders)
    assert len(sx.reversion(blotter, quotes=quotes, horizons=[1])) == 2


@pytest.mark.slow
def test_the_path_of_a_blotter_is_accepted_as_a_blotter(sources_of_run):
    blotter, folder = sources_of_run
    wanted = sx.slippage(blotter)
    pd.testing.assert_frame_equal(sx.slippage(folder.parent / "b.duckdb"), wanted)
    pd.testing.assert_frame_equal(sx.slippage(str(folder.parent / "b.duckdb")), wanted)


@pytest.mark.slow
def test_orders_from_files_can_be_combined_with_fills_from_a_frame(sources_of_run):
    blotter, folder = sources_of_run
    table = sx.slippage(folder / "orders", blotter.fills())
    assert table["slippage_bps"].tolist() == sx.slippage(blotter)["slippage_bps"].tolist()


def test_the_measures_keep_their_names_signatures_and_documentation():
    for name in api.__all__:
        measure = getattr(api, name)
        assert measure.__name__ == name
        assert measure.__doc__
        pure = next(getattr(module, name) for module in MODULES if hasattr(module, name))
        assert inspect.signature(measure) == inspect.signature(pure)


def test_a_missing_source_is_an_error(tmp_path):
    with pytest.raises(InputError) as caught:
        sx.slippage(tmp_path / "nothing", tmp_path / "none")
    assert caught.value.codes == ("file_missing",)


@pytest.mark.slow
def test_a_call_with_wrong_arguments_is_refused(sources_of_run):
    blotter, _ = sources_of_run
    with pytest.raises(TypeError):
        sx.slippage(blotter.orders(), blotter.fills(), "arrival")  # options go by name
    with pytest.raises(TypeError):
        sx.slippage(blotter, benchmrak="arrival")
    for given in ((blotter.orders(), [1]), ({"a": 1}, blotter.fills())):
        with pytest.raises(InputError):
            sx.slippage(*given)
    with pytest.raises(InputError) as caught:
        sx.completion(blotter.orders(), None)
    assert caught.value.codes == ("wrong_type",)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "delayed"), [("live", False), ("delayed", True), ("forced_delayed", True)])
def test_a_run_records_whether_the_market_at_arrival_was_delayed_and_how_old(kind, delayed, tmp_path):
    quotes = pd.DataFrame(
        {"symbol": ["SPY"], "bid": 122.95, "ask": 123.05, "bid_size": 1000.0, "ask_size": 1000.0}
    )
    quotes["quoted_at"] = pd.Timestamp.now("UTC")
    scenario = {"switches": {"market_data": kind}}
    with (
        sx.connect("sim://?seed=7&cash=100000", quotes=quotes, scenario=scenario) as broker,
        sx.open_blotter(tmp_path / "b.duckdb") as blotter,
    ):
        limits = sx.Limits(max_quote_age=None)  # the age of delayed data is not known
        sx.rebalance({"SPY": 0.4}, broker, blotter, run_id="r", limits=limits, approve="me", dry_run=False)
        sent = [event for event in blotter.recorded_events("r") if event.kind == "sending"]
        blotter.export(tmp_path / "tables")
    assert [event.data_type for event in sent] == [3 if delayed else 1]
    for source in (tmp_path / "b.duckdb", tmp_path / "tables"):  # read back from disk, and from an export
        record = trade_record(source, run_id="r")
        (order,) = record.orders.to_dict("records")
        assert order["status"] == "FILLED"
        assert order["arrival_price"] == pytest.approx(123.0)  # as reported, valid or not
        assert order["arrival_delayed"] is delayed
        age = (order["arrived_at"] - order["arrival_quoted_at"]).total_seconds()
        # TWS gives no time of a delayed bid and ask: how old they are is not known.
        assert math.isnan(age) if delayed else 0.0 <= age < 60.0
        assert record.quotes["delayed"].tolist() == [delayed]
        (row,) = sx.slippage(record).to_dict("records")
        (touch,) = sx.slippage(record, benchmark="far_touch").to_dict("records")
        (split,) = sx.implementation_shortfall(record).to_dict("records")
        summary = sx.cost_summary(record, sign="performance")
        if delayed:  # bought at 123.05: there is no price to compare it with
            assert (row["flags"], touch["flags"], split["flags"]) == ("delayed_quote",) * 3
            assert pd.isna([row["slippage_bps"], touch["slippage_bps"], split["delay_cost"]]).all()
            assert summary.orders["flags"].tolist() == ["delayed_quote"]
            assert summary.orders["half_spread_cost"].isna().all()
            assert summary.headline["flagged"].tolist() == [1]
            assert "1 flagged" in repr(summary)
        else:
            assert row["benchmark_age_seconds"] == touch["benchmark_age_seconds"] == pytest.approx(age)
            assert row["slippage_bps"] == pytest.approx(1e4 * 0.05 / 123)
            assert touch["slippage_bps"] == 0.0
            assert summary.headline["flagged"].tolist() == [0]


@pytest.mark.slow
def test_without_a_quote_type_the_quote_is_of_unknown_type(sources_of_run):
    orders = sources_of_run[0].orders("r")
    assert orders["arrival_delayed"].isna().all()
    assert orders["arrival_price"].notna().all()
    assert sx.slippage(orders, sources_of_run[0].fills("r"))["slippage_bps"].notna().all()


@pytest.mark.slow
def test_the_folder_of_an_export_is_accepted_as_a_record(sources_of_run):
    blotter, folder = sources_of_run
    pd.testing.assert_frame_equal(sx.slippage(folder), sx.slippage(blotter))
    pd.testing.assert_frame_equal(sx.completion(str(folder)), sx.completion(blotter))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "hint"),
    [("fills", "give '.*/fills'"), ("quotes", "give '.*/quotes'"), ("trades", "it has no trades")],
)
def test_the_folder_of_an_export_is_refused_in_the_place_of_one_table(kind, hint, sources_of_run):
    blotter, folder = sources_of_run
    wanted = {
        "fills": lambda: sx.slippage(blotter.orders(), folder),
        "quotes": lambda: sx.markouts(blotter, folder, [0]),
        "trades": lambda: sx.participation(blotter, trades=folder),
    }
    with pytest.raises(InputError, match=rf"is the folder of an export; {hint}") as caught:
        wanted[kind]()
    assert caught.value.codes == ("export_folder",)
