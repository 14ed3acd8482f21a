"""Contract details, quotes, history, rules."""

import pytest

CONTRACT = ("0", "SPY", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")


def details(peer, *contract):
    return peer.send("9", "8", "5", *(contract or CONTRACT), "0", "", "", "")


def ticks(messages):
    return {int(fields[3]): fields[4] for fields in messages if fields[0] in {"1", "2"}}


def test_contract_details_are_the_contract_and_an_end(connect):
    seen = details(connect())
    assert [fields[0] for fields in seen] == ["10", "52"]
    fields = seen[0]
    assert (fields[2], fields[3], fields[7], fields[8], fields[13]) == ("SPY", "STK", "SMART", "USD", "0.01")
    assert int(fields[12]) > 0


def test_a_contract_is_found_again_by_its_id(connect):
    peer = connect()
    con_id = details(peer)[0][12]
    assert details(peer, con_id, *CONTRACT[1:])[0][12] == con_id
    assert details(peer, con_id, "", "", "", "", "", "", "", "", "", "", "")[0][12] == con_id


def test_an_unknown_contract_is_error_200(connect):
    seen = details(connect(), "0", "ZZZZNONE", *CONTRACT[2:])
    assert seen[0][2:5] == ["5", "200", "No security definition has been found for the request"]


def test_a_snapshot_has_all_ticks_and_always_its_end(connect):
    seen = connect().send("1", "11", "5", *CONTRACT, "0", "", "1", "0", "")
    assert [fields[0] for fields in seen[:2]] == ["58", "81"]
    assert seen[-1] == ["57", "1", "5"]
    found = ticks(seen)
    assert (found[1], found[2], found[4], found[9]) == ("399.9", "400.1", "400.0", "398.0")
    assert (found[0], found[3]) == ("300", "200")


@pytest.mark.parametrize("quotes", [{"SPY": {"bid": 400.0}}, {"SPY": {"last": 400.0}}, {"SPY": {"close": 400.0}}])
def test_a_snapshot_of_a_one_sided_quote_ends_too(connect, quotes):
    seen = connect(quotes=quotes).send("1", "11", "5", *CONTRACT, "0", "", "1", "0", "")
    assert seen[-1] == ["57", "1", "5"]


def test_a_stream_continues_until_it_is_cancelled(connect):
    peer = connect()
    seen = peer.send("1", "11", "5", *CONTRACT, "0", "", "0", "0", "")
    assert "57" not in [fields[0] for fields in seen]
    peer.venue.move("SPY", bid=401.0, ask=401.2)
    assert ticks(peer.take())[2] == "401.2"
    peer.send("2", "2", "5")
    peer.venue.move("SPY", bid=402.0, ask=402.2)
    assert peer.take() == []
    assert [fields[3] for fields in peer.send("2", "2", "5")] == ["300"]


def test_a_ticker_id_in_use_is_error_102(connect):
    peer = connect()
    ask = ("1", "11", "5", *CONTRACT, "0", "", "0", "0", "")
    peer.send(*ask)
    assert [fields[3] for fields in peer.send(*ask)] == ["102"]


def test_delayed_data_has_its_own_tick_types_and_must_be_requested(connect):
    peer = connect({"switches": {"market_data": "delayed"}})
    ask = ("1", "11", "5", *CONTRACT, "0", "", "1", "0", "")
    assert [fields[3] for fields in peer.send(*ask)] == ["10089"]
    assert peer.send("59", "1", "3") == []
    seen = peer.send(*ask)
    assert seen[0] == ["58", "1", "5", "3"]
    assert ticks(seen)[66] == "399.9"
    assert ticks(seen)[67] == "400.1"
    assert seen[-1][0] == "57"


def test_delayed_data_can_be_forced_and_data_refused(connect):
    ask = ("1", "11", "5", *CONTRACT, "0", "", "1", "0", "")
    forced = connect({"switches": {"market_data": "forced_delayed"}}).send(*ask)
    assert (forced[0][3], forced[-1][0]) == ("10167", "57")
    assert [fields[3] for fields in connect({"switches": {"market_data": "none"}}).send(*ask)] == ["354"]


def test_an_unknown_market_data_type_is_an_error(connect):
    assert [fields[3] for fields in connect().send("59", "1", "7")] == ["321"]


def history(peer, duration="5 D", size="1 day", end=""):
    return peer.send("20", "5", *CONTRACT, "0", end, size, duration, "1", "TRADES", "1", "0", "")


def test_daily_bars_are_ordered_consistent_and_end_before_now(connect):
    fields = history(connect())[0]
    assert (fields[0], fields[1], fields[4]) == ("17", "5", "5")
    bars = [fields[5 + 8 * number : 13 + 8 * number] for number in range(5)]
    dates = [bar[0] for bar in bars]
    assert dates == sorted(dates)
    assert dates[-1] <= "20221229"
    for _, first, high, low, close, *_ in bars:
        assert float(low) <= min(float(first), float(close)) <= max(float(first), float(close)) <= float(high)


def test_missing_history_is_error_162(connect):
    peer = connect()
    for requested in ({"size": "1 hour"}, {"duration": "5 X"}, {"duration": "many"}, {"end": "noon"}):
        assert [fields[3] for fields in history(peer, **requested)] == ["162"]


def test_symbols_are_found_by_prefix(connect):
    seen = connect().send("81", "5", "SP")
    assert seen[0][:6] == ["79", "5", "1", seen[0][3], "SPY", "STK"]
    assert connect().send("81", "5", "QQQQQ") == [["79", "5", "0"]]


def test_market_rules_are_known_by_id(connect):
    assert connect().send("91", "26") == [["93", "26", "1", "0", "0.01"]]
    assert [fields[3] for fields in connect().send("91", "1")] == ["321"]


def test_the_rule_of_a_contract_with_price_steps_is_sent_and_kept(connect):
    peer = connect(quotes={"ABC": {"bid": 9.99, "ask": 10.01, "last": 10.0, "price_steps": "0:0.005;10:0.01"}})
    peer.send("9", "8", "5", "0", "ABC", "STK", "", "", "", "", "SMART", "", "USD", "", "", "0", "", "", "")
    rule = str(peer.venue.catalogue.by_key("ABC").market_rule)
    (details,) = [fields for fields in peer.seen if fields[0] == "10"]
    assert any(set(text.split(",")) == {rule} for text in details)
    assert peer.send("91", rule) == [["93", rule, "2", "0", "0.005", "10.0", "0.01"]]
    for number, limit, code in ((1, "9.995", []), (2, "10.005", ["110"]), (3, "9.997", ["110"]), (4, "10.01", [])):
        seen = peer.place(number, "ABC", action="SELL", order_type="LMT", limit=limit)
        assert [fields[3] for fields in seen if fields[0] == "4"] == code


def test_the_first_day_of_the_history_is_sent(connect):
    assert connect().send("87", "5", *CONTRACT, "0", "1", "TRADES", "1")[0][:2] == ["88", "5"]


def test_no_nan_is_sent(connect, recorded):
    """An official client of 2020 (version 157) stops reading at a size of ``nan``."""
    peer = connect(quotes={"SPY": {"last": 400.0}, "AAPL": {"close": 12.0, "bid": 11.9, "ask": 12.1}})
    for symbol, req_id in (("SPY", "3"), ("AAPL", "4")):
        peer.send("1", "11", req_id, "0", symbol, "STK", "", "0", "", "", "SMART", "", "USD", "", "", *"0010", "")
    for fields in recorded["ib_async", 176][1:]:
        peer.send(*fields)
    peer.place(50, "AAPL")
    texts = {text.lower() for fields in peer.seen for text in fields}
    assert {fields[0] for fields in peer.seen} >= {"1", "2", "6", "11", "57"}
    assert not texts & {"nan", "inf", "-inf"}
    assert next(fields[5] for fields in peer.seen if fields[0] == "1" and fields[3] == "9") == "0"


LISTED = [
    {"symbol": "ABC", "bid": 9.99, "ask": 10.01, "primary_exchange": "NASDAQ"},
    {"symbol": "ABC", "bid": 804.5, "ask": 805.5, "currency": "GBP", "primary_exchange": "LSE"}
    | {"price_magnifier": 100, "min_tick": 0.5, "min_size": 1, "size_increment": 1},
]


def described(symbol="ABC", currency="", primary="", con_id="0", exchange="SMART"):
    return (con_id, symbol, "STK", "", "0.0", "", "", exchange, primary, currency, "", "")


def test_contract_details_list_every_candidate(connect):
    peer = connect(quotes=LISTED)
    seen = details(peer, *described())
    assert [(fields[0], *fields[8:9]) for fields in seen] == [("10", "USD"), ("10", "GBP"), ("52",)]
    (pence, _) = details(peer, *described(currency="GBP"))
    # After orderTypes and validExchanges: the magnifier; then, at the end, the sizes.
    at = pence.index("SMART,LSE")
    assert (pence[at + 1], pence[at + 4], pence[13]) == ("100", "LSE", "0.5")
    assert pence[-3:] == ["1", "1", "100"]
    rules = pence[pence.index("COMMON") - 2]
    assert peer.send("91", rules.split(",")[0])[0][3:] == ["0", "0.5"]


def test_a_description_that_fits_two_listings_is_ambiguous(connect):
    peer = connect(quotes=LISTED)
    seen = [
        *peer.send("1", "11", "5", *described(), "0", "", "1", "0", ""),
        *peer.send("20", "6", *described(), "0", "", "1 day", "5 D", "1", "TRADES", "1", "0", ""),
        *peer.send("87", "7", *described(), "0", "1", "TRADES", "1"),
    ]
    text = "The contract description specified for ABC is ambiguous."
    assert [fields[3:5] for fields in seen] == [["200", text]] * 3
    quoted = ticks(peer.send("1", "11", "8", *described(primary="LSE"), "0", "", "1", "0", ""))
    assert (quoted[1], quoted[2]) == ("804.5", "805.5")  # pence


def test_a_further_listing_moves_by_its_key(connect):
    peer = connect(quotes=LISTED)
    for number, currency in ((5, "USD"), (6, "GBP")):
        peer.send("1", "11", number, *described(currency=currency), "0", "", "0", "0", "")
    peer.venue.move("ABC@LSE.GBP", ask=806.0)
    assert {(fields[2], fields[4]) for fields in peer.take() if fields[3] == "2"} == {("6", "806.0")}


TIMED = {"SPY": {"bid": 399.9, "ask": 400.1, "last": 400.0, "last_time": 1672315200, "halted": 0}}
ASK = ("1", "11", "5", *CONTRACT, "0", "", "1", "0", "")


def states(messages):
    return {fields[3]: fields[4] for fields in messages if fields[0] in {"45", "46"}}


def test_a_snapshot_has_the_time_of_the_last_trade_and_the_halt_where_they_are_known(connect):
    assert states(connect(quotes=TIMED).send(*ASK)) == {"45": "1672315200", "49": "0"}
    assert states(connect().send(*ASK)) == {}


def test_delayed_data_has_its_own_ticks_for_them(connect):
    peer = connect({"switches": {"market_data": "forced_delayed"}}, quotes=TIMED)
    assert states(peer.send(*ASK)) == {"88": "1672315200", "90": "0"}


def test_a_new_last_trade_has_the_time_of_the_clock(connect):
    peer = connect(quotes=TIMED)
    peer.send("1", "11", "5", *CONTRACT, "0", "", "0", "0", "")
    peer.venue.move("SPY", bid=399.8)
    assert states(peer.take())["45"] == "1672315200"
    peer.venue.move("SPY", last=400.1)
    assert states(peer.take())["45"] == str(int(peer.venue.clock.now()))


def test_the_sample_history_is_that_of_dollar_shares(connect):
    peer = connect(quotes={"AAPL": {"last": 50.0, "currency": "EUR"}})
    contract = described("AAPL", "EUR")
    (fields,) = peer.send("20", "5", *contract, "0", "", "1 day", "1 D", "1", "TRADES", "1", "0", "")
    assert fields[9] == "50.0"
