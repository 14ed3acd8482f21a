from stocklean_exec.simulator.exchange.subscriptions import Subscriptions


def test_nobody_is_subscribed_to_anything_at_first():
    subs = Subscriptions()
    assert not subs.positions
    assert subs.account == ""
    assert not any((subs.multi, subs.summaries, subs.pnl, subs.pnl_single, subs.tickers, subs.sent))


def test_two_connections_share_no_subscription():
    first, second = Subscriptions(), Subscriptions()
    first.pnl[1] = "DU1"
    assert second.pnl == {}
