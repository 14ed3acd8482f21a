"""An independent check of the simulator: the real, unmodified ib_async 2.1 over a real socket."""

import asyncio

import pytest

ib_async = pytest.importorskip("ib_async")

from ib_async import IB, ExecutionFilter, LimitOrder, MarketOrder, Order, Stock, TagValue  # noqa: E402 - see above

from tests.simulator import ib_clients  # noqa: E402 - see above
from tests.simulator.ib_clients import WAIT, until  # noqa: E402 - see above

QUOTES = {
    "SPY": {"bid": 399.90, "ask": 400.10, "last": 400.0, "close": 398.0, "bid_size": 300, "ask_size": 200},
    "XOM": {"bid": 99.95, "ask": 100.05, "last": 100.0, "close": 100.0},
}
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:eventkit.*"),
    pytest.mark.usefixtures("no_decoding_errors"),
]


def play(script, **options):
    """Run ``script(setup)`` in a fresh loop with a fresh server."""
    return ib_clients.play(script, QUOTES, **options)


@pytest.mark.parametrize("version", [157, 164, 173, 176, 178])
def test_ib_async_connects_qualifies_and_trades_at_every_kind_of_version(version):
    async def script(setup):
        ib = await setup.connect()
        assert ib.client.serverVersion() == version
        contract = await setup.contract(ib)
        trade = ib.placeOrder(contract, MarketOrder("BUY", 450, tif="DAY", orderRef="run-1-SPY-BUY"))
        reported = ib.commissionReportEvent
        await until(reported, lambda: len(trade.fills) == 3 and trade.fills[-1].commissionReport.execId)
        return trade

    trade = play(script, server_version=version)
    assert trade.orderStatus.status == "Filled"
    assert trade.orderStatus.avgFillPrice == 400.1
    assert [fill.execution.shares for fill in trade.fills] == [200, 200, 50]
    assert sum(fill.commissionReport.commission for fill in trade.fills) == 2.25
    assert {fill.execution.orderRef for fill in trade.fills} == {"run-1-SPY-BUY"}


def test_a_start_completes_without_a_timeout():
    async def script(setup):
        ib = await setup.connect(raiseSyncErrors=True)
        return ib.managedAccounts(), ib.accountValues()

    accounts, values = play(script)
    assert accounts == ["DU0000001"]
    assert {value.tag for value in values} >= {"NetLiquidation", "TotalCashValue", "BuyingPower"}


def test_ib_async_receives_details_quotes_and_history():
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib)
        (details,) = await ib.reqContractDetailsAsync(contract)
        (ticker,) = await ib.reqTickersAsync(contract)
        bars = await ib.reqHistoricalDataAsync(contract, "", "5 D", "1 day", "TRADES", useRTH=True)
        rule = await ib.reqMarketRuleAsync(26)
        found = await ib.reqMatchingSymbolsAsync("SP")
        return details, ticker, bars, rule, found

    details, ticker, bars, rule, found = play(script)
    assert (details.minTick, details.contract.primaryExchange) == (0.01, "ARCA")
    assert (ticker.bid, ticker.ask, ticker.last, ticker.close) == (399.9, 400.1, 400.0, 398.0)
    assert (ticker.bidSize, ticker.askSize) == (300, 200)
    assert len(bars) == 5
    assert rule[0].increment == 0.01
    assert [one.contract.symbol for one in found] == ["SPY"]


def test_an_unknown_contract_is_none():
    async def script(setup):
        ib = await setup.connect()
        return await ib.qualifyContractsAsync(Stock("ZZZZNONE", "SMART", "USD"))

    assert play(script) == [None]


def test_an_order_rests_is_changed_and_cancelled():
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib)
        trade = ib.placeOrder(contract, LimitOrder("BUY", 10, 390.0, tif="GTC"))
        await until(ib.orderStatusEvent, lambda: trade.orderStatus.status == "Submitted")
        trade.order.lmtPrice = 391.0
        ib.placeOrder(contract, trade.order)
        await until(ib.orderStatusEvent, lambda: trade.log[-1].message == "Modified")
        ib.cancelOrder(trade.order)
        await until(ib.orderStatusEvent, trade.isDone)
        return trade, await ib.reqAllOpenOrdersAsync()

    trade, left = play(script)
    assert trade.orderStatus.status == "Cancelled"
    assert trade.order.lmtPrice == 391.0
    assert left == []


