from __future__ import annotations

import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.schema.broker_files import read_basket, read_portfolio_export


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
    with pytest.raises(InputError, match="is not a portfolio export of TWS: column 'Financial"):
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


# -- baskets ---------------------------------------------------------------------------------------------------

HEADER = "Action,Quantity,Symbol,SecType,Exchange,Currency,TimeInForce,OrderType"


TIMES = ("good_till", "good_after")


def basket(tmp_path, text):
    (tmp_path / "basket.csv").write_text(text, encoding="utf-8-sig")
    return tmp_path / "basket.csv"


def problems_of(tmp_path, text):
    """Code, row and column of each problem for which a basket is refused; and the error's text."""
    with pytest.raises(InputError) as caught:
        read_basket(basket(tmp_path, text), "run-1")
    return [(problem.code, problem.row, problem.column) for problem in caught.value.problems], str(caught.value)


def test_orders_of_a_basket_with_a_header_for_each_order_type(tmp_path):
    # the layout of ibkrguides.com: market orders under a header of eight columns, limit orders under one of nine
    text = (
        f"{HEADER}\nBUY,100,IBM,STK,SMART/NYSE,USD,DAY,MKT\nSSHORT,5,GE,stk,SMART,USD,gtc,MKT\n\n"
        f"{HEADER},LmtPrice,BasketTag\nSELL,1250,BRK B,STK,SMART/NYSE,USD,DAY,LMT,480.50,tag-1\n"
    )
    frame = read_basket(basket(tmp_path, text), "run-1")
    assert frame["client_order_id"].tolist() == ["run-1-IBM-BUY", "run-1-GE-SELL", "run-1-BRK_B-SELL"]
    columns = ["side", "quantity", "order_type", "tif", "exchange", "primary_exchange", "currency", "status"]
    assert frame[columns].fillna("").to_numpy().tolist() == [
        ["BUY", 100.0, "MKT", "DAY", "SMART", "NYSE", "USD", "NEW"],
        ["SELL", 5.0, "MKT", "GTC", "SMART", "", "USD", "NEW"],
        ["SELL", 1250.0, "LMT", "DAY", "SMART", "NYSE", "USD", "NEW"],
    ]
    assert frame["limit_price"].tolist()[2] == 480.5


def test_terms_that_would_not_be_sent_are_listed(tmp_path):
    text = (
        f"{HEADER},StopPrice,PercentOffset,OutsideRth\nBUY,100,IBM,STK,SMART,USD,DAY,MKT,,,\n"
        "BUY,1,GE,STK,SMART,USD,DAY,STP,14.5,,true\nBUY,1,KO,STK,SMART,USD,DAY,REL,,.05,\n"
    )
    found, _ = problems_of(tmp_path, text)
    assert found == [
        ("order_term_unread", 1, "StopPrice"),
        ("order_term_unread", 1, "OutsideRth"),
        ("order_term_unread", 2, "PercentOffset"),
    ]


def test_prices_and_times_beside_the_limit(tmp_path):
    text = (
        f"{HEADER},LmtPrice,AuxPrice,GoodTilDate,GoodAfter\n"
        "SELL,5,IBM,STK,SMART,USD,gtc,stp,,95.5,,20261201 10:00:00 US/Eastern\n"
        'SELL,5,GE,STK,SMART,USD,DAY,STP LMT,"1,094","1,095.50",,\n'
        "SELL,5,F,STK,SMART,USD,DAY,TRAIL,,.05,,\n"
        "BUY,5,KO,STK,SMART,USD,DAY,REL,62,0,,\n"
        "BUY,5,PEP,STK,SMART,USD,gtd,LMT,150,,20261231 22:00:00 Europe/Berlin,20261230 09:00:00 utc\n"
        "BUY,5,T,STK,SMART,USD,DAY,MKT,,,,\n"
    )
    frame = read_basket(basket(tmp_path, text), "run-1")
    assert frame["status"].tolist() == ["NEW"] * 6, frame["detail"].tolist()
    assert frame["order_type"].tolist() == ["STP", "STP LMT", "TRAIL", "REL", "LMT", "MKT"]
    assert frame["limit_price"].fillna(-1).tolist() == [-1, 1094.0, -1, 62.0, 150.0, -1]
    assert frame["aux_price"].fillna(-1).tolist() == [95.5, 1095.5, 0.05, 0.0, -1, -1]
    times = {name: {row: str(time) for row, time in frame[name].dropna().items()} for name in TIMES}
    assert times == {
        "good_till": {4: "2026-12-31 21:00:00+00:00"},  # Berlin is one hour ahead in winter, New York five behind
        "good_after": {0: "2026-12-01 15:00:00+00:00", 4: "2026-12-30 09:00:00+00:00"},
    }


def test_every_time_that_is_not_one_moment_is_listed(tmp_path):
    text = (
        f"{HEADER},LmtPrice,GoodTilDate,GoodAfter\n"
        "BUY,1,A,STK,SMART,USD,GTD,LMT,9,20261231 16:00:00,\n"
        "BUY,1,B,STK,SMART,USD,GTD,LMT,9,20261231 16:00:00 US/Eastern,20261101 01:30:00 US/Eastern\n"
        "BUY,1,C,STK,SMART,USD,GTD,LMT,9,12/31/2026 16:00,\n"
    )
    found, error = problems_of(tmp_path, text)
    assert "write UTC or US/Eastern after it" in error
    assert found == [
        ("naive_time", 0, "GoodTilDate"),
        ("time_ambiguous", 1, "GoodAfter"),
        ("time_dtype", 2, "GoodTilDate"),
    ]


