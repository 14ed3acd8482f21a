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
