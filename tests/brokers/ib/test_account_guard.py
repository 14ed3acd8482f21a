"""Which account may be traded: every combination. What is wrong with a connection: by what was noticed."""

import itertools

import pytest

from stocklean_exec.brokers.ib.account_guard import check_account, choose_account, explain_failure, is_loopback
from stocklean_exec.errors import BrokerError, LiveAccountError

LIVE = "U1234567"


@pytest.mark.parametrize(
    ("argument", "variable"),
    list(itertools.product([None, "", "U7654321", LIVE], [None, "", "1", "U7654321", LIVE])),
)
def test_a_live_account_needs_its_own_name_in_both_places(argument, variable):
    environment = {} if variable is None else {"STOCKLEAN_ALLOW_LIVE": variable}
    if argument == variable == LIVE:
        check_account(LIVE, [LIVE], argument, environment)
    else:
        with pytest.raises(LiveAccountError, match=r"U1\*\*\*567") as caught:
            check_account(LIVE, [LIVE], argument, environment)
        assert LIVE not in str(caught.value)


@pytest.mark.parametrize(
    "managed", [["DU0000001", LIVE], [LIVE, "DU0000001"], ["DU0000001", "DUMMY"], ["DU0000001", "F1234567"]]
)
def test_a_paper_account_of_a_login_with_live_ones_is_refused(managed):
    with pytest.raises(LiveAccountError):
        check_account("DU0000001", managed, None, {})


def test_permission_for_a_live_account_does_not_cover_a_paper_account_of_its_login():
    with pytest.raises(LiveAccountError):
        check_account("DU0000001", ["DU0000001", LIVE], LIVE, {"STOCKLEAN_ALLOW_LIVE": LIVE})


@pytest.mark.parametrize("managed", [["DU0000001", LIVE], [LIVE, "DU0000001"]])
def test_the_error_names_the_live_account_of_the_login(managed):
    with pytest.raises(LiveAccountError, match=r"^U1\*\*\*567 is not a paper account"):
        check_account("DU0000001", managed, None, {})


@pytest.mark.parametrize("account", ["DU0000001", "DF7654321"])
def test_a_paper_account_passes(account):
    check_account(account, [account], None, {})


@pytest.mark.parametrize("managed", [[], ["DU0000002"]])
def test_an_account_that_is_not_in_the_login_is_refused(managed):
    with pytest.raises(BrokerError, match="any more"):
        check_account("DU0000001", managed, None, {})


def test_the_account_may_be_omitted_only_if_the_login_has_one():
    assert choose_account(["DU0000001"], None) == "DU0000001"
    assert choose_account(["DU0000001", "DU0000002"], "DU0000002") == "DU0000002"
    with pytest.raises(BrokerError, match="name one"):
        choose_account(["DU0000001", "DU0000002"], None)
    with pytest.raises(BrokerError, match="0 accounts"):
        choose_account([], None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_this_computer_is_recognised(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "example.org", "::", "localhost.example.org", ""])  # noqa: S104 - read, not bound
def test_another_computer_is_recognised(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("causes", "error", "version", "advice"),
    [
        (["326", "closed"], TimeoutError(), 176, "another client_id"),
        (["garbage", "closed"], TimeoutError(), 0, "not TWS"),
        (["too old"], TimeoutError(), 100, "version 100"),
        ([], ConnectionRefusedError(111, "refused"), 0, "nothing listens"),
        ([], OSError(113, "no route"), 0, "nothing listens"),
        (["closed"], TimeoutError(), 0, "trusted IPs"),
        (["closed"], TimeoutError(), 176, "client id 7 is in use"),
        ([], TimeoutError(), 0, "sent nothing for 4 s"),
        ([], ConnectionError(["open orders request timed out"]), 176, "not ready after 4 s"),
    ],
)
def test_each_kind_of_connection_failure_has_its_advice(causes, error, version, advice):
    assert advice in explain_failure("127.0.0.1:4002", 7, 4.0, causes=causes, error=error, version=version)
