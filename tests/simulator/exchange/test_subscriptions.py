from stocklean_exec.simulator.exchange.subscriptions import Subscriptions


def test_a_new_connection_has_no_subscriptions():
    subs = Subscriptions()
    assert not subs.positions
    assert subs.account == ""
    assert not any((subs.multi, subs.summaries, subs.pnl, subs.pnl_single, subs.tickers, subs.sent))


def test_two_connections_share_no_subscription():
    first, second = Subscriptions(), Subscriptions()
    first.pnl[1] = "DU1"
    assert second.pnl == {}
