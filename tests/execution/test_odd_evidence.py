"""Runs whose evidence is late, partial, old or odd: the real client over the wire of the simulator."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec import clock
from stocklean_exec.simulator import Simulator
from tests.wire_market import FREE, MARKET, approved_of, connect

LIMIT_100 = [("SPY", "BUY", 100.0, "LMT", 390.0)]  # below the market: it rests until the scenario fills it


def venue_with(steps, *faults, **switches):
    """Start a venue that treats the order in SPY by ``steps``, and changes its messages by ``faults``."""
    scenario = {"order": [{"symbol": "SPY", "steps": steps}], "fault": list(faults), "switches": switches}
    return Simulator(seed=7, quotes=MARKET, clock="brisk", scenario=scenario)


def outcome(states):
    """Status, filled shares and reason of the only order."""
    (row,) = states[["status", "filled_quantity", "reason"]].fillna("").to_numpy().tolist()
    return row


def rest_of(blotter):
    rest = sx.residual_orders("r", blotter, quotes=MARKET)
    return rest[["quantity", "status", "reason"]].fillna("").to_numpy().tolist()


# -- what is final must be proved final --------------------------------------------------------------------------

FILLED_60 = {"on": "orderStatus", "do": "edit", "set": {"status": "Filled", "filled": "60", "remaining": "0"}}
"""TWS's status of an order that a person made as small as what was filled."""


@pytest.mark.slow
def test_an_order_made_smaller_in_tws_has_ended_with_what_was_filled():
    faults = [
        *({**FILLED_60, "nth": number} for number in (2, 3, 4)),
        {"on": "error", "do": "omit"},
        {"on": "completedOrder", "do": "edit", "set": {"status": "Filled"}},
    ]
    steps = [{"fill": 60, "price": 390.0}, {"cancel": True}]
    with venue_with(steps, *faults) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=30)
        assert outcome(states) == ["CANCELLED", 60.0, "quantity_reduced"]
        assert blotter.runs()["message"].tolist() == ["all orders have ended"]
        assert rest_of(blotter) == [[40.0, "NEW", ""]]


@pytest.mark.slow
def test_an_order_made_smaller_in_tws_is_open_while_executions_of_it_are_missing():
    faults = [
        *({**FILLED_60, "nth": number} for number in (2, 3, 4)),
        {"on": "error", "do": "omit"},
        {"on": "completedOrder", "do": "edit", "set": {"status": "Filled"}},
        {"on": "execDetails", "do": "omit", "times": 50},
    ]
    steps = [{"fill": 60, "price": 390.0}, {"cancel": True}]
    with venue_with(steps, *faults) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=0.2)
        assert outcome(states)[:2] == ["UNKNOWN", 0.0]
        assert rest_of(blotter) == [[40.0, "REJECTED", "order_unresolved"]]


@pytest.mark.slow
def test_an_order_whose_only_execution_is_withdrawn_has_ended_without_a_fill():
    steps = [{"fill": 100, "price": 390.0}, {"wait": 3}, {"bust": True}]
    with venue_with(steps) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=5)
        for _ in range(20):  # until the correction has been made
            states = sx.resume("r", broker, blotter, timeout=5)
            if outcome(states)[0] != "FILLED":
                break
        assert outcome(states) == ["CANCELLED", 0.0, "executions_corrected"]
        assert rest_of(blotter) == [[100.0, "NEW", ""]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("completed", "expected"),
    [
        ([], ["CANCELLED", 30.0, "202"]),
        ([{"on": "completedOrder", "do": "omit", "times": 50}], ["UNKNOWN", 30.0]),
    ],
)
def test_a_cancel_that_does_not_say_how_much_was_filled_ends_an_order_only_with_its_completed_order(
    completed, expected
):
    # 202 comes, and the status with the filled shares is lost.
    faults = [{"on": "orderStatus", "do": "omit", "nth": number} for number in (3, 4, 5, 6)]
    steps = [{"fill": 30, "price": 390.0}, {"cancel": True}]
    with venue_with(steps, *faults, *completed) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        states = sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=30)
        assert outcome(states)[: len(expected)] == expected
        if expected[0] == "UNKNOWN":
            assert "has not reported how many shares were filled; resume with client id 7" in outcome(states)[2]
            assert rest_of(blotter) == [[70.0, "REJECTED", "order_unresolved"]]


