from __future__ import annotations

import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.broker_files import read_portfolio_export


def export(tmp_path, text):
    (tmp_path / "portfolio.csv").write_text(text, encoding="utf-8-sig")
    return tmp_path / "portfolio.csv"


def test_positions_of_an_export(tmp_path):
    file = export(
        tmp_path,
        "Financial Instrument,Position,Last,Avg Price,Currency,Account\n"
        'AAPL,"1,200",201.50,"1,010.25",USD,DU1234567\nVOD,-40.5,1.1,1.2,GBP,\nOLD,0,1,1,USD,\nBRK B,3,,,USD,\n',
    )
    frame = read_portfolio_export(file)
    assert frame[["symbol", "quantity", "currency"]].to_numpy().tolist() == [
        ["AAPL", 1200.0, "USD"],
        ["VOD", -40.5, "GBP"],
        ["BRK B", 3.0, "USD"],
    ]
    assert frame["avg_cost"].tolist()[:2] == [1010.25, 1.2]
    assert frame["avg_cost"].isna().tolist() == [False, False, True]
    assert frame["account"].tolist()[0] == "DU1234567"


def test_the_symbol_column_is_the_symbol_if_there_is_one(tmp_path):
    file = export(tmp_path, "Symbol,Financial Instrument,Position\nFDS,Example Systems,100\n")
    assert read_portfolio_export(file)["symbol"].tolist() == ["FDS"]


def test_lines_above_the_header_are_skipped(tmp_path):
    file = export(tmp_path, "Portfolio of today\nFinancial Instrument,Position\nSPY,1\n")
    assert read_portfolio_export(file, skiprows=1)["quantity"].tolist() == [1.0]


def test_a_file_of_another_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no portfolio export of TWS: column 'Financial"):
        read_portfolio_export(export(tmp_path, "symbol,quantity\nSPY,1\n"))


@pytest.mark.parametrize("number", ["1,20", "12,00", "1.2.3", "n/a", "1 200"])
def test_a_number_that_could_be_read_in_two_ways_is_refused(tmp_path, number):
    file = export(tmp_path, f'Financial Instrument,Position\nSPY,"{number}"\nTLT,"{number}"\n')
    with pytest.raises(InputError, match="is not a number such as") as caught:
        read_portfolio_export(file)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    "name", ["ACME Jan30'26 100 CALL", "ACME 15AUG25 230 C", "ES Dec'26", "CL DEC26", "T 4 1/8"]
)
def test_what_is_no_stock_is_refused(tmp_path, name):
    file = export(tmp_path, f"Financial Instrument,Position\nACME,1\nBRK B,1\n{name},1\n")
    with pytest.raises(InputError, match="is an option, future or bond") as caught:
        read_portfolio_export(file)
    assert [problem.row for problem in caught.value.problems] == [2]


def test_an_export_is_a_position_for_a_plan(tmp_path):
    held = sx.read_portfolio_export(export(tmp_path, "Financial Instrument,Position\nSPY,100\n"))
    plan = sx.plan_orders({"SPY": 0.5}, held, {"SPY": 100.0}, nav=10_000, run_id="r")
    assert plan[["side", "quantity"]].to_numpy().tolist() == [["SELL", 50.0]]