def test_a_price_that_may_be_in_pence_is_refused(tmp_path):
    text = (
        f"{HEADER},LmtPrice,AuxPrice\nBUY,1,VOD,STK,LSE,GBP,DAY,LMT,70,\nSELL,1,BP,STK,LSE,gbp,DAY,STP,,400\n"
        "BUY,1,RIO,STK,LSE,GBP,DAY,REL,,0\nBUY,1,SAP,STK,IBIS,EUR,DAY,LMT,200,\n"
    )
    found, _ = problems_of(tmp_path, text)
    assert found == [
        ("price_unit_unknown", 0, "LmtPrice"),
        ("price_unit_unknown", 1, "AuxPrice"),
    ]


def test_a_term_that_does_not_fit_its_type_rejects_its_row(tmp_path):
    text = (
        f"{HEADER},AuxPrice,GoodTilDate\nSELL,1,GE,STK,SMART,USD,DAY,STP,,\n"
        "BUY,1,KO,STK,SMART,USD,DAY,MKT,,20261231 21:00:00 UTC\nBUY,1,F,STK,SMART,USD,DAY,MKT,,\n"
    )
    frame = read_basket(basket(tmp_path, text), "run-1")
    assert frame["reason"].fillna("").tolist() == ["aux_price_missing", "good_till_not_used", ""]


def test_types_that_are_not_sent_here_are_rejected_rows(tmp_path):
    text = (
        f"{HEADER}\nBUY,100,IBM,STK,SMART,USD,DAY,MIT\nBUY,1,GE,STK,SMART,USD,AUC,MKT\n"
        "BUY,1,KO,STK,SMART,USD,DAY,MKT\n"
    )
    frame = read_basket(basket(tmp_path, text), "run-1")
    assert frame["status"].tolist() == ["REJECTED", "REJECTED", "NEW"]
    assert frame["reason"].tolist()[:2] == ["order_type_unsupported", "tif_invalid"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("symbol,weight\nSPY,1\n", "missing_column"),
        ("Action,Symbol,Quantity\nBUY,SPY,1\n", "missing_column"),  # no OrderType
        (f"{HEADER}\nBUY,100,IBM,STK,SMART,USD,DAY,MKT,7\n", "csv_format"),
        (f"{HEADER}\nBUY,ten,IBM,STK,SMART,USD,DAY,MKT\n", "csv_format"),
        (f"{HEADER}\nHOLD,1,IBM,STK,SMART,USD,DAY,MKT\n", "side_invalid"),
        ("", "csv_format"),
    ],
)
def test_a_file_that_is_no_basket_is_refused(tmp_path, text, code):
    with pytest.raises(InputError) as caught:
        read_basket(basket(tmp_path, text), "run-1")
    assert caught.value.codes == (code,)


def test_a_column_twice_is_one_error_that_names_it(tmp_path):
    text = (
        "Action,Quantity,Symbol,OrderType,LmtPrice,Quantity,LmtPrice,LmtPrice,,\n"
        "BUY,100,IBM,LMT,10,200,11,12,,\n"
        f"{HEADER},Symbol\nBUY,1,SPY,STK,SMART,USD,DAY,MKT,TLT\n"
    )
    with pytest.raises(InputError) as caught:
        read_basket(basket(tmp_path, text), "run-1")
    assert [(problem.code, problem.column) for problem in caught.value.problems] == [
        ("duplicate_column", "Quantity"),
        ("duplicate_column", "LmtPrice"),
        ("duplicate_column", "Symbol"),
    ]
    assert "column 'LmtPrice' appears 3 times in header Action, Quantity," in str(caught.value)


@pytest.mark.slow
def test_a_basket_is_checked_reviewed_and_sent(tmp_path):
    market = {"IBM": 130.0, "GE": 80.0}
    text = f"{HEADER}\nBUY,10,IBM,STK,SMART,USD,DAY,MKT\nBUY,5,GE,STK,SMART,USD,DAY,MKT\n"
    with sx.connect("mock://", quotes=market, cash=10_000) as broker, sx.open_blotter() as blotter:
        orders = sx.read_basket(basket(tmp_path, text), "run-1")
        review = sx.review_orders(sx.check_orders(orders, None, broker.account_state(orders)))
        assert review.approve_all(by="ann") == 2
        states = sx.submit_orders(review.result(), broker, blotter)
        assert states[["symbol", "status", "filled_quantity"]].to_numpy().tolist() == [
            ["IBM", "FILLED", 10.0],
            ["GE", "FILLED", 5.0],
        ]


COLUMNS = [f"c{number}" for number in range(12)]


@pytest.mark.parametrize("read", [read_portfolio_export, lambda file: read_basket(file, "run-1")])
def test_an_error_names_ten_of_the_columns_that_are_there(tmp_path, read):
    with pytest.raises(InputError) as caught:
        read(export(tmp_path, ",".join(COLUMNS) + "\n" + ",".join("1" * 12) + "\n"))
    assert f"{', '.join(COLUMNS[:10])} [missing_column]" in str(caught.value)


def test_an_order_that_was_exported_keeps_its_client_order_id(tmp_path):
    text = (
        f"{HEADER},BasketTag\nBUY,1,IBM,STK,SMART,USD,DAY,MKT,run-1-IBM-BUY-2\n"
        "BUY,1,GE,STK,SMART,USD,DAY,MKT,run-2-GE-BUY-2\nBUY,1,F,STK,SMART,USD,DAY,MKT,\n"
    )
    names = read_basket(basket(tmp_path, text), "run-1")["client_order_id"].tolist()
    assert names == ["run-1-IBM-BUY-2", "run-1-GE-BUY", "run-1-F-BUY"]  # the second is another run's