@pytest.mark.parametrize(
    ("symbol", "order", "code"),
    [
        ("SPY", LimitOrder("BUY", 10, 390.005, tif="DAY"), 110),
        ("SPY", MarketOrder("BUY", 1.5, tif="DAY"), 10243),
        ("SPY", Order(action="BUY", totalQuantity=1, orderType="FEELINGS", tif="DAY"), 321),
        ("SPY", MarketOrder("BUY", 0, tif="DAY"), 434),
    ],
)
def test_a_rejection_arrives_with_its_code(symbol, order, code):
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib, symbol)
        seen = []
        ib.errorEvent += lambda _, number, *__: seen.append(number)
        ib.placeOrder(contract, order)
        await until(ib.errorEvent, lambda: code in seen)
        return seen

    assert play(script) == [code]


def test_a_rejection_after_acceptance_ends_inactive():
    async def script(setup):
        ib = await setup.connect()
        trade = ib.placeOrder(await setup.contract(ib), MarketOrder("BUY", 10, tif="DAY"))
        await until(ib.orderStatusEvent, lambda: trade.orderStatus.status == "Inactive")
        return [entry.errorCode for entry in trade.log if entry.errorCode]

    assert play(script, scenario={"order": [{"steps": [{"reject": 201}]}]}) == [201]


def test_what_if_returns_margin_and_commission():
    async def script(setup):
        ib = await setup.connect()
        return await ib.whatIfOrderAsync(await setup.contract(ib), MarketOrder("BUY", 100, tif="DAY"))

    state = play(script)
    assert (float(state.initMarginChange), state.commission) == (10_000.0, 1.0)


@pytest.mark.parametrize("kind", ["MOC", "MIDPRICE", "LOC"])
def test_other_order_types_fill(kind):
    async def script(setup):
        ib = await setup.connect()
        price = 401.0 if kind == "LOC" else 0.0
        order = Order(action="BUY", totalQuantity=100, orderType=kind, tif="DAY", lmtPrice=price)
        trade = ib.placeOrder(await setup.contract(ib), order)
        await until(ib.orderStatusEvent, trade.isDone)
        return trade

    trade = play(script)
    assert trade.orderStatus.status == "Filled"
    assert trade.orderStatus.avgFillPrice == (400.0 if kind == "MIDPRICE" else 400.1)


def test_an_adaptive_order_fills_and_is_echoed():
    async def script(setup):
        ib = await setup.connect()
        order = MarketOrder("BUY", 100, tif="DAY", algoStrategy="Adaptive")
        order.algoParams = [TagValue("adaptivePriority", "Normal")]
        trade = ib.placeOrder(await setup.contract(ib), order)
        await until(ib.orderStatusEvent, trade.isDone)
        return trade, await ib.reqCompletedOrdersAsync(apiOnly=True)

    trade, (completed,) = play(script)
    assert trade.orderStatus.status == "Filled"
    assert completed.order.algoStrategy == "Adaptive"
    assert completed.order.algoParams[0].value == "Normal"


@pytest.mark.parametrize("version", [157, 178])
@pytest.mark.parametrize(
    "terms",
    [
        {"orderType": "TRAIL", "auxPrice": 2.0},
        {"orderType": "TRAIL", "trailingPercent": 2.0},
        {"orderType": "TRAIL LIMIT", "auxPrice": 2.0, "lmtPriceOffset": 0.1, "trailStopPrice": 390.0},
        {"orderType": "MIT", "auxPrice": 410.0},
        {"orderType": "LIT", "auxPrice": 410.0, "lmtPrice": 409.0},
        {"orderType": "STP", "auxPrice": 390.0},
        {"orderType": "STP LMT", "auxPrice": 390.0, "lmtPrice": 389.0},
    ],
    ids=lambda terms: " ".join(map(str, terms.values())),
)
def test_held_orders_are_modified_and_cancelled(version, terms):
    async def script(setup):
        ib = await setup.connect()
        order = Order(action="SELL", totalQuantity=5, tif="DAY", **terms)
        trade = ib.placeOrder(await setup.contract(ib), order)
        await until(ib.orderStatusEvent, lambda: trade.orderStatus.whyHeld == "trigger")
        trade.order.totalQuantity = 3
        ib.placeOrder(trade.contract, trade.order)
        await until(ib.orderStatusEvent, lambda: trade.orderStatus.remaining == 3)
        open_orders = await ib.reqAllOpenOrdersAsync()
        ib.cancelOrder(trade.order)
        await until(ib.orderStatusEvent, trade.isDone)
        return trade, open_orders

    trade, (listed,) = play(script, server_version=version)
    assert trade.orderStatus.status == "Cancelled"
    assert {one.errorCode for one in trade.log if one.errorCode} <= {202}
    assert (listed.order.orderType, listed.order.totalQuantity) == (terms["orderType"], 3)
    assert listed.order.trailingPercent == terms.get("trailingPercent", listed.order.trailingPercent)