# -- evidence belongs to the order, whoever listened when it came -----------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("end", [False, True])
def test_reports_that_came_while_the_blotter_was_closed_are_recorded_when_the_run_is_resumed(end, tmp_path):
    file = tmp_path / "paper.duckdb"
    with Simulator(seed=7, quotes=MARKET, clock="brisk") as venue, connect(venue) as broker:
        with sx.open_blotter(file) as blotter:
            sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=0.2)
        venue.event("fill", symbol="SPY", quantity=60, price=389.0)
        if end:
            venue.event("cancel", symbol="SPY")
        while not broker.orphans["kind"].eq("commission").any():  # the broker has them, and nobody else
            broker.nav()
        for _ in range(2):
            with sx.open_blotter(file) as blotter:
                (state,) = sx.resume("r", broker, blotter, timeout=0.2).to_dict("records")
            expected = ("CANCELLED" if end else "PARTIAL", 60.0, 1.0)
            assert (state["status"], state["filled_quantity"], state["commission"]) == expected


# -- messages that cannot be read -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("message", "damage"),
    [("openOrder", {"lmtPrice": "?", "totalQuantity": "?"}), ("execDetails", {"price": "?"})],
)
def test_an_order_of_another_program_that_cannot_be_read_stops_no_run(message, damage):
    faults = [{"on": message, "symbol": "TLT", "do": "edit", "set": damage, "times": 1000}]
    steps = [{"fill": 100, "price": 390.0}]
    with (
        venue_with(steps, *faults, executions="all") as venue,
        connect(venue, client_id=9) as other,
        sx.open_blotter() as theirs,
        connect(venue) as broker,
        sx.open_blotter() as blotter,
    ):
        rows = [("TLT", "BUY", 5.0, "LMT", 50.0) if message == "openOrder" else ("TLT", "BUY", 5.0, "MKT")]
        with suppress(sx.BrokerError):
            sx.submit_orders(approved_of(rows, "theirs"), other, theirs, timeout=0.1)
        states = sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=5)
        assert outcome(states)[:2] == ["FILLED", 100.0]
        assert (broker.fault, broker.session) == ("", 1)


@pytest.mark.slow
def test_a_report_of_ours_that_can_never_be_read_ends_the_run_within_its_timeout():
    faults = [{"on": "execDetails", "do": "edit", "set": {"shares": "many"}, "times": 1000}]
    with (
        venue_with([{"fill": 100, "price": 390.0}], *faults) as venue,
        connect(venue) as broker,
        sx.open_blotter() as blotter,
    ):
        began = time.monotonic()
        with pytest.raises(sx.BrokerError, match=r"execDetails of r-SPY-BUY\) cannot be read.*resume r continues"):
            sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=2)
        assert time.monotonic() - began < 20  # a loaded machine; reconnecting never ended
        assert broker.session < 12  # the pauses grow
        assert outcome(blotter.orders())[0] in ("UNKNOWN", "SUBMITTED")


# -- what a person changed in TWS ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "blotter_has", "broker_has", "detail"),
    [
        ({"totalQuantity": "150"}, 100.0, 150.0, "its quantity differs"),
        ({"lmtPrice": "405.0"}, 390.0, 405.0, "its limit price differs"),
        ({"tif": "GTC"}, None, None, "its time in force is GTC, and DAY on record"),
    ],
)
def test_what_a_person_changed_in_tws_is_a_row_of_the_reconciliation(changed, blotter_has, broker_has, detail):
    fault = {"on": "openOrder", "do": "edit", "set": changed, "times": 1000}
    with venue_with([{"rest": True}], fault) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=0.2)
        (row,) = (
            sx.reconcile(broker, blotter).astype(object).where(lambda one: one.notna(), None).to_dict("records")
        )
    assert (row["kind"], row["blotter"], row["broker"]) == ("order_changed", blotter_has, broker_has)
    assert detail in row["detail"]


@pytest.mark.slow
def test_a_fill_above_the_limit_on_record_is_a_row_of_the_reconciliation():
    fault = {"on": "execDetails", "do": "edit", "set": {"price": "400.1"}, "times": 1000}
    steps = [{"fill": 100, "price": 390.0}]
    with venue_with(steps, fault) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=5)
        found = sx.reconcile(broker, blotter).set_index("kind")
    assert found.loc["fill_beyond_limit", ["blotter", "broker"]].tolist() == [390.0, 400.1]


# -- times and positions ------------------------------------------------------------------------------------------

