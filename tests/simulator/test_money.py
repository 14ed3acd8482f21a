"""Money of several currencies and units, as the real ib_async 2.1 reads it over a real socket."""

from datetime import UTC, datetime

import pytest

ib_async = pytest.importorskip("ib_async")

from ib_async import Forex, LimitOrder, MarketOrder, Stock  # noqa: E402 - see above

from tests.simulator import ib_clients  # noqa: E402 - see above
from tests.simulator.ib_clients import until  # noqa: E402 - see above

LISTED = [
    {"symbol": "SPY", "bid": 399.90, "ask": 400.10, "last": 400.0},
    {"symbol": "ABC", "bid": 9.99, "ask": 10.01, "primary_exchange": "NASDAQ"},
    {"symbol": "ABC", "bid": 804.5, "ask": 805.5, "last": 805.0, "currency": "GBP", "primary_exchange": "LSE"}
    | {"price_magnifier": 100, "min_tick": 0.5, "min_size": 1, "size_increment": 1},
]
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:eventkit.*"),
    pytest.mark.usefixtures("no_decoding_errors"),
]


def play(script, **options):
    """Run ``script(ib, server)`` with a fresh server and a connected client."""

    async def connected(setup):
        return await script(await setup.connect(), setup.server)

    return ib_clients.play(connected, LISTED, **options)


async def bought(ib, contract, quantity, order=None):
    """The trade of a filled order whose commission is known."""
    trade = ib.placeOrder(contract, order or MarketOrder("BUY", quantity, tif="DAY"))
    done = lambda: trade.isDone() and all(one.commissionReport.execId for one in trade.fills)  # noqa: E731 - a condition
    await until(ib.commissionReportEvent, done)
    return trade


def test_details_distinguish_listings_and_qualify_decides_which():
    async def script(ib, _):
        found = await ib.reqContractDetailsAsync(Stock("ABC", "SMART"))
        (unclear,) = await ib.qualifyContractsAsync(Stock("ABC", "SMART"))
        (clear,) = await ib.qualifyContractsAsync(Stock("ABC", "SMART", primaryExchange="LSE"))
        return found, unclear, clear

    found, unclear, clear = play(script)
    assert [(one.contract.currency, one.contract.primaryExchange, one.priceMagnifier) for one in found] == [
        ("USD", "NASDAQ", 1),
        ("GBP", "LSE", 100),
    ]
    assert [(one.minTick, one.minSize, one.sizeIncrement) for one in found] == [(0.01, 1e-4, 1e-4), (0.5, 1, 1)]
    assert unclear is None
    assert clear.currency == "GBP"


@pytest.mark.parametrize(("unit", "price"), [("currency", 8.055), ("quotes", 805.5)])
def test_pence_are_quoted_and_pounds_are_booked(unit, price):
    async def script(ib, _):
        (contract,) = await ib.qualifyContractsAsync(Stock("ABC", "SMART", "GBP"))
        (ticker,) = await ib.reqTickersAsync(contract)
        trade = await bought(ib, contract, 1000, LimitOrder("BUY", 1000, 806.0, tif="DAY"))
        await until(ib.updatePortfolioEvent, ib.portfolio)
        return ticker, trade, ib.portfolio()[0], ib.positions()[0]

    ticker, trade, line, position = play(script, scenario={"switches": {"execution_prices": unit}})
    assert (ticker.bid, ticker.ask) == (804.5, 805.5)
    assert [one.execution.price for one in trade.fills] == [price]
    assert trade.fills[0].execution.avgPrice == price
    assert trade.orderStatus.avgFillPrice == price
    (report,) = [one.commissionReport for one in trade.fills]
    assert (report.currency, report.commission) == ("GBP", 4.0275)  # 0.05 % of 8,055
    # Bought 1,000 at 8.055 pounds, valued at 805 pence; the commission is part of the cost.
    assert (line.marketPrice, line.marketValue) == (805.0, 8050.0)
    cost = 8.055 + report.commission / 1000
    assert (line.averageCost, position.avgCost) == pytest.approx((cost, cost))
    assert line.unrealizedPNL == pytest.approx(8050.0 - 8055.0 - report.commission)


def test_values_of_an_account_in_pounds():
    money = {
        "base_currency": "GBP",
        "cash": {"GBP": 100_000.0, "EUR": 1_000.0},
        "rates": {"USD": 0.8, "EUR": 0.87},
    }

    async def script(ib, server):
        await ib.accountSummaryAsync()
        (contract,) = await ib.qualifyContractsAsync(Stock("SPY", "SMART", "USD"))
        await bought(ib, contract, 100)
        await until(ib.accountValueEvent, lambda: ("CashBalance", "USD") in table(ib.accountValues()))
        server.venue.clock.advance(181)
        server.flush()
        summary = ib.accountSummaryEvent
        await until(summary, lambda: ("CashBalance", "USD") in table(ib.wrapper.acctSummary.values()))
        return table(ib.accountValues()), table(await ib.accountSummaryAsync())

    def table(lines):
        return {(one.tag, one.currency): one.value for one in lines}

    streamed, summary = play(script, **money)
    for values in (streamed, summary):
        # 100,000 and 1,000 * 0.87, less 100 at 400.10 and 1.00 at 0.80; the shares are worth 40,000 * 0.80.
        assert values["TotalCashValue", "GBP"] == "68861.20"
        assert values["NetLiquidation", "GBP"] == "100861.20"
        rates = {currency: value for (tag, currency), value in values.items() if tag == "ExchangeRate"}
        assert rates == {"GBP": "1.00", "EUR": "0.87", "USD": "0.80", "BASE": "1.00"}
        for tag in ("TotalCashBalance", "NetLiquidationByCurrency"):
            parts = [float(values[tag, currency]) * float(rates[currency]) for currency in ("GBP", "EUR", "USD")]
            assert sum(parts) == pytest.approx(float(values[tag, "BASE"]))


def test_a_currency_pair_is_quoted_traded_and_moves_two_balances():
    async def script(ib, server):
        (pair,) = await ib.qualifyContractsAsync(Forex("EURUSD"))
        (ticker,) = await ib.reqTickersAsync(pair)
        trade = await bought(ib, pair, 30_000)
        await until(ib.accountValueEvent, lambda: ("CashBalance", "EUR", "30000.00") in lines(ib))
        return pair, ticker, trade, lines(ib), ib.positions()

    def lines(ib):
        return {(one.tag, one.currency, one.value) for one in ib.accountValues()}

    pair, ticker, trade, values, positions = play(script, rates={"EUR": 1.06, "GBP": 1.2})
    assert (pair.localSymbol, pair.currency, ticker.bid, ticker.ask) == ("EUR.USD", "USD", 1.05995, 1.06005)
    assert ticker.last != ticker.last  # NaN
    assert trade.orderStatus.avgFillPrice == 1.06005
    assert [(one.commissionReport.commission, one.commissionReport.currency) for one in trade.fills] == [
        (2.0, "USD")
    ]
    assert ("CashBalance", "USD", "968196.50") in values
    assert positions == []


def test_a_snapshot_has_the_time_of_the_last_trade():
    async def script(ib, server):
        server.venue.market.last_times["SPY"] = 1672315200.0
        (contract,) = await ib.qualifyContractsAsync(Stock("SPY", "SMART", "USD"))
        (ticker,) = await ib.reqTickersAsync(contract)
        return ticker.lastTimestamp

    assert play(script) == datetime(2022, 12, 29, 12, tzinfo=UTC)