def test_a_relative_order_and_one_to_the_limit_work():
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib)
        orders = (
            Order(action="BUY", totalQuantity=5, orderType="REL", auxPrice=0.01, tif="DAY"),
            Order(action="BUY", totalQuantity=300, orderType="MTL", tif="DAY"),
        )
        pegged, to_limit = (ib.placeOrder(contract, one) for one in orders)
        await until(ib.orderStatusEvent, lambda: pegged.orderStatus.status == "Submitted")
        await until(ib.orderStatusEvent, lambda: to_limit.orderStatus.filled == 200)
        setup.server.venue.move("SPY", bid=399.8, ask=399.9)
        setup.server.flush()
        await until(ib.orderStatusEvent, lambda: pegged.isDone() and to_limit.isDone())
        return pegged, to_limit

    pegged, to_limit = play(script)
    assert pegged.orderStatus.avgFillPrice == 399.91  # a cent above the bid of 399.90
    assert to_limit.orderStatus.avgFillPrice == 400.1


@pytest.mark.parametrize(
    ("algo", "params"),
    [
        ("Twap", {"startTime": "", "endTime": "", "allowPastEndTime": "1"}),
        ("Vwap", {"maxPctVol": "0.5", "noTakeLiq": "0"}),
        ("ArrivalPx", {"riskAversion": "Neutral", "maxPctVol": "0.2"}),
        ("PctVol", {"pctVol": "0.1"}),
        ("ClosePx", {"riskAversion": "Passive"}),
    ],
)
def test_an_algorithm_works_an_order_in_parts(algo, params):
    async def script(setup):
        ib = await setup.connect()
        order = MarketOrder("BUY", 1_200, tif="DAY", algoStrategy=algo)
        order.algoParams = [TagValue(tag, value) for tag, value in params.items()]
        trade = ib.placeOrder(await setup.contract(ib), order)
        await until(ib.orderStatusEvent, trade.isDone)
        return trade

    trade = play(script)
    assert (trade.orderStatus.status, trade.filled()) == ("Filled", 1_200)
    times = [fill.execution.time for fill in trade.fills]
    assert times == sorted(times)
    assert len(set(times)) == 6
    # Six parts in the switch algo_seconds, by default 60: five times ten seconds from the first to the last. For
    # PctVol a tenth of 10,000 shares a minute: 1,200 shares take 72 seconds, five sixths of it are 60.
    assert (times[-1] - times[0]).total_seconds() == (60 if algo == "PctVol" else 50)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"algoStrategy": "Guess"}, 439),
        ({"algoStrategy": "Vwap", "algoParams": [TagValue("maxPctVol", "0.9")]}, 441),
        ({"algoStrategy": "Twap", "algoParams": [TagValue("strategyType", "Marketable")]}, 443),
        ({"orderType": "MOC", "algoStrategy": "Vwap"}, 442),
        ({"orderType": "REL"}, 158),
        ({"orderType": "PEG MID", "auxPrice": 0.0}, 387),
        ({"orderType": "MOC", "tif": "GTC"}, 113),
        ({"orderType": "TRAIL", "auxPrice": 1.0, "tif": "OPG"}, 111),
    ],
)
def test_a_refused_order_has_its_code(terms, code):
    async def script(setup):
        ib = await setup.connect()
        order = Order(**({"action": "BUY", "totalQuantity": 1, "orderType": "MKT", "tif": "DAY"} | terms))
        trade = ib.placeOrder(await setup.contract(ib), order)
        await until(ib.errorEvent, lambda: trade.log[-1].errorCode)
        return trade.log[-1].errorCode

    assert play(script) == code


def test_an_order_for_the_close_waits_for_the_auction_of_an_event():
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib)
        at_close = [
            ib.placeOrder(
                contract, Order(action="BUY", totalQuantity=500, tif="DAY", orderType=kind, lmtPrice=price)
            )
            for kind, price in (("MOC", 0.0), ("LOC", 400.3), ("LOC", 400.1))
        ]
        await until(ib.orderStatusEvent, lambda: all(one.orderStatus.status == "PreSubmitted" for one in at_close))
        setup.server.venue.events.run({"do": "auction", "price": 400.2})
        setup.server.flush()
        await until(ib.orderStatusEvent, lambda: all(one.isDone() for one in at_close))
        return [(one.orderStatus.status, one.orderStatus.avgFillPrice) for one in at_close]

    found = play(script, scenario={"switches": {"auctions": "wait"}})
    assert found == [("Filled", 400.2), ("Filled", 400.2), ("Cancelled", 0.0)]


