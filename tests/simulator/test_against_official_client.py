"""The official Python client over a real socket: a second independent client of the simulator.

Its package is in the test extra and is not part of this project.
"""

# ruff: noqa: N802, ARG002 - callbacks have the names and the arguments of the official wrapper

import threading
from decimal import Decimal

import pytest

from tests.extras import need

need("ibapi", "test")

from ibapi.client import EClient  # noqa: E402 - see above
from ibapi.contract import Contract  # noqa: E402 - see above
from ibapi.execution import ExecutionFilter  # noqa: E402 - see above
from ibapi.order import Order  # noqa: E402 - see above
from ibapi.order_cancel import OrderCancel  # noqa: E402 - see above
from ibapi.tag_value import TagValue  # noqa: E402 - see above
from ibapi.wrapper import EWrapper  # noqa: E402 - see above

from stocklean_exec.simulator import Simulator  # noqa: E402 - see above

QUOTES = {
    "SPY": {"bid": 399.90, "ask": 400.10, "last": 400.0, "close": 398.0, "bid_size": 300, "ask_size": 200},
}
WAIT = 10


class App(EWrapper, EClient):
    """Records every callback."""

    def __init__(self):
        EClient.__init__(self, self)
        self.seen = []
        self.news = threading.Condition()

    def note(self, *what):
        with self.news:
            self.seen.append(what)
            self.news.notify_all()

    def wait(self, *beginning, count=1):
        """Wait for ``count`` callbacks with this beginning; return all of them."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.found(*beginning)) >= count, WAIT), self.seen
            return self.found(*beginning)

    def found(self, *beginning):
        return [one for one in self.seen if one[: len(beginning)] == beginning]

    def nextValidId(self, order_id):
        self.note("id", order_id)

    def managedAccounts(self, accounts):
        self.note("accounts", accounts)

    def error(self, req_id, _, code, text, *__):
        self.note("error", req_id, code, text)

    def contractDetails(self, req_id, details):
        self.note("details", req_id, details)

    def contractDetailsEnd(self, req_id):
        self.note("details end", req_id)

    def openOrder(self, order_id, contract, order, state):
        self.note("open", order_id, state.status, order, state, contract)

    def openOrderEnd(self):
        self.note("open end")

    def orderStatus(self, order_id, status, filled, remaining, average, *rest):
        self.note("status", order_id, status, filled, remaining, average)

    def execDetails(self, req_id, contract, execution):
        self.note("execution", req_id, execution)

    def execDetailsEnd(self, req_id):
        self.note("execution end", req_id)

    def commissionAndFeesReport(self, report):
        self.note("commission", report)

    def completedOrder(self, contract, order, state):
        self.note("completed", order, state)

    def completedOrdersEnd(self):
        self.note("completed end")

    def position(self, account, contract, position, cost):
        self.note("position", contract.symbol, position, cost)

    def positionEnd(self):
        self.note("position end")

    def accountSummary(self, req_id, account, tag, value, currency):
        self.note("summary", tag, value)

    def accountSummaryEnd(self, req_id):
        self.note("summary end")

    def updateAccountValue(self, key, value, currency, account):
        self.note("value", key, currency, value)

    def updatePortfolio(self, contract, position, price, value, cost, unrealized, realized, account):
        self.note("portfolio", contract.symbol, position, unrealized)

    def accountDownloadEnd(self, account):
        self.note("download end", account)

    def tickPrice(self, req_id, kind, price, attributes):
        self.note("price", kind, price)

    def tickSize(self, req_id, kind, size):
        self.note("size", kind, size)

    def tickSnapshotEnd(self, req_id):
        self.note("snapshot end", req_id)

    def historicalData(self, req_id, bar):
        self.note("bar", bar.date, bar.close)

    def historicalDataEnd(self, req_id, first, last):
        self.note("bar end", req_id)

    def symbolSamples(self, req_id, samples):
        self.note("samples", [one.contract.symbol for one in samples])

    def marketRule(self, rule, increments):
        self.note("rule", rule, [one.increment for one in increments])

    def currentTime(self, now):
        self.note("time", now)

    def pnl(self, req_id, daily, unrealized, realized):
        self.note("pnl", daily, unrealized, realized)

    def userInfo(self, req_id, info):
        self.note("user", info)


@pytest.fixture
def simulate():
    """Starts simulators and connects official clients to them."""
    simulators, apps = [], []

    def begin(client_id=9, simulator=None, **options):
        if simulator is None:
            simulator = Simulator(quotes=QUOTES, seed=7, **options).start()
            simulators.append(simulator)
        app = App()
        app.connect("127.0.0.1", simulator.port, client_id)
        thread = threading.Thread(target=app.run, daemon=True)
        thread.start()
        apps.append((app, thread))
        return simulator, app

    yield begin
    for app, thread in apps:
        app.disconnect()
        thread.join(WAIT)
    for simulator in simulators:
        assert simulator.call(lambda venue: venue.failures) == []
        simulator.stop()


def spy():
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "SPY", "STK", "SMART", "USD"
    return contract


def order(action, quantity, kind="MKT", **more):
    made = Order()
    made.action, made.totalQuantity, made.orderType, made.tif = action, Decimal(quantity), kind, "DAY"
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("version", [157, 163, 164, 170, 176, 178])
def test_the_official_client_connects_requests_a_contract_and_trades(simulate, version):
    _, app = simulate(server_version=version)
    app.wait("id", 1)
    assert app.serverVersion() == version
    app.reqContractDetails(1, spy())
    app.wait("details end", 1)
    details = app.found("details", 1)[0][2]
    assert (details.contract.symbol, details.minTick, details.longName) == ("SPY", 0.01, "SPY ETF")
    made = order("BUY", 450, orderRef="run-1-SPY-BUY")
    made.exemptCode = -1
    app.placeOrder(1, spy(), made)
    app.wait("commission", count=3)
    assert [one[2].shares for one in app.found("execution", -1)] == [200, 200, 50]
    last = app.found("status", 1)[-1]
    assert last[2:] == ("Filled", 450, 0, 400.1)
    assert app.found("open", 1)[-1][3].orderRef == "run-1-SPY-BUY"
    assert sum(one[1].commissionAndFees for one in app.found("commission")) == 2.25


@pytest.mark.slow
def test_an_order_can_be_modified_cancelled_and_rejected(simulate):
    _, app = simulate()
    app.wait("id", 1)
    app.placeOrder(1, spy(), order("BUY", 10, "LMT", lmtPrice=390.0))
    app.wait("status", 1, "Submitted")
    app.placeOrder(1, spy(), order("BUY", 20, "LMT", lmtPrice=391.0))
    changed = app.wait("open", 1, "Submitted", count=2)[-1][3]
    assert (changed.totalQuantity, changed.lmtPrice) == (20, 391.0)
    app.reqOpenOrders()
    app.wait("open end")
    app.cancelOrder(1, OrderCancel())
    app.wait("error", 1, 202)
    assert app.found("status", 1)[-1][2] == "Cancelled"
    app.placeOrder(2, spy(), order("BUY", 10, "LMT", lmtPrice=390.005))
    app.wait("error", 2, 110)
    app.placeOrder(3, spy(), order("BUY", 10, "FEELINGS"))
    app.wait("error", 3, 321)
    app.cancelOrder(77, OrderCancel())
    app.wait("error", 77, 10147)


@pytest.mark.slow
def test_an_algo_order_and_a_what_if_order(simulate):
    _, app = simulate()
    app.wait("id", 1)
    made = order("BUY", 10, algoStrategy="Adaptive", algoParams=[TagValue("adaptivePriority", "Normal")])
    app.placeOrder(1, spy(), made)
    app.wait("status", 1, "Filled")
    assert app.found("open", 1)[-1][3].algoParams[0].value == "Normal"
    app.placeOrder(2, spy(), order("BUY", 100, whatIf=True))
    state = app.wait("open", 2)[0][4]
    assert (float(state.initMarginChange), state.commissionAndFees) == (10_000.0, 1.0)


@pytest.mark.slow
def test_all_requests_are_answered(simulate):
    _, app = simulate()
    app.wait("id", 1)
    app.placeOrder(1, spy(), order("BUY", 100))
    app.wait("commission")
    app.reqExecutions(5, ExecutionFilter())
    app.wait("execution end", 5)
    assert [one[2].execId for one in app.found("execution", 5)] == [
        one[2].execId for one in app.found("execution", -1)
    ]
    app.reqCompletedOrders(apiOnly=False)
    app.wait("completed end")
    assert app.found("completed")[0][2].completedStatus == "Filled Size: 100"
    app.reqPositions()
    app.wait("position end")
    assert app.found("position", "SPY")[0][2:] == (100, 400.11)
    app.reqAccountSummary(6, "All", "NetLiquidation,TotalCashValue")
    app.wait("summary end")
    assert app.found("summary", "TotalCashValue")[0][2] == "959989.00"
    app.reqAccountUpdates(subscribe=True, acctCode="")
    app.wait("download end")
    assert app.found("portfolio", "SPY")[0][2:] == (100, -11.0)
    app.reqMktData(7, spy(), "", snapshot=True, regulatorySnapshot=False, mktDataOptions=[])
    app.wait("snapshot end", 7)
    assert {one[1]: one[2] for one in app.found("price")} == {1: 399.9, 2: 400.1, 4: 400.0, 9: 398.0}
    app.reqHistoricalData(8, spy(), "", "5 D", "1 day", "TRADES", 1, 1, keepUpToDate=False, chartOptions=[])
    app.wait("bar end", 8)
    assert len(app.found("bar")) == 5
    app.reqMatchingSymbols(9, "SP")
    assert app.wait("samples")[0][1] == ["SPY"]
    app.reqMarketRule(26)
    assert app.wait("rule", 26)[0][2] == [0.01]
    app.reqPnL(10, "DU0000001", "")
    assert app.wait("pnl")[0][1:] == (-11.0, -11.0, 0.0)
    app.reqUserInfo(11)
    app.wait("user")
    app.reqCurrentTime()
    app.wait("time")


@pytest.mark.slow
def test_after_a_reconnect_the_open_order_is_there_and_can_be_cancelled(simulate):
    simulator, app = simulate()
    app.wait("id", 1)
    app.placeOrder(1, spy(), order("BUY", 10, "LMT", lmtPrice=390.0, orderRef="open"))
    app.wait("status", 1, "Submitted")
    # The server disconnects: if the client does, its socket stays open until its reader thread notices.
    simulator.event("disconnect", client_id=9)
    assert simulator.call(lambda venue: len(venue.ledger.active)) == 1
    _, again = simulate(simulator=simulator, client_id=9)
    again.wait("id", 2)
    again.reqOpenOrders()
    again.wait("open end")
    assert again.found("open", 1)[0][3].orderRef == "open"
    again.cancelOrder(1, OrderCancel())
    again.wait("error", 1, 202)


@pytest.mark.slow
def test_both_clients_see_the_same_orders_and_positions(simulate):
    """One venue, two official clients: the second sees what the first did."""
    simulator, first = simulate(client_id=1)
    first.wait("id", 1)
    first.placeOrder(1, spy(), order("BUY", 10, "LMT", lmtPrice=390.0))
    first.wait("status", 1, "Submitted")
    _, second = simulate(simulator=simulator, client_id=2)
    second.wait("id", 1)
    second.reqAllOpenOrders()
    second.wait("open end")
    assert second.found("open", 1)[0][3].clientId == 1
    second.reqGlobalCancel(OrderCancel())
    first.wait("error", 1, 202)


HELD = [
    {"kind": "TRAIL", "auxPrice": 2.0},
    {"kind": "TRAIL", "trailingPercent": 2.0},
    {"kind": "TRAIL LIMIT", "auxPrice": 2.0, "lmtPriceOffset": 0.1, "trailStopPrice": 390.0},
    {"kind": "MIT", "auxPrice": 410.0},
    {"kind": "LIT", "auxPrice": 410.0, "lmtPrice": 409.0},
    {"kind": "STP", "auxPrice": 390.0},
]


@pytest.mark.slow
@pytest.mark.parametrize("version", [157, 176, 178])
def test_every_type_that_waits_for_a_trigger_is_held_and_cancelled(simulate, version):
    simulator, app = simulate(server_version=version)
    app.wait("id", 1)
    for number, terms in enumerate(HELD, start=1):
        made = order("SELL", 5, terms["kind"], **{name: value for name, value in terms.items() if name != "kind"})
        made.exemptCode = -1
        app.placeOrder(number, spy(), made)
        app.wait("status", number, "PreSubmitted")
        assert app.found("open", number)[0][3].orderType == terms["kind"]
    assert app.found("open", 2)[0][3].trailingPercent == 2.0
    app.placeOrder(7, spy(), order("BUY", 5, "REL", auxPrice=0.01, exemptCode=-1))
    app.wait("status", 7, "Submitted")
    app.reqGlobalCancel(OrderCancel())
    for number in range(1, 8):
        app.wait("error", number, 202)
    assert simulator.call(lambda venue: len(venue.ledger.active)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("version", [157, 178])
def test_an_algorithm_works_an_order_and_refuses_what_it_does_not_know(simulate, version):
    _, app = simulate(server_version=version)
    app.wait("id", 1)
    made = order("BUY", 120, algoStrategy="Vwap", algoParams=[TagValue("maxPctVol", "0.5")], exemptCode=-1)
    app.placeOrder(1, spy(), made)
    app.wait("status", 1, "Filled")
    # 3, 2, 2, 2, 2, 3 of 14 of 120 shares are 25.7, 42.9, 60, 77.1, 94.3 and 120 together.
    assert [one[2].shares for one in app.found("execution", -1)] == [25, 17, 18, 17, 17, 26]
    made.algoStrategy, made.algoParams = "Twap", [TagValue("strategyType", "Marketable")]
    app.placeOrder(2, spy(), made)
    app.wait("error", 2, 443)


@pytest.mark.slow
def test_a_what_if_order_shows_all_its_effects(simulate):
    _, app = simulate()
    app.wait("id", 1)
    app.placeOrder(1, spy(), order("BUY", 100, whatIf=True))
    state = app.wait("open", 1)[0][4]
    margins = [state.initMarginBefore, state.maintMarginChange, state.maintMarginAfter]
    assert [float(text) for text in margins] == [0.0, 10_000.0, 10_000.0]
    assert (float(state.equityWithLoanBefore), float(state.equityWithLoanAfter)) == (1_000_000.0, 999_999.0)
    app.placeOrder(2, spy(), order("BUY", 100, whatIf=True, transmit=False))
    app.wait("error", 2, 413)


LONDON = {"symbol": "ABC", "bid": 804.5, "ask": 805.5, "currency": "GBP", "price_magnifier": 100, "min_tick": 0.5}


@pytest.mark.slow
@pytest.mark.parametrize("version", [157, 163, 178])
def test_pence_lots_and_pairs_are_read_at_every_kind_of_version(simulate, version):
    _, app = simulate(scenario={"quote": [LONDON | {"size_increment": 10}]}, server_version=version)
    app.wait("id", 1)
    london = spy()
    london.symbol, london.currency = "ABC", "GBP"
    app.reqContractDetails(1, london)
    app.wait("details end", 1)
    details = app.found("details", 1)[0][2]
    assert (details.priceMagnifier, details.minTick, details.contract.currency) == (100, 0.5, "GBP")
    pair = spy()
    pair.symbol, pair.secType, pair.exchange, pair.currency = "GBP", "CASH", "IDEALPRO", "USD"
    made = order("BUY", 20_000)
    made.exemptCode = -1
    app.placeOrder(1, pair, made)
    (report,) = [one[1] for one in app.wait("commission", count=1)]
    assert (report.commissionAndFees, report.currency) == (2.0, "USD")