TOKYO = {"zone": "Asia/Tokyo", "is_zone_given": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "dated", "code"),
    [(TOKYO, pd.Timestamp("2022-12-29 01:00", tz="UTC"), ""), ({}, None, "time_unreliable")],
)
def test_an_unknown_zone_name_is_the_zone_that_the_user_gave_or_the_time_is_marked(address, dated, code):
    fault = {"on": "execDetails", "do": "edit", "set": {"time": "20221229 10:00:00 JST"}, "times": 1000}
    with (
        venue_with([{"fill": 100, "price": 390.0}], fault) as venue,
        connect(venue, **address) as broker,
        sx.open_blotter() as blotter,
    ):
        sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=5)
        (execution,) = blotter.events().query("kind == 'execution'").to_dict("records")
        (fill,) = blotter.fills().to_dict("records")
    assert (fill["filled_at"], fill["time_unreliable"]) == (execution["occurred_at"], code == "time_unreliable")
    assert ("" if pd.isna(execution["code"]) else execution["code"]) == code
    assert (execution["occurred_at"] == dated) if dated else "20221229 10:00:00 JST" in execution["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hours", "says"),
    # A day of the exchange has 25 hours at most.
    [
        (-25, "; the clock of this computer is 25 h behind TWS"),
        (25, "; the clock of this computer is 25 h ahead of TWS"),
        (0, "decide with blotter.resolve(...)"),
    ],
)
def test_a_clock_that_is_a_day_wrong_is_named_where_the_day_of_an_order_decides(hours, says, monkeypatch):
    with venue_with([{"rest": True}]) as venue, sx.open_blotter() as blotter:
        with connect(venue) as broker:
            sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=0.2)
        venue.event("cancel", symbol="SPY")
        venue.event("midnight")
        monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(hours=hours))
        with connect(venue) as broker:
            states = sx.resume("r", broker, blotter, timeout=1)
    status, filled, reason = outcome(states)
    assert (status, filled) == ("UNKNOWN", 0.0)
    assert ("it is of an earlier day, which TWS no longer reports" in reason) == bool(hours)
    assert reason.endswith(says)


@pytest.mark.slow
def test_a_position_that_is_reported_twice_is_one_row():
    fault = {"on": "position", "symbol": "SPY", "do": "duplicate", "times": 1000}
    with (
        venue_with([{"fill": 100, "price": 390.0}], fault) as venue,
        connect(venue) as broker,
        sx.open_blotter() as blotter,
    ):
        sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=5)
        assert broker.positions()[["symbol", "quantity"]].to_numpy().tolist() == [["SPY", 100.0]]
        assert sx.reconcile(broker, blotter).empty


# -- a refusal by a code that is in no table ----------------------------------------------------------------------


@pytest.mark.slow
def test_an_order_refused_by_an_unknown_code_ends_at_once_with_that_code():
    steps = [{"reject": 10268}]
    with venue_with(steps) as venue, connect(venue) as broker, sx.open_blotter() as blotter:
        began = time.monotonic()
        states = sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=60)
        assert outcome(states)[1:] == [0.0, "10268"]
        assert outcome(states)[0] in ("CANCELLED", "REJECTED")
        assert blotter.runs()["message"].tolist() == ["all orders have ended"]
        assert time.monotonic() - began < 50  # it waited for its timeout


# -- an order that lives, and trades later than a person may think -----------------------------------------------

THURSDAY_NOON = "2022-12-29T12:00:00"  # in New York
FOR_THE_MORNING = {"startTime": "09:30:00 US/Eastern", "endTime": "10:00:00 US/Eastern"}


def approved_with(**terms):
    """Approve a market order for 10 SPY with further terms."""
    row = {"run_id": "r", "symbol": "SPY", "side": "BUY", "quantity": 10.0, "order_type": "MKT"} | terms
    review = sx.review_orders(sx.check_orders(pd.DataFrame([row]), FREE, quotes=MARKET))
    review.approve_all(by="test")
    return review.result()


@pytest.mark.slow
def test_an_algorithm_that_tws_moves_to_the_next_day_says_so_in_states_and_run_until_it_trades():
    approved = approved_with(algo="Vwap", algo_params=FOR_THE_MORNING)
    with (
        Simulator(seed=7, quotes=MARKET, clock="manual", start=THURSDAY_NOON) as venue,
        connect(venue) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved, broker, blotter, timeout=0.2)
        status, filled, reason = outcome(states)
        assert (status, filled) == ("SUBMITTED", 0.0)
        assert "to the next trading day, and it will trade then: cancel it" in reason
        assert "untick 'Auto-adjust algo order date'" in reason
        (message,) = blotter.runs()["message"]
        assert message == (
            f"timeout: 1 orders are still working at the broker; 1 of them must wait, r-SPY-BUY: {reason}"
        )
        events = blotter.events("r").query("code == '2111'")
        assert events[["kind", "status", "message"]].to_numpy().tolist() == [["message", "WAITING", reason]]
        venue.advance(86_400.0)  # noon of Friday: the window is over
        states = sx.resume("r", broker, blotter, timeout=5)
        assert outcome(states) == ["FILLED", 10.0, ""]