@pytest.mark.parametrize(("kind", "answered"), [("answered", True), ("incomplete", True), ("10349", False)])
def test_what_if_ends_for_ib_async_as_its_answers_say(kind, answered):
    """The harmless code is the end for it, with an empty list as state; an answer without margins it skips."""

    async def script(setup):
        ib = await setup.connect()
        return await ib.whatIfOrderAsync(await setup.contract(ib), MarketOrder("BUY", 100, tif="DAY"))

    state = play(script, scenario={"switches": {"what_if": kind}})
    assert (float(state.maintMarginAfter) == 10_000.0) if answered else state == []


def test_positions_and_values_follow_the_executions():
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib)
        trade = ib.placeOrder(contract, MarketOrder("BUY", 100, tif="DAY"))
        await until(ib.updatePortfolioEvent, lambda: trade.isDone() and ib.portfolio())
        summary = {one.tag: one.value for one in await ib.accountSummaryAsync()}
        return ib.positions(), ib.portfolio(), summary

    (position,), (line,), summary = play(script)
    assert (position.position, position.avgCost) == (100, 400.11)
    assert (line.marketPrice, line.unrealizedPNL) == (400.0, -11.0)
    assert summary["TotalCashValue"] == "959989.00"


def test_after_a_reconnect_orders_executions_and_positions_are_found():
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib)
        done = ib.placeOrder(contract, MarketOrder("BUY", 250, tif="DAY", orderRef="done"))
        open_ = ib.placeOrder(contract, LimitOrder("BUY", 10, 390.0, tif="GTC", orderRef="open"))
        placed = ib.orderStatusEvent
        await until(placed, lambda: done.isDone() and open_.orderStatus.status == "Submitted")
        gone = asyncio.Event()
        ib.disconnectedEvent += gone.set
        setup.server.venue.disconnect(None, "test")
        setup.server.flush()
        await asyncio.wait_for(gone.wait(), WAIT)
        again = await setup.connect()
        first = again.openTrades()[0]
        again.cancelOrder(first.order)
        await until(again.orderStatusEvent, first.isDone)
        fills = await again.reqExecutionsAsync(ExecutionFilter())
        completed = await again.reqCompletedOrdersAsync(apiOnly=False)
        return first, fills, completed, again.client.getReqId()

    first, fills, completed, next_id = play(script)
    assert (first.order.orderRef, first.orderStatus.status) == ("open", "Cancelled")
    assert [(fill.execution.orderRef, fill.execution.shares) for fill in fills] == [
        ("done", 200),
        ("done", 50),
    ]
    assert {trade.order.orderRef for trade in completed} == {"done", "open"}
    assert next_id > first.order.orderId


@pytest.mark.slow
def test_a_client_id_in_use_is_refused():
    async def script(setup):
        await setup.connect(client_id=3)
        seen = []
        second = IB()
        second.errorEvent += lambda _, number, *__: seen.append(number)
        with pytest.raises((TimeoutError, ConnectionError)):
            await second.connectAsync("127.0.0.1", setup.server.port, clientId=3, timeout=0.5)
        return seen

    assert 326 in play(script)


def test_two_clients_see_each_others_open_orders_but_cannot_cancel_them():
    async def script(setup):
        first, second = await setup.connect(1), await setup.connect(2)
        contract = await setup.contract(first)
        trade = first.placeOrder(contract, LimitOrder("BUY", 10, 390.0, tif="GTC", orderRef="mine"))
        await until(first.orderStatusEvent, lambda: trade.orderStatus.status == "Submitted")
        (seen,) = await second.reqAllOpenOrdersAsync()
        codes = []
        second.errorEvent += lambda _, number, *__: codes.append(number)
        second.client.cancelOrder(trade.order.orderId)
        await until(second.errorEvent, lambda: codes)
        second.reqGlobalCancel()
        await until(first.orderStatusEvent, trade.isDone)
        return seen.order.orderRef, seen.order.clientId, codes

    assert play(script) == ("mine", 1, [10147])


@pytest.mark.parametrize("scenario", ["noise", "torn_wire", "corrections", "cancel_races", "partial_then_cancel"])
def test_shipped_scenarios_decode_without_an_error(scenario):
    async def script(setup):
        ib = await setup.connect()
        contract = await setup.contract(ib)
        for _ in range(4):
            ib.placeOrder(contract, MarketOrder("BUY", 100, tif="DAY"))
        gone = asyncio.Event()
        ib.disconnectedEvent += gone.set
        if scenario == "torn_wire":
            for _ in range(6):
                ib.placeOrder(contract, MarketOrder("SELL", 400, tif="DAY"))
            await asyncio.wait_for(gone.wait(), WAIT)
        else:
            await asyncio.wait_for(ib.reqCurrentTimeAsync(), WAIT)

    play(script, scenario=scenario)
