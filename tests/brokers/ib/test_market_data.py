"""Looking up instruments and quotes over a connection that answers from a table."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from stocklean_exec.brokers.ib.instruments import Instrument, Listing, Refusal
from stocklean_exec.brokers.ib.market_data import MarketDataService
from stocklean_exec.brokers.ib.quote_times import Answer
from stocklean_exec.errors import BrokerError
from stocklean_exec.schema.missing_quotes import missing_quotes
from stocklean_exec.schema.tables import QUOTES

NOON = datetime(2022, 12, 29, 17, tzinfo=UTC)
NAN = float("nan")


def contract(con_id, currency="USD", primary="ARCA", sec_type="STK", symbol="SPY", **terms):
    found = SimpleNamespace(
        symbol=symbol, conId=con_id, currency=currency, primaryExchange=primary, exchange="SMART", secType=sec_type
    )
    return Listing(found, **terms)


class Table:
    """A connection with given answers; ``asked`` lists the requests."""

    def __init__(self, contracts, answers=(), delayed=()):
        self.contracts, self.answers, self.delayed = contracts, dict(answers), dict(delayed)
        self.asked, self.at_once, self.most = [], 0, 0

    async def contract_details(self, instrument):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.asked.append(instrument.symbol)
        return self.contracts.get(instrument.symbol, Refusal(200, "no definition"))

    async def snapshot(self, found):
        return self.answers[found.conId]

    async def price_steps(self, rule_id):
        self.asked.append(rule_id)
        return {7: ((0.0, 0.5), (500.0, 1.0))}.get(rule_id, ())

    async def use_delayed_data(self):
        self.asked.append("delayed")
        self.answers |= self.delayed


def live(bid, kind=1):
    return Answer(bid, bid + 0.1, bid, NAN, 100.0, 200.0, kind, NOON)


def quotes(connection, *symbols, service=None, strict=True):
    return asyncio.run(
        (service or MarketDataService()).quotes(connection, [Instrument(name) for name in symbols], strict=strict)
    )


def test_a_quote_has_its_own_time_and_unset_numbers_are_missing():
    frame = quotes(Table({"SPY": [contract(1)]}, {1: live(400.0)}), "SPY")
    assert tuple(frame.columns[: len(QUOTES.names) + 1]) == (*QUOTES.names, "data_type")
    row = frame.iloc[0]
    assert (row["bid"], row["quoted_at"], row["data_type"]) == (400.0, NOON, 1)
    assert (row["time_source"], row["con_id"], row["primary_exchange"]) == ("received", 1, "ARCA")
    assert frame[["close", "halted", "lot_size"]].isna().to_numpy().all()


def test_the_price_steps_of_a_rule_are_asked_for_once_for_all_its_contracts():
    service = MarketDataService()
    names = ("AAA", "BBB", "CCC", "DDD")
    rules = dict(zip(names, (7, 7, 8, 0), strict=True))
    found = {name: [contract(rule, symbol=name, rule_id=rule, magnifier=100.0)] for name, rule in rules.items()}
    connection = Table(found, {rule: live(400.0) for rule in rules.values()})
    frame = quotes(connection, *names, service=service)
    assert connection.asked == [*names, 7, 8]
    # Pence: half a penny below 500, a penny from there on; rule 8 is not reported, and DDD has none.
    assert frame["price_steps"].tolist()[:2] == ["0:0.005;5:0.01"] * 2
    assert frame["price_steps"].isna().tolist() == [False, False, True, True]
    asyncio.run(service.qualify(connection, [Instrument("AAA")]))
    assert connection.asked == [*names, 7, 8]


def test_currency_pairs_are_no_symbols_that_were_looked_up():
    service = MarketDataService()
    connection = Table(
        {"SPY": [contract(1)], "EUR": [contract(2, sec_type="CASH", symbol="EUR")]}, {1: live(400.0)}
    )
    asyncio.run(service.qualify(connection, [Instrument("SPY"), Instrument("EUR", "CASH")]))
    assert service.symbols() == ["SPY"]
    assert service.listing(Instrument("EUR", "CASH")).contract.conId == 2
    assert service.listing(Instrument("TLT")) is None
    service.name([Instrument("VOD", currency="GBP")])
    assert service.instrument("VOD").currency == "GBP"
    assert service.instrument("TLT") == Instrument("TLT")


def test_prices_in_pence_are_quotes_in_pounds():
    pence = Answer(4293.9999, 4294.5, 4293.0, 4200.0, 300.0, 100.0, 1, NOON)
    connection = Table({"GAW": [contract(1, "GBP", "LSE", symbol="GAW", magnifier=100.0)]}, {1: pence})
    frame = asyncio.run(MarketDataService().quotes(connection, [Instrument("GAW", currency="GBP")], strict=True))
    assert frame[["bid", "ask", "last", "close"]].to_numpy().tolist() == [[42.939999, 42.945, 42.93, 42.0]]
    assert frame[["bid_size", "currency"]].to_numpy().tolist() == [[300.0, "GBP"]]


def test_delayed_data_is_requested_once_and_only_for_symbols_without_live_data():
    connection = Table(
        {"SPY": [contract(1)], "TLT": [contract(2)]},
        {1: live(400.0), 2: Refusal(10089, "subscribe")},
        {2: live(100.0, 3)},
    )
    service = MarketDataService()
    frame = quotes(connection, "SPY", "TLT", service=service)
    assert frame["data_type"].tolist() == [1, 3]
    quotes(connection, "TLT", service=service)
    assert connection.asked.count("delayed") == 1


def test_no_market_data_is_an_error_except_for_a_run():
    connection = Table({"SPY": [contract(1)]}, {1: Refusal(354, "not subscribed")})
    with pytest.raises(BrokerError, match="354"):
        quotes(connection, "SPY")
    assert quotes(connection, "SPY", strict=False).empty


def test_the_error_names_five_symbols_without_data_and_each_snapshot_is_logged():
    names = [f"S{number}" for number in range(6)]
    contracts = {name: [contract(number)] for number, name in enumerate(names)}
    connection, progress = Table(contracts, dict.fromkeys(range(6), Refusal(354, "not subscribed"))), []
    instruments = [Instrument(name) for name in names]
    with pytest.raises(BrokerError, match=r"no market data for S0, S1, S2, S3, S4: "):
        asyncio.run(
            MarketDataService().quotes(
                connection, instruments, strict=True, on_progress=lambda *news: progress.append(news)
            )
        )
    assert progress == [(number, 6) for number in range(1, 7)]


def test_one_symbol_without_data_does_not_hide_the_others_and_its_reason_is_noted():
    connection = Table({"SPY": [contract(1)], "TLT": [contract(2)]}, {1: live(400.0), 2: Refusal(0, "silence")})
    frame = quotes(connection, "SPY", "TLT", "NOPE")
    assert frame[["symbol", "con_id"]].to_numpy().tolist() == [["SPY", 1]]
    assert missing_quotes(frame) == {
        "TLT": ("no_market_data", "silence (0)"),
        "NOPE": ("unknown_instrument", "no definition (200)"),
    }


def test_an_instrument_is_looked_up_once():
    connection, service = Table({"SPY": [contract(1)]}, {1: live(400.0)}), MarketDataService()
    quotes(connection, "SPY", "SPY", service=service)
    quotes(connection, "SPY", service=service)
    assert connection.asked == ["SPY"]


def test_only_the_contract_in_the_requested_currency_is_used():
    connection, service = Table({"SPY": [contract(1, "MXN"), contract(2), contract(2)]}), MarketDataService()
    assert asyncio.run(service.qualify(connection, [Instrument("SPY")])) == {}
    assert service.listing(Instrument("SPY")).contract.conId == 2


NONE = "TWS knows no STK SPY in USD"
SEVERAL = "SPY is ambiguous at TWS: ARCA 1, NYSE 2; give con_id or primary_exchange"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], NONE),
        ([contract(1, "MXN")], f"{NONE}; it has ARCA MXN 1"),
        ([contract(1, sec_type="WAR")], NONE),
        ([contract(1), contract(2, primary="NYSE")], SEVERAL),
    ],
)
def test_no_contract_or_several_matching_contracts_are_refused(found, why):
    refused = asyncio.run(MarketDataService().qualify(Table({"SPY": found}), [Instrument("SPY")]))
    assert refused[Instrument("SPY")][:2] == (200, why)
    assert refused[Instrument("SPY")].reason == (
        "ambiguous_instrument" if why == SEVERAL else "unknown_instrument"
    )


def test_concurrent_contract_look_ups_are_limited():
    names = [f"S{number}" for number in range(100)]
    connection, published = Table({name: [contract(number)] for number, name in enumerate(names)}), []
    asyncio.run(
        MarketDataService().qualify(
            connection, [Instrument(name) for name in names], lambda *news: published.append(news)
        )
    )
    assert 10 < connection.most <= 40
    assert published[-1] == (100, 100)


def hours(service, connection, at, *symbols):
    wanted = [Instrument(name) for name in symbols]
    found = asyncio.run(service.hours(connection, wanted, at))
    return {one.symbol: listing.hours for one, listing in found.items()}


def test_hours_are_asked_again_when_they_are_half_a_day_old():
    service = MarketDataService()
    connection = Table({"SPY": [contract(1, hours="old", read_at=NOON)]})
    assert hours(service, connection, NOON, "SPY", "XX") == {"SPY": "old"}
    connection.contracts["SPY"] = [contract(1, hours="new", read_at=NOON + timedelta(hours=13))]
    assert hours(service, connection, NOON + timedelta(hours=12), "SPY") == {"SPY": "old"}
    assert hours(service, connection, NOON + timedelta(hours=12, seconds=1), "SPY") == {"SPY": "new"}
    assert connection.asked.count("SPY") == 2


def test_hours_stay_where_tws_does_not_report_them_again():
    service = MarketDataService()
    connection = Table({"SPY": [contract(1, hours="old", read_at=NOON)]})
    hours(service, connection, NOON, "SPY")
    connection.contracts.clear()
    assert hours(service, connection, NOON + timedelta(days=1), "SPY") == {"SPY": "old"}
    assert service.listing(Instrument("SPY")).hours == "old"