@pytest.mark.slow
def test_an_order_that_waits_for_the_open_says_until_when():
    with (
        Simulator(
            seed=7, quotes=MARKET, start="2022-12-29T18:00:00", scenario={"switches": {"hours": "exchange"}}
        ) as venue,
        connect(venue) as broker,
        sx.open_blotter() as blotter,
    ):
        states = sx.submit_orders(approved_of([("SPY", "BUY", 10.0, "MKT")]), broker, blotter, timeout=0.2)
        status, filled, reason = outcome(states)
        assert (status, filled) == ("SUBMITTED", 0.0)
        until = "it is not placed at the exchange until 2022-12-30 09:30:00 US/Eastern: cancel it if it should not"
        assert reason.startswith(until)
        assert "Order Message: BUY 10 SPY" in reason
        assert f"1 of them must wait, r-SPY-BUY: {until}" in blotter.runs()["message"].iloc[0]
        assert sx.completion(blotter.orders("r"), blotter.fills("r"))["reason"].tolist() == ["working"]
        broker.cancel("r-SPY-BUY")
        assert outcome(sx.resume("r", broker, blotter, timeout=5)) == ["CANCELLED", 0.0, "cancel_requested"]


# -- an order that falls Inactive without a word, before or after it works -------------------------------------

FOK_BELOW_THE_MARKET = {"order_type": "LMT", "limit_price": 390.0, "tif": "FOK"}
"""At TWS it is Inactive, and no code follows: captured at server version 200."""
TAKES_FOK = {"on": "contractDetails", "do": "edit", "set": {"orderTypes": "DAY,FOK,LMT"}, "times": 50}
UNLISTED = {"on": "completedOrder", "do": "omit", "times": 50}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "status", "why", "message"),
    [
        ([], "CANCELLED", "cancelled", "all orders have ended"),
        ([UNLISTED], "UNKNOWN", "neither among the open and completed orders", "1 orders are unresolved"),
    ],
)
def test_an_order_that_falls_inactive_in_silence_ends_by_the_completed_orders_or_is_unknown(
    faults, status, why, message
):
    scenario = {"fault": [TAKES_FOK, *faults]}
    with (
        Simulator(seed=7, quotes=MARKET, clock="brisk", scenario=scenario) as venue,
        connect(venue) as broker,
        sx.open_blotter() as blotter,
    ):
        began = time.monotonic()
        states = sx.submit_orders(approved_with(**FOK_BELOW_THE_MARKET), broker, blotter, timeout=60)
        assert time.monotonic() - began < 50  # it waited for its timeout
        assert outcome(states)[:2] == [status, 0.0]
        assert why in outcome(states)[2]
        assert blotter.runs()["message"].tolist() == [message]
        reported = blotter.events("r").query("kind in ('message', 'status', 'rejected')")["code"].dropna()
        assert set(reported) == {"Inactive"}  # TWS's word, and no number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "status", "filled"), [([], "SUBMITTED", 0.0), ([{"fill": 40}], "PARTIAL", 40.0)]
)
def test_an_order_that_works_and_falls_inactive_in_silence_says_so(steps, status, filled):
    aside = {"on": "orderStatus", "do": "edit", "set": {"status": "Inactive"}}
    with (
        venue_with([*steps, {"rest": True}], *({**aside, "nth": number} for number in (2, 3, 4))) as venue,
        connect(venue) as broker,
        sx.open_blotter() as blotter,
    ):
        began = time.monotonic()
        states = sx.submit_orders(approved_of(LIMIT_100), broker, blotter, timeout=60)
        assert time.monotonic() - began < 50  # it waited for its timeout
        assert outcome(states)[:2] == [status, filled]
        reason = outcome(states)[2]
        assert reason.startswith("TWS has put it aside (Inactive) at 20")
        assert reason.endswith(" UTC, and does not say why; it may come back: look at it in TWS, or cancel it")
        message = f"1 orders are resting at the broker; 1 of them must wait, r-SPY-BUY: {reason}"
        assert blotter.runs()["message"].tolist() == [message]
        assert sx.completion(blotter.orders("r"), blotter.fills("r"))["reason"].tolist() == ["working"]
