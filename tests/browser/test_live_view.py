"""Every action of the live view, and every refusal, in a real browser on the real widget."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.events import OrderEvent
from stocklean_exec.brokers.ib.broker import IBBroker
from stocklean_exec.execution.run_control import RunControl
from stocklean_exec.execution.run_handle import Run
from stocklean_exec.execution.run_monitor import RunMonitor
from stocklean_exec.simulator import Simulator, read_journal
from tests.extras import need

expect = need("playwright.sync_api", "browser").expect
pytestmark = pytest.mark.once  # the page is the same whichever Python feeds it

A, B = "r-SPY-BUY", "r-KO-SELL"
NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
ACCOUNT = "DU7654321"
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"&amp;${window.hit=1}'


def plan_of(*rows):
    return pd.DataFrame(rows, columns=["client_order_id", "symbol", "side", "quantity"])


@pytest.fixture
def blotter():
    with sx.open_blotter() as one:
        yield one


@pytest.fixture
def make(blotter):
    """Make a run driven by the test: events by its control, the end by its future."""

    def made(plan, mode="paper"):
        control, live = RunControl(), RunMonitor(str(plan["client_order_id"].iloc[0])[0], plan, account=ACCOUNT)
        control.listen(live.add)
        broker = SimpleNamespace(mode=mode, account=ACCOUNT, fault="")
        return Run("r", broker, blotter, control, live, Future())

    return made


@pytest.fixture
def run(make):
    return make(plan_of((A, "SPY", "BUY", 10.0), (B, "KO", "SELL", 20.0)))


@pytest.fixture
def show(join):
    """Open a live view, and deliver its messages to its pages."""

    def opened(run, **options):
        bridge = join(run.view())
        return bridge, bridge.open(**options)

    return opened


def send_updates(bridge):
    bridge.widget.wait()
    bridge.flush()


def sent(name, bid=99.0, ask=101.0):
    return OrderEvent("sending", "r", name, NOON, attempt=1, bid=bid, ask=ask)


def live_at(name, perm_id=1):
    return OrderEvent("status", "r", name, NOON, status="SUBMITTED", perm_id=perm_id, filled=0, remaining=1)


def fill(name, number, quantity, price, seconds=1.0):
    return OrderEvent(
        "execution",
        "r",
        name,
        NOON + timedelta(seconds=seconds),
        exec_id=f"a.b.{number}.01",
        quantity=quantity,
        price=price,
    )


def button(page, text):
    return page.get_by_role("button", name=text, exact=True)


def alert(page):
    return page.locator(".slx-alert[role=alert]")


def row(page, name):
    return page.locator(f'tr[data-id="{name}"]')


def figure(page, label):
    return page.locator(".slx-figure", has_text=label).locator(".slx-value")


# -- display -----------------------------------------------------------------------------------------------------


def test_fills_counts_costs_and_the_curve_follow_the_events(show, run):
    bridge, page = show(run)
    expect(page.locator(".slx-badge").first).to_have_text("PAPER")
    expect(page.locator(".slx-account")).to_have_text("DU***321")
    expect(page.locator(".slx-state")).to_have_text("Working …")
    expect(figure(page, "Slippage")).to_have_text("no fill yet")
    for event in (sent(A), live_at(A), fill(A, 1, 4.0, 100.5)):
        run.control.publish(event)
    send_updates(bridge)
    # 4 of 30 shares; half a dollar above the mid of 100 on 4 shares is 2 dollars, and 50 bps of 400
    expect(figure(page, "Shares filled")).to_have_text("4 of 30 (13.33 %)")
    expect(figure(page, "Slippage")).to_have_text("2.00 (50.00 bps)")
    expect(figure(page, "Notional filled")).to_have_text("402.00")
    expect(figure(page, "Commission")).to_have_text("not reported yet")
    expect(row(page, A)).to_contain_text("PARTIAL")
    expect(page.get_by_label("fills of the run").locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "13")
    expect(page.locator(".slx-chip")).to_have_text(["1 NEW", "1 PARTIAL"])
    run.control.publish(fill(A, 2, 6.0, 101.0, seconds=3))
    run.control.publish(OrderEvent("commission", "r", A, exec_id="a.b.2.01", commission=1.25))
    send_updates(bridge)
    expect(figure(page, "Commission")).to_have_text("1.25")
    expect(row(page, A)).to_contain_text("FILLED")
    fills = page.get_by_label("fills of the run").locator("tbody tr")
    expect(fills.first).to_contain_text("17:00:03")  # the latest first
    expect(page.get_by_role("img", name="Filled since")).to_be_visible()
    expect(page.get_by_role("img", name="against arrival")).to_contain_text("arrival")
    assert ACCOUNT not in page.content()


def test_messages_that_matter_are_shown_and_noise_is_not(show, run):
    bridge, page = show(run)
    expect(page.locator(".slx-live")).to_contain_text("No messages.")
    run.control.publish(OrderEvent("rejected", "r", A, NOON, code="201", message=f"no permission for {ACCOUNT}"))
    run.control.publish(OrderEvent("message", "r", B, NOON, code="399", message="will be placed at the open"))
    run.control.publish(OrderEvent("link_lost", "r", None, NOON, message="the connection is gone"))
    send_updates(bridge)
    messages = page.get_by_label("messages").locator("li")
    expect(messages).to_have_count(2)
    expect(messages.first).to_contain_text("connection lost · the connection is gone")
    expect(messages.last).to_contain_text(f"rejected · {A} · 201 · no permission for DU***321")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_changes_of_limits_and_what_kept_them_are_among_the_messages(show, run, tmp_path, scheme):
    bridge, page = show(run, scheme=scheme)
    run.control.publish(live_at(A))
    happened = [
        ("modifying", "reprice", "limit 99.95 to 100: the mid, change 1 of 3"),
        ("modified", None, None),
        ("message", "not_repriced", "the quote is not live"),
        ("modifying", "deadline", "limit 100 to 101.51: 50 bp beyond the far touch, at its deadline"),
        ("modify_refused", "2102", "being processed"),
    ]
    for number, (kind, code, text) in enumerate(happened):
        moment = NOON + timedelta(seconds=10 * number)
        run.control.publish(OrderEvent(kind, "r", A, moment, code=code, message=text, attempt=1 + number // 3))
    send_updates(bridge)
    messages = page.get_by_label("messages").locator("li")
    expect(messages).to_have_text(  # the latest first; the answer to a change that was made is not among them
        [
            f"17:00:40 change refused · {A} · 2102 · being processed",
            f"17:00:30 limit · {A} · deadline · limit 100 to 101.51: 50 bp beyond the far touch, at its deadline",
            f"17:00:20 message · {A} · not_repriced · the quote is not live",
            f"17:00:00 limit · {A} · reprice · limit 99.95 to 100: the mid, change 1 of 3",
        ]
    )
    page.screenshot(path=tmp_path / f"changes-{scheme}.png", full_page=True)


@pytest.mark.parametrize(("mode", "colour"), [("paper", "rgb(31, 111, 67)"), ("live", "rgb(179, 38, 30)")])
def test_paper_and_live_differ_by_word_and_colour(show, make, mode, colour):
    _, page = show(make(plan_of((A, "SPY", "BUY", 10.0)), mode))
    expect(page.locator(".slx-bar .slx-badge")).to_have_text(mode.upper())
    expect(page.locator(".slx-bar .slx-badge")).to_have_css("background-color", colour)


def test_orders_are_filtered_and_the_rest_of_many_is_counted(show, make):
    names = [f"S{number:03d}" for number in range(700)]
    run = make(plan_of(*((f"r-{name}-BUY", name, "BUY", 1.0) for name in names)))
    bridge, page = show(run)
    rows = page.get_by_label("orders of the run").locator("tbody tr")
    expect(rows).to_have_count(200)
    expect(page.locator(".slx-more", has_text="more orders")).to_have_text("and 500 more orders: filter by symbol")
    page.get_by_label("filter by symbol").fill("s69")
    expect(rows).to_have_count(10)
    run.control.publish(fill("r-S690-BUY", 1, 1.0, 10.0))
    send_updates(bridge)
    page.get_by_label("open only").check()
    expect(rows).to_have_count(9)


@pytest.mark.parametrize("column", ["client_order_id", "symbol", "side"])
def test_hostile_text_stays_text_in_every_column(show, make, column):
    plan = plan_of(("r-SPY-BUY", "SPY", "BUY", 10.0)).assign(**{column: HOSTILE})
    name = plan["client_order_id"].iloc[0]
    run = make(plan)
    bridge, page = show(run)
    run.control.publish(fill(name, 1, 4.0, 10.0))
    send_updates(bridge)
    expect(page.locator("tbody tr")).to_have_count(2)
    if column != "client_order_id":
        expect(page.locator("tbody").first).to_contain_text("<script>window.hit=1</script>")
    assert page.evaluate("window.hit") is None
    assert page.locator(".slx img, .slx script, .slx iframe").count() == 0


def test_hostile_text_stays_text_in_messages_notes_and_refusals(show, run, blotter, monkeypatch):
    def fail(_):
        raise sx.BrokerError(HOSTILE)

    bridge, page = show(run)
    blotter.halt(HOSTILE)
    run.broker.fault = HOSTILE
    for kind in ("rejected", "message", "link_lost", "run_cancelled"):
        run.control.publish(OrderEvent(kind, "r", None if "_" in kind else A, NOON, code=HOSTILE, message=HOSTILE))
    monkeypatch.setattr(run, "cancel", fail)
    button(page, f"cancel {B}").click()
    send_updates(bridge)
    run._future.set_exception(sx.BrokerError(HOSTILE))
    send_updates(bridge)
    expect(page.locator(".slx-notice")).to_contain_text("<script>window.hit=1</script>")
    expect(page.locator(".slx-state")).to_contain_text("<script>window.hit=1</script>")
    expect(page.get_by_label("messages").locator("li")).to_have_count(4)
    assert page.evaluate("window.hit") is None
    assert page.locator(".slx img, .slx script, .slx iframe").count() == 0


# -- at any rate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [50, 500, 2_000])
def test_at_any_rate_a_view_is_updated_at_most_ten_times_a_second_and_misses_nothing(show, make, rate):
    run = make(plan_of((A, "SPY", "BUY", float(rate))))
    bridge, page = show(run)
    send_updates(bridge)
    received = []
    bridge.wire.listeners.append(lambda message: received.append((time.monotonic(), message)))
    pace = threading.Event()

    def send_fills():
        started = time.monotonic()
        for number in range(rate // 2):
            pace.wait(max(0.0, started + number / rate - time.monotonic()))
            run.control.publish(fill(A, number, 1.0, 10.0))

    sender = threading.Thread(target=send_fills)
    started = time.monotonic()
    sender.start()
    while sender.is_alive():
        bridge.flush()
        page.wait_for_timeout(20)
    send_updates(bridge)
    seconds = time.monotonic() - started
    expect(page.locator(".slx-live")).to_have_attribute("data-events", str(rate // 2))
    expect(figure(page, "Shares filled")).to_contain_text(f"{rate // 2:,} of {rate:,}")
    expect(page.get_by_label("fills of the run").locator("tbody tr")).to_have_count(min(rate // 2, 200))
    assert 1 <= len(received) <= seconds * 10 + 2


def test_fills_are_displayed_in_sequence_however_they_arrive(show, run):
    bridge, page = show(run)
    run.control.publish(sent(A))
    lines = page.get_by_label("fills of the run").locator("tbody tr")
    total = 0
    # One; a burst of more than are drawn at once; a few while the rest is postponed; more than are kept; one more.
    for count in (1, 60, 3, 250, 1):
        for number in range(total, total + count):
            run.control.publish(fill(A, number, 1.0 + number, 10.0))
        total += count
        send_updates(bridge)
        expect(lines.first.locator("td").nth(3)).to_have_text(f"{total:,}")
    expect(lines).to_have_count(200)
    shares = lines.locator("td:nth-child(4)").all_inner_texts()
    assert shares == [f"{total - place:,}" for place in range(200)]


# -- actions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def venue_run(blotter, tmp_path):
    """A run of three resting limit orders at a venue, over the wire."""
    names, journal = ["AA", "BB", "CC"], tmp_path / "journal.jsonl"
    quotes = pd.DataFrame({"symbol": names, "bid": 9.99, "ask": 10.01, "currency": "USD"}).assign(
        quoted_at=pd.Timestamp("2022-12-29 17:00", tz="UTC")
    )
    orders = pd.DataFrame(
        {"run_id": "w", "symbol": names, "side": "BUY", "quantity": 10.0, "order_type": "LMT", "limit_price": 9.0}
    )
    review = sx.review_orders(sx.check_orders(orders, sx.Limits(price_collar=None), quotes=quotes, cash=1e6))
    review.approve_all(by="me")
    with (
        Simulator(quotes=quotes, clock="brisk", journal=journal) as venue,
        IBBroker(port=venue.port, rate=0.0, seconds=5.0) as broker,
    ):
        run, resting = sx.start_run(review.result(), broker, blotter, timeout=60), threading.Event()
        run.control.listen(lambda _: run.live.update()["counts"] == {"SUBMITTED": 3} and resting.set())
        assert run.live.update()["counts"] == {"SUBMITTED": 3} or resting.wait(20)
        yield SimpleNamespace(run=run, venue=venue, cancels=lambda: cancels_in(journal))
        run.cancel_all()
        run.wait(20)


def cancels_in(journal):
    return [one["order_ref"] for one in read_journal(journal) if one["event"] == "cancel"]


def follow(bridge, page, text):
    """Deliver updates to the page until the state of the run contains ``text``."""
    for _ in range(200):
        send_updates(bridge)
        if text in page.locator(".slx-state").inner_text():
            return
        page.wait_for_timeout(50)
    raise AssertionError(page.locator(".slx-state").inner_text())


def test_one_order_is_cancelled_by_one_click(show, venue_run):
    bridge, page = show(venue_run.run)
    button(page, "cancel w-BB-BUY").click()
    bridge.widget.wait()
    assert venue_run.cancels() == ["w-BB-BUY"]
    for _ in range(200):
        send_updates(bridge)
        if "CANCELLED" in row(page, "w-BB-BUY").inner_text():
            break
        page.wait_for_timeout(20)
    expect(row(page, "w-BB-BUY")).to_contain_text("CANCELLED")
    expect(button(page, "cancel w-BB-BUY")).to_be_hidden()
    expect(page.locator(".slx-notice")).to_contain_text("cancel of w-BB-BUY: done")
    assert not venue_run.run.is_done


def test_cancelling_all_takes_a_second_click_and_is_done_once(show, venue_run):
    bridge, page = show(venue_run.run)
    button(page, "Cancel all …").dblclick()  # a double click does not confirm
    expect(page.locator(".slx-panel")).to_contain_text("cancel the 3 open orders of w")
    expect(page.locator(".slx-panel .slx-badge")).to_have_text("PAPER")
    assert venue_run.cancels() == []
    expect(button(page, "Cancel all now")).to_be_focused()
    page.keyboard.press("Enter")
    follow(bridge, page, "Cancelled.")
    assert sorted(venue_run.cancels()) == ["w-AA-BUY", "w-BB-BUY", "w-CC-BUY"]
    expect(button(page, "Cancel all …")).to_be_disabled()
    expect(page.locator(".slx-state")).to_contain_text("cancelled by")
    expect(page.get_by_label("messages")).to_contain_text("run cancelled")
    assert venue_run.run.wait(20)["status"].tolist() == ["CANCELLED"] * 3


def test_a_halt_needs_a_reason_and_a_second_click(show, venue_run, blotter):
    bridge, page = show(venue_run.run)
    button(page, "Halt …").click()
    expect(page.get_by_label("reason for the halt")).to_be_focused()
    button(page, "Halt now").click()
    expect(alert(page)).to_have_text("Not applied: a halt needs a reason; it is shown when the halt is cleared")
    assert blotter.halted is None
    button(page, "Halt …").click()
    page.keyboard.type("fat finger")
    expect(button(page, "Halt now")).to_be_enabled()
    page.keyboard.press("Enter")
    follow(bridge, page, "Halted: ")
    expect(page.locator(".slx-state")).to_contain_text("fat finger")
    expect(alert(page)).to_have_text("")
    assert "fat finger" in blotter.halted
    blotter.clear_halt("a test")


def test_closing_the_panel_by_button_or_escape_does_nothing(show, run, blotter):
    bridge, page = show(run)
    for name, keep in (("Cancel all …", "Don't cancel"), ("Halt …", "Don't halt")):
        button(page, name).click()
        button(page, keep).click()
        expect(page.locator(".slx-panel")).to_be_hidden()
        button(page, name).click()
        page.keyboard.press("Tab")
        page.keyboard.press("Escape")
        expect(page.locator(".slx-panel")).to_be_hidden()
    assert [one["kind"] for one in bridge.received] == ["hello"]
    assert (blotter.halted, run.control.stopped) == (None, "")


def test_a_cancel_of_an_order_that_has_ended_is_refused_with_its_status(show, run):
    bridge, page = show(run)
    run.control.publish(fill(A, 1, 10.0, 10.0))
    bridge.widget.wait()
    bridge.outboxes["0"].clear()  # the update has not arrived
    button(page, f"cancel {A}").click()
    expect(alert(page)).to_contain_text(f"{A} is already FILLED (displayed as 'NEW'); nothing to cancel")
    expect(button(page, f"cancel {A}")).to_be_enabled()


def test_keys_stay_in_the_view_and_do_not_reach_the_notebook(show, run):
    _, page = show(run)
    page.evaluate("document.addEventListener('keydown', (event) => { window.leaked = event.key; })")
    page.get_by_label("filter by symbol").press("d")
    button(page, "Halt …").press("x")
    assert page.evaluate("window.leaked") is None
    expect(page.locator(".slx")).to_have_attribute("data-lm-suppress-shortcuts", "true")


# -- two views, reload, a lost kernel, the end -------------------------------------------------------------------


def test_a_second_view_and_a_reloaded_one_show_the_same(show, run):
    bridge, first = show(run)
    run.control.publish(sent(A))
    run.control.publish(fill(A, 1, 4.0, 100.5))
    send_updates(bridge)
    second = bridge.open()
    for page in (first, second):
        expect(figure(page, "Shares filled")).to_have_text("4 of 30 (13.33 %)")
        expect(page.get_by_label("fills of the run").locator("tbody tr")).to_have_count(1)
    run.control.publish(fill(A, 2, 1.0, 100.5, seconds=2))
    send_updates(bridge)
    for page in (first, second):
        expect(page.get_by_label("fills of the run").locator("tbody tr")).to_have_count(2)
        expect(figure(page, "Shares filled")).to_contain_text("5 of 30")


def test_a_lost_update_is_detected_and_recovered(show, run):
    bridge, page = show(run)
    run.control.publish(fill(A, 1, 4.0, 100.5))
    bridge.widget.wait()
    bridge.outboxes["0"].clear()
    for number in (2, 3):
        run.control.publish(fill(B, number, 0.5, 100.5))
        bridge.widget.wait()
    send_updates(bridge)
    expect(page.get_by_label("fills of the run").locator("tbody tr")).to_have_count(3)
    expect(figure(page, "Shares filled")).to_contain_text("5 of 30")
    assert [one["kind"] for one in bridge.received] == ["hello", "hello"]  # requested once


def test_a_click_after_a_kernel_restart_shows_advice(show, run):
    bridge, page = show(run)
    page.clock.install()
    bridge.is_dead = True
    button(page, f"cancel {A}").click()
    page.clock.run_for(4_100)
    expect(alert(page)).to_contain_text("No answer from the kernel")
    expect(alert(page)).to_contain_text("run the cell again")
    button(page, "Cancel all …").click()  # a stop is sent anyway: the kernel may only be busy
    page.clock.run_for(300)
    button(page, "Cancel all now").click()
    assert [one["kind"] for one in bridge.received] == ["hello", "cancel", "cancel_all"]
    assert not run.control.stopped


def test_a_reopened_notebook_with_old_outputs_shows_an_inactive_view(join, run):
    bridge = join(run.view())
    bridge.is_dead = True
    page = bridge.open()
    expect(alert(page)).to_contain_text("No answer from the kernel", timeout=10_000)
    expect(alert(page)).to_contain_text("Run the cell again to watch.")
    button(page, "Cancel all …").click()
    expect(page.locator(".slx-panel")).to_be_hidden()


def test_the_end_of_a_run_is_shown_and_stays_readable_without_a_kernel(show, run, chromium):
    bridge, page = show(run)
    for event in (sent(A), fill(A, 1, 10.0, 100.5), fill(B, 2, 20.0, 49.0)):
        run.control.publish(event)
    run._future.set_result(None)
    send_updates(bridge)
    expect(page.locator(".slx-state")).to_have_text("Finished.")
    expect(button(page, "Cancel all …")).to_be_disabled()
    snapshot = chromium.new_page()
    snapshot.set_content(run.view()._repr_html_())
    for text in ("Run r", "PAPER", "2 of 2 ended", "30 of 30 filled", "over"):
        expect(snapshot.locator("body")).to_contain_text(text)
    snapshot.close()


def test_a_finished_run_shows_how_many_orders_are_still_open(show, run):
    bridge, page = show(run)
    run.control.publish(live_at(A))
    run.control.publish(fill(B, 2, 20.0, 49.0))
    run._future.set_result(None)
    send_updates(bridge)
    expect(page.locator(".slx-state")).to_have_text("Finished. 1 order is still open.")
    expect(button(page, "Cancel all …")).to_be_enabled()


# -- themes and widths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1200])
def test_the_view_fits_wide_and_narrow_screens_in_light_and_dark(show, run, tmp_path, contrast, scheme, width):
    bridge, page = show(run, width=width, scheme=scheme)
    for number in range(8):
        run.control.publish(sent(A))
        run.control.publish(fill(A, number, 1.0, 100.0 + number / 10, seconds=number))
        send_updates(bridge)
    run.control.publish(
        OrderEvent("rejected", "r", B, NOON, code="201", message="Order rejected - reason: no permission")
    )
    send_updates(bridge)
    button(page, "Halt …").click()
    expect(page.locator(".slx")).to_have_attribute("data-theme", scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(page.locator(".slx-bar .slx-badge")).to_be_in_viewport()
    expect(page.locator(".slx-live")).to_have_class(re.compile("slx-narrow") if width == 420 else "slx slx-live")
    for selector in (
        ".slx-title",
        ".slx-label",
        '[data-status="REJECTED"] .slx-status-cell',
        ".slx-stop",
        ".slx-stop-2",
    ):
        assert contrast(page, selector) >= 4.5, selector
    page.screenshot(path=tmp_path / f"live-{scheme}-{width}.png", full_page=True)
