import pytest


def test_watchers_are_notified_of_every_quote_change(make_venue):
    context, seen = make_venue().context, []
    context.watchers.append(seen.append)
    context.move("SPY", bid=401.0)
    context.move("NEW", last=12.0)
    assert seen == ["SPY", "NEW"]
    assert [one.symbol for one in context.catalogue.by_id.values()][-1] == "NEW"


def test_counters_are_notified_of_every_count(make_venue):
    context, seen = make_venue().context, []
    context.counters.append(lambda name, count: seen.append((name, count)))
    context.count("accepts")
    context.count("accepts")
    assert seen == [("accepts", 1), ("accepts", 2)]


@pytest.mark.parametrize(
    ("quote", "price"),
    [
        ({"last": 10.0, "bid": 1.0, "ask": 3.0, "close": 4.0}, 10.0),
        ({"bid": 1.0, "ask": 3.0, "close": 4.0}, 2.0),
        ({"bid": 1.0, "close": 4.0}, 4.0),
        ({"ask": 3.0}, 3.0),
    ],
)
def test_the_valuation_price_is_the_last_trade_or_the_next_best_price(make_venue, quote, price):
    context = make_venue(quotes={"ZZZ": quote}).context
    assert context.price_of("ZZZ") == price
    assert context.prices() == {"ZZZ": price}
    context.move("ZZZ", last=20.0)
    assert context.prices() == {"ZZZ": 20.0}


def test_the_first_entry_that_applies_to_an_order_is_used(connect):
    entries = [
        {"symbol": "S*", "nth": 2, "steps": [{"rest": True}]},
        {"symbol": "SPY", "steps": [{"reject": 201}]},
    ]
    peer = connect({"order": entries})
    ends = [peer.place(number, order_ref=f"r{number}")[-1][2] for number in (1, 2)]
    assert ends == ["Inactive", "Submitted"]


@pytest.mark.parametrize(
    ("terms", "price"),
    [
        ({}, 400.10),  # a market buy at the ask
        ({"action": "SELL"}, 399.90),
        ({"order_type": "LMT", "limit": "390.00"}, 390.00),  # never above its limit
        ({"action": "SELL", "order_type": "LMT", "limit": "410.00"}, 410.00),
        ({"order_type": "LMT", "limit": "405.00"}, 400.10),
    ],
)
def test_the_touch_is_the_far_side_of_the_quote_within_the_limit_of_the_order(connect, terms, price):
    peer = connect({"order": [{"steps": [{"rest": True}]}]})
    peer.place(1, **terms)
    context = peer.venue.context
    assert context.touch(context.ledger.find(1, 1)) == price


def test_without_a_far_side_the_touch_is_the_last_trade(connect):
    peer = connect({"order": [{"steps": [{"rest": True}]}]}, quotes={"SPY": 400.0})
    peer.place(1)
    context = peer.venue.context
    assert context.touch(context.ledger.find(1, 1)) == 400.0


@pytest.mark.parametrize(
    ("terms", "start", "is_open"),
    [
        ({}, "2022-12-29 15:59:00", True),
        ({}, "2022-12-29 16:00:00", False),
        ({"order_type": "LMT", "limit": "390.00"}, "2022-12-29 16:00:00", False),
        ({"order_type": "LMT", "limit": "390.00", "outside_rth": "1"}, "2022-12-29 16:00:00", True),
        ({"outside_rth": "1"}, "2022-12-29 16:00:00", False),  # a market order waits for the session
    ],
)
def test_outside_of_the_session_only_limit_orders_that_say_so_trade(connect, terms, start, is_open):
    peer = connect({"switches": {"hours": "exchange"}}, start=start)
    peer.place(1, **terms)
    context = peer.venue.context
    assert context.is_open(context.ledger.find(1, 1)) is is_open
    assert context.auction is False


def test_a_changed_rate_moves_its_pairs_and_a_moved_pair_its_rate(make_venue):
    context = make_venue(rates={"EUR": 1.10, "JPY": 0.008}).context
    seen = []
    context.watchers.append(seen.append)
    pair = next(one for one in context.catalogue.by_id.values() if (one.symbol, one.currency) == ("EUR", "USD"))
    context.change_rate("EUR", 1.20)
    quote = context.market[pair.key]
    assert (quote.bid + quote.ask) / 2 == pytest.approx(1.20)
    assert pair.key in seen
    context.move(pair.key, bid=1.2999, ask=1.3001)
    assert context.rates["EUR"] == pytest.approx(1.30)
    assert context.rates["JPY"] == 0.008


def test_system_messages_reach_every_client_and_a_disconnection_one(make_venue, join):
    venue = make_venue()
    first, second = join(venue, 1), join(venue, 2)
    venue.context.broadcast(2104, "farm")
    assert [peer.take()[-1][3:5] for peer in (first, second)] == [["2104", "farm"]] * 2
    venue.context.disconnect(2, "test")
    assert (first.session.closed, second.session.closed) == (False, True)
    venue.context.disconnect(None, "test")
    assert first.session.closed
