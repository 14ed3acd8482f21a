"""Every action of the review's view, and every refusal, in a real browser on the real widget."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import stocklean_exec as sx
from tests.extras import need
from tests.review.previewed_orders import review_previewed_orders

expect = need("playwright.sync_api", "browser").expect
pytestmark = pytest.mark.once  # the page is the same whichever Python feeds it

SPY, TLT, BIG, WIDE, OLD, GONE = "r-SPY-BUY", "r-TLT-BUY", "r-BIG-BUY", "r-WIDE-BUY", "r-OLD-SELL", "r-GONE-BUY"
ALL = [SPY, TLT, BIG, WIDE, OLD, GONE]
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"&amp;${window.hit=1}'


def tick(page, name):
    return page.get_by_role("checkbox", name=f"approve {name}", exact=True)


def cell(page, name, column):
    return page.locator(f'[data-id="{name}"] [data-name="{column}"]')


def button(page, text):
    return page.get_by_role("button", name=text)


def alert(page):
    return page.locator(".slx-alert[role=alert]")


def shown_ids(page):
    return page.locator(".slx-body .slx-row").evaluate_all(
        "(rows) => rows.sort((a, b) => a.offsetTop - b.offsetTop).map((row) => row.dataset.id)"
    )


def type_into(page, name, column, text, key="Enter"):
    cell(page, name, column).click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(text)
    page.keyboard.press(key)


def choose(page, name, column, option):
    cell(page, name, column).click()
    page.locator("select.slx-editor").select_option(option)


def quantities(review):
    return dict(zip(review.orders["client_order_id"], review.orders["quantity"], strict=True))


# -- display ---------------------------------------------------------------------------------------------------


def test_the_orders_are_displayed_with_their_checks_and_weights(join, review):
    page = join(review).open()
    assert shown_ids(page) == ALL
    expect(cell(page, BIG, "verdict")).to_have_text("block")
    expect(cell(page, BIG, "why")).to_have_text("max_notional 3,000 (limit 2,500)")
    expect(cell(page, WIDE, "verdict")).to_have_text("warn")
    expect(cell(page, OLD, "weight_before")).to_have_text("12.00 %")  # 40 x 30 of 10,000
    expect(cell(page, OLD, "target_weight")).to_have_text("9.00 %")
    expect(cell(page, OLD, "weight_after")).to_have_text("9.00 %")  # 30 x 30
    expect(cell(page, SPY, "notional")).to_have_text("1,000.00")


def test_account_and_badge_are_visible_above_and_below_and_while_confirming(join, review):
    page = join(review).open()
    expect(page.locator(".slx-bar .slx-badge")).to_have_text("MOCK")
    expect(page.locator(".slx-foot .slx-badge")).to_have_text("MOCK")
    expect(page.locator(".slx-bar .slx-account")).to_have_text(review.shown_account)
    assert review.account not in page.content()
    tick(page, SPY).click()
    button(page, "Submit 1 approved").click()
    expect(page.locator(".slx-panel .slx-badge")).to_have_text("MOCK")
    expect(page.locator(".slx-panel")).to_contain_text(review.shown_account)


@pytest.mark.parametrize(("account", "badge"), [("DU0000001", "PAPER"), ("U1234567", "LIVE")])
def test_paper_and_live_differ_by_word_and_colour(join, orders, account, badge):
    checked = sx.check_orders(orders.assign(account=account), sx.Limits(min_cash_after=None, allow_short=True))
    page = join(sx.review_orders(checked)).open()
    shown = page.locator(".slx-bar .slx-badge")
    expect(shown).to_have_text(badge)
    colours = {"PAPER": "rgb(31, 111, 67)", "LIVE": "rgb(179, 38, 30)"}
    expect(shown).to_have_css("background-color", colours[badge])
    expect(button(page, "Submit 0 approved")).to_be_disabled()  # nowhere to send


def test_the_bar_stays_in_view_while_the_page_is_scrolled(join, review):
    page = join(review).open(height=400)
    page.mouse.move(600, 60)
    page.evaluate("window.scrollTo(0, 250)")
    expect(page.locator(".slx-bar .slx-badge")).to_be_in_viewport()


def test_totals_are_shown_now_after_approved_and_after_passing(join, review):
    page = join(review).open()

    def line(measure):
        return page.locator(f'tr[data-measure="{measure}"] td').all_inner_texts()

    # 10 SPY at 100, 20 TLT at 50 and 5 WIDE at 20 are bought, 10 OLD at 30 are sold; a dollar of fees for each,
    # and for the sale 10 x 0.000195 and 299.90 x 27.80 per million: a cent.
    # Cash counts market orders at the far touch: 8,800 - 1,000.10 - 1,000.20 - 105 + 299.90 - 4.01.
    assert line("buys") == ["", "0.00", "2,100.00"]
    assert line("cash") == ["8,800.00", "8,800.00", "6,990.59"]
    tick(page, SPY).click()
    expect(page.locator('tr[data-measure="buys"]')).to_have_text("Buys1,000.002,100.00")
    assert line("cash") == ["8,800.00", "7,798.90", "6,990.59"]
    assert line("turnover") == ["", "10.00 %", "24.00 %"]
    assert line("estimated_fees") == ["", "1.00", "4.01"]
    assert line("estimated_spread_cost") == ["", "0.10", "5.40"]
    expect(page.locator(".slx-totals table").nth(1)).to_contain_text("SPY0.00 %10.00 %")


def test_margin_of_previews_is_shown_for_the_account_and_for_the_orders_that_have_one(join, review):
    page = join(review_previewed_orders()).open(width=1_600)
    line = page.locator('tr[data-measure="initial_margin"]')
    expect(line).to_have_text("Initial margin, at most600.00600.001,600.00")
    note = page.locator(".slx-margin")
    expect(note).to_contain_text("Margin: 1 of 3 orders by the broker's preview, the oldest ")
    expect(cell(page, SPY, "previewed_margin")).to_have_text("500.00")
    expect(cell(page, SPY, "previewed_commission")).to_have_text("1.25")
    expect(cell(page, SPY, "previewed_at")).to_have_text("2026-11-23 14:56:00 UTC")
    expect(cell(page, TLT, "previewed_margin")).to_have_text("")
    type_into(page, SPY, "quantity", "9")
    expect(cell(page, SPY, "previewed_margin")).to_have_text("")  # it was of another quantity
    expect(note).to_contain_text("Margin: 0 of 3 orders")
    expect(line).to_have_text("Initial margin, at most600.00600.001,550.00")

    plain = join(review).open()
    assert plain.locator('.slx-margin, tr[data-measure="initial_margin"]').count() == 0


def test_five_thousand_orders_scroll_and_only_those_in_view_are_drawn(join):
    symbols = [f"S{number:04d}" for number in range(5_000)]
    orders = pd.DataFrame(
        {
            "run_id": "r",
            "symbol": symbols,
            "side": "BUY",
            "quantity": 1.0,
            "order_type": "MKT",
            "decision_price": 9.0,
        }
    )
    review = sx.review_orders(sx.check_orders(orders, quotes=dict.fromkeys(symbols, 9.0), cash=1e6))
    page = join(review).open()
    grid = page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", "5001")
    assert page.locator(".slx-body .slx-row").count() < 60
    grid.focus()
    page.keyboard.press("Control+End")
    expect(cell(page, "r-S4999-BUY", "symbol")).to_be_in_viewport()
    page.keyboard.press("Space")
    expect(tick(page, "r-S4999-BUY")).to_be_checked()
    assert review.decision_status.count("approved") == 1


def test_an_empty_plan_shows_that_it_has_no_orders(join, venue):
    orders = sx.plan_orders({"SPY": 0.5}, {"SPY": 50}, {"SPY": 100.0}, nav=10_000, run_id="r")
    review = sx.review_orders(sx.check_orders(orders, quotes={"SPY": 100.0}, cash=0.0), *venue)
    page = join(review).open()
    expect(page.locator(".slx-empty")).to_have_text("The plan has no orders.")
    expect(button(page, "Submit 0 approved")).to_be_disabled()


# -- approving -------------------------------------------------------------------------------------------------


def test_a_click_approves_and_another_undoes_it(join, review):
    page = join(review).open()
    tick(page, SPY).click()
    expect(tick(page, SPY)).to_be_checked()
    assert review.decision_status[0] == "approved"
    tick(page, SPY).click()
    expect(tick(page, SPY)).not_to_be_checked()
    assert review.decision_status[0] == "open"


@pytest.mark.parametrize(("name", "reason"), [(BIG, "max_notional"), (GONE, "price_unavailable")])
def test_a_blocked_order_cannot_be_approved_by_click_or_key(join, review, name, reason):
    page = join(review).open()
    tick(page, name).click(force=True)  # it says that it is disabled
    expect(alert(page)).to_contain_text("blocked orders cannot be approved")
    expect(alert(page)).to_contain_text(reason)
    page.keyboard.press("Space")
    expect(tick(page, name)).not_to_be_checked()
    assert "approved" not in review.decision_status


def test_approve_all_passing_approves_passing_orders_only(join, review):
    page = join(review).open()
    button(page, "Approve all passing").click()
    expect(tick(page, OLD)).to_be_checked()
    assert review.decision_status == ["approved", "approved", "blocked", "open", "approved", "blocked"]


def test_approve_shown_approves_only_the_filtered_orders(join, review):
    page = join(review).open()
    page.get_by_label("filter by side").select_option("SELL")
    button(page, "Approve shown (1)").click()
    expect(page.get_by_role("status")).to_have_text("1 approved")
    assert review.decision_status == ["open", "open", "blocked", "open", "approved", "blocked"]


def test_decisions_are_reset(join, review):
    review.approve_all()
    page = join(review).open()
    button(page, "Reset decisions").click()
    expect(tick(page, SPY)).not_to_be_checked()
    assert review.decision_status == ["open", "open", "blocked", "open", "open", "blocked"]


# -- filters, sorting, columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "option", "left"),
    [
        ("filter by risk check", "pass", [SPY, TLT, OLD]),
        ("filter by risk check", "warn", [WIDE]),
        ("filter by risk check", "block", [BIG, GONE]),
        ("filter by side", "SELL", [OLD]),
        ("filter by decision", "approved", [SPY]),
    ],
)
def test_rows_are_filtered_by_each_menu(join, review, label, option, left):
    review.approve(SPY)
    page = join(review).open()
    page.get_by_label(label).select_option(option)
    expect(page.locator(".slx-body .slx-row")).to_have_count(len(left))
    assert shown_ids(page) == left


def test_filtering_by_symbol(join, review):
    page = join(review).open()
    page.get_by_label("filter by symbol").fill("l")
    expect(page.locator(".slx-body .slx-row")).to_have_count(2)
    assert shown_ids(page) == [TLT, OLD]
    page.get_by_label("filter by symbol").fill("nothing")
    expect(page.locator(".slx-empty")).to_have_text("No order matches the filters.")


def test_a_click_on_a_header_sorts_up_down_and_not_at_all(join, review):
    page = join(review).open()
    header = page.get_by_role("columnheader", name="Quantity")
    header.click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(page.locator(".slx-body .slx-row").first).to_have_attribute("data-id", WIDE)
    assert shown_ids(page) == [WIDE, SPY, OLD, TLT, BIG, GONE]  # unknown quantities come last
    header.click()
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(page.locator(".slx-body .slx-row").first).to_have_attribute("data-id", BIG)
    assert shown_ids(page) == [BIG, TLT, SPY, OLD, WIDE, GONE]
    header.click()
    expect(header).to_have_attribute("aria-sort", "none")


def test_columns_are_chosen(join, review):
    page = join(review).open()
    assert cell(page, SPY, "client_order_id").count() == 0
    page.locator(".slx-chooser > summary").click()
    page.get_by_label("Client order id").check()
    page.get_by_label("Reasons").uncheck()
    expect(cell(page, SPY, "client_order_id")).to_have_text(SPY)
    expect(page.get_by_role("columnheader", name="Reasons")).to_have_count(0)


# -- editing ---------------------------------------------------------------------------------------------------


def test_an_edited_quantity_is_checked_again_and_must_be_approved_again(join, review):
    review.approve(SPY)
    page = join(review).open()
    type_into(page, SPY, "quantity", "7")
    expect(cell(page, SPY, "quantity")).to_have_text("7")
    expect(tick(page, SPY)).not_to_be_checked()
    expect(cell(page, SPY, "notional")).to_have_text("700.00")
    assert quantities(review)[SPY] == 7.0
    assert review.decisions.iloc[-1][["by", "action", "old", "new"]].tolist() == ["ann", "edit", 10.0, 7.0]


def test_an_edit_that_fixes_a_blocked_order_shows_its_new_verdict(join, review):
    page = join(review).open()
    type_into(page, BIG, "quantity", "1,00")
    expect(alert(page)).to_contain_text("'1,00' is not a number")
    type_into(page, BIG, "quantity", "200")
    expect(cell(page, BIG, "verdict")).to_have_text("pass")
    tick(page, BIG).click()
    expect(tick(page, BIG)).to_be_checked()


def test_an_edit_that_blocks_another_order_voids_its_displayed_approval(join, review):
    limits = sx.Limits(max_total_notional=2_500)
    checked = review.orders.drop(columns=["approved", "approved_by", "approved_at"])
    quotes = {"SPY": 100.0, "TLT": 50.0, "BIG": 1.0, "WIDE": 20.0, "OLD": 30.0}
    other = sx.review_orders(
        sx.check_orders(checked, limits, quotes=quotes, positions={"OLD": 40}, cash=1e6), by="ann"
    )
    other.approve(TLT)
    page = join(other).open()
    expect(tick(page, TLT)).to_be_checked()
    type_into(page, SPY, "quantity", "12")
    expect(cell(page, TLT, "verdict")).to_have_text("block")
    expect(tick(page, TLT)).not_to_be_checked()


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("quantity", "a dozen", "quantity 'a dozen' is not a number"),
        ("quantity", "", "quantity '' is not a number"),
        ("quantity", "-5", "quantity -5 must be positive; use side for direction"),
        ("quantity", "0", "quantity is 0"),
        ("quantity", "1.5", "1.5 is not a multiple of 1"),
        ("quantity", "99999999999999999999", "are over the 2,147,483,646"),
        ("quantity", "1e5", "quantity '1e5' is not a number"),
        ("quantity", "NaN", "quantity 'NaN' is not a number"),
        ("limit_price", "99.001", "99.001 is not a multiple of 0.01; 99 or 99.01 are"),
        ("limit_price", "-1", "needs a limit_price above 0"),
        ("limit_price", "cheap", "limit_price 'cheap' is not a number"),
    ],
)
def test_an_invalid_edit_is_refused_with_its_reason_and_reverted(join, review, column, text, reason):
    page = join(review).open()
    before = review.result()
    was = cell(page, TLT, column).inner_text()
    type_into(page, TLT, column, text)
    expect(alert(page)).to_contain_text(reason)
    expect(cell(page, TLT, column)).to_have_text(was)
    expect(cell(page, TLT, column)).to_have_class(re.compile("slx-refused"))
    pd.testing.assert_frame_equal(review.result(), before)
    type_into(page, TLT, "quantity", "21")  # and the next good edit clears the reason
    expect(cell(page, TLT, "quantity")).to_have_text("21")
    expect(alert(page)).to_have_text("")


def test_a_limit_price_makes_a_limit_order_and_a_market_order_has_none(join, review):
    page = join(review).open()
    type_into(page, SPY, "limit_price", "99.5")
    expect(cell(page, SPY, "order_type")).to_have_text("LMT")
    expect(cell(page, SPY, "limit_price")).to_have_text("99.50")
    choose(page, SPY, "order_type", "MKT")
    expect(cell(page, SPY, "order_type")).to_have_text("MKT")
    expect(cell(page, SPY, "limit_price")).to_have_text("")


def test_choosing_a_limit_order_opens_the_price_field(join, review):
    page = join(review).open()
    choose(page, SPY, "order_type", "LMT")
    expect(page.locator("input.slx-editor")).to_be_focused()
    page.keyboard.type("101.25")
    page.keyboard.press("Enter")
    expect(cell(page, SPY, "limit_price")).to_have_text("101.25")
    assert review.orders["order_type"].tolist()[0] == "LMT"


def test_the_time_in_force_is_chosen(join, review):
    page = join(review).open()
    choose(page, SPY, "tif", "GTC")
    expect(cell(page, SPY, "tif")).to_have_text("GTC")
    assert review.orders["tif"].tolist()[0] == "GTC"


def test_escape_discards_the_edit(join, review):
    bridge = join(review)
    page = bridge.open()
    type_into(page, SPY, "quantity", "7", key="Escape")
    expect(page.locator(".slx-editor")).to_have_count(0)
    expect(cell(page, SPY, "quantity")).to_have_text("10")
    assert [sent["kind"] for sent in bridge.received] == ["hello"]


def test_clicking_another_cell_commits_the_edit(join, review):
    page = join(review).open()
    cell(page, SPY, "quantity").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("8")
    cell(page, TLT, "quantity").click()
    expect(cell(page, SPY, "quantity")).to_have_text("8")
    expect(page.get_by_label(f"Quantity of {TLT}")).to_be_focused()


@pytest.mark.parametrize("column", ["symbol", "side", "verdict", "why", "target_weight", "notional"])
def test_other_columns_cannot_be_edited(join, review, column):
    page = join(review).open()
    cell(page, SPY, column).click()
    page.keyboard.press("Enter")
    expect(page.locator(".slx-editor")).to_have_count(0)
    expect(cell(page, SPY, column)).to_have_attribute("aria-readonly", "true")


def test_a_rejected_row_cannot_be_edited(join, review):
    page = join(review).open()
    cell(page, GONE, "quantity").click()
    expect(alert(page)).to_contain_text("it is rejected in the plan")
    expect(page.locator(".slx-editor")).to_have_count(0)


# -- by keyboard alone -----------------------------------------------------------------------------------------


def test_the_whole_review_by_keyboard(join, review, venue):
    page = join(review).open()
    page.get_by_role("grid").focus()
    page.keyboard.press("Space")  # SPY is approved
    expect(tick(page, SPY)).to_be_checked()
    for key in ("ArrowDown", *("ArrowRight",) * 4):
        page.keyboard.press(key)
    page.keyboard.type("15")  # TLT's quantity
    page.keyboard.press("Tab")
    expect(cell(page, TLT, "quantity")).to_have_text("15")
    page.keyboard.press("Space")
    expect(tick(page, TLT)).to_be_checked()
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("x")  # OLD is rejected
    expect(page.locator(f'[data-id="{OLD}"]')).to_have_class("slx-row slx-is-rejected slx-v-pass")
    assert review.decision_status == ["approved", "approved", "blocked", "open", "rejected", "blocked"]
    button(page, "Submit 2 approved").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("type the phrase to confirm")).to_be_focused()
    page.keyboard.type(page.locator(".slx-due").inner_text())
    page.keyboard.press("Enter")
    expect(page.locator(".slx-panel")).to_be_hidden()
    review._widget.wait()
    assert venue[1].orders("r")["status"].tolist().count("FILLED") == 2


def test_the_keys_move_to_the_header_and_sort(join, review):
    page = join(review).open()
    page.get_by_role("grid").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Symbol")).to_have_attribute("aria-sort", "ascending")
    assert shown_ids(page) == [BIG, GONE, OLD, SPY, TLT, WIDE]
    page.keyboard.press("/")
    expect(page.get_by_label("filter by symbol")).to_be_focused()


def test_the_active_cell_is_announced_to_screen_readers(join, review):
    page = join(review).open()
    grid = page.get_by_role("grid", name="orders to review")
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".slx-active")).to_have_text("TLT")
    expect(page.locator(".slx-active")).to_have_role("gridcell")
    assert grid.get_attribute("aria-activedescendant") == page.locator(".slx-active").get_attribute("id")
    page.keyboard.press("End")
    expect(page.locator(".slx-active")).to_have_attribute("data-name", "why")
    page.keyboard.press("Home")
    expect(page.locator(".slx-active")).to_have_attribute("data-column", "0")


def test_keys_stay_in_the_review_and_do_not_reach_the_notebook(join, review):
    page = join(review).open()
    page.evaluate("document.addEventListener('keydown', (event) => { window.leaked = event.key; })")
    page.get_by_role("grid").focus()
    page.keyboard.press("x")
    page.keyboard.press("d")
    page.get_by_label("filter by symbol").press("b")
    assert page.evaluate("window.leaked") is None
    expect(page.locator(".slx")).to_have_attribute("data-lm-suppress-shortcuts", "true")


# -- submitting ------------------------------------------------------------------------------------------------


def open_panel(page, count=1):
    button(page, f"Submit {count} approved").click()
    return page.get_by_label("type the phrase to confirm")


def test_the_typed_phrase_sends_exactly_what_is_displayed(join, review, venue):
    bridge = join(review)
    page = bridge.open()
    tick(page, SPY).click()
    entry = open_panel(page)
    phrase = page.locator(".slx-due").inner_text()
    assert phrase == review.confirmation().phrase  # this request replaces the view's confirmation
    entry.fill(phrase)
    button(page, "Send 1 order").click()
    expect(alert(page)).to_contain_text("this confirmation expired or was already used")
    entry = open_panel(page)
    entry.fill(phrase)
    button(page, "Send 1 order").click()
    bridge.widget.wait()
    bridge.flush()
    expect(page.locator(".slx-state")).to_have_text("submitted: 3 CANCELLED, 1 FILLED, 2 REJECTED")
    expect(button(page, "Submit 1 approved")).to_be_disabled()
    assert venue[1].orders("r").set_index("client_order_id").loc[SPY, "status"] == "FILLED"


@pytest.mark.parametrize("typed", ["", "yes", "submit 1 mock", "SUBMIT 1 LIVE"])
def test_a_wrong_phrase_sends_nothing(join, review, venue, typed):
    page = join(review).open()
    tick(page, SPY).click()
    open_panel(page).fill(typed)
    button(page, "Send 1 order").click()
    expect(alert(page)).to_contain_text("is not the phrase")
    expect(page.locator(".slx-panel")).to_be_hidden()
    assert len(venue[1].orders("r")) == 0


def test_a_double_click_on_send_sends_once(join, review, venue):
    bridge = join(review)
    page = bridge.open()
    tick(page, SPY).click()
    open_panel(page).fill(page.locator(".slx-due").inner_text())
    button(page, "Send 1 order").dblclick()
    expect(page.locator(".slx-panel")).to_be_hidden()
    bridge.widget.wait()
    assert [sent["kind"] for sent in bridge.received].count("submit") == 1
    assert venue[1].orders("r")["status"].tolist().count("FILLED") == 1


def test_the_panel_is_closed_by_cancel_by_escape_and_by_any_change(join, review):
    bridge = join(review)
    page = bridge.open()
    tick(page, SPY).click()
    panel = page.locator(".slx-panel")
    open_panel(page)
    button(page, "Cancel").click()
    expect(panel).to_be_hidden()
    open_panel(page).press("Escape")
    expect(panel).to_be_hidden()
    open_panel(page)
    review.reject(TLT)
    bridge.flush()
    expect(panel).to_be_hidden()
    expect(alert(page)).to_have_text("The plan changed; please confirm again.")


def test_a_failed_submission_shows_why_and_can_be_confirmed_again(join, review):
    def fail(*_, **__):
        raise sx.BrokerError("the line is dead")

    review._send = fail
    bridge = join(review)
    page = bridge.open()
    tick(page, SPY).click()
    open_panel(page).fill(page.locator(".slx-due").inner_text())
    button(page, "Send 1 order").click()
    expect(page.locator(".slx-panel")).to_be_hidden()
    bridge.widget.wait()
    bridge.flush()
    expect(page.locator(".slx-state")).to_have_text("submission failed: BrokerError: the line is dead")
    expect(button(page, "Submit again")).to_be_enabled()


def test_a_halt_is_displayed_and_stops_the_submission(join, review, venue):
    venue[1].halt("lunch")
    page = join(review).open()
    tick(page, SPY).click()
    button(page, "Submit 1 approved").click()
    expect(alert(page)).to_contain_text("halted: lunch")
    expect(page.locator(".slx-panel")).to_be_hidden()


# -- two views, reload, a lost kernel --------------------------------------------------------------------------


def test_a_second_view_and_a_reloaded_one_show_the_kernels_state(join, review):
    bridge = join(review)
    first = bridge.open()
    type_into(first, SPY, "quantity", "7")
    expect(cell(first, SPY, "quantity")).to_have_text("7")
    tick(first, TLT).click()
    expect(tick(first, TLT)).to_be_checked()
    second = bridge.open()
    expect(cell(second, SPY, "quantity")).to_have_text("7")
    expect(tick(second, TLT)).to_be_checked()
    tick(second, TLT).click()
    expect(tick(second, TLT)).not_to_be_checked()
    bridge.flush()
    expect(tick(first, TLT)).not_to_be_checked()


def test_of_two_tabs_that_decide_on_the_same_row_the_later_is_refused_and_refreshed(join, review):
    bridge = join(review)
    first, second = bridge.open(), bridge.open()
    type_into(first, SPY, "quantity", "7")
    expect(cell(first, SPY, "quantity")).to_have_text("7")
    tick(second, SPY).click()  # it still shows 10
    expect(alert(second)).to_contain_text(f"review the refreshed values ({SPY})")
    expect(cell(second, SPY, "quantity")).to_have_text("7")
    assert review.decision_status[0] == "open"
    button(first, "Approve all passing").click()
    expect(tick(first, SPY)).to_be_checked()
    button(second, "Approve all passing").click()
    expect(alert(second)).to_contain_text("The plan changed after it was displayed")


def test_of_two_tabs_that_submit_only_one_sends(join, review, venue):
    bridge = join(review)
    review.approve(SPY)
    first, second = bridge.open(), bridge.open()
    open_panel(first).fill(first.locator(".slx-due").inner_text())
    open_panel(second).fill(second.locator(".slx-due").inner_text())
    button(first, "Send 1 order").click()
    expect(alert(first)).to_contain_text("expired or was already used")
    button(second, "Send 1 order").click()
    expect(second.locator(".slx-panel")).to_be_hidden()
    bridge.widget.wait()
    bridge.flush()
    expect(first.locator(".slx-state")).to_contain_text("submitted")
    assert venue[1].orders("r")["status"].tolist().count("FILLED") == 1


def test_an_edit_that_races_with_a_recheck_is_refused(join, review):
    bridge = join(review)
    page = bridge.open()
    cell(page, SPY, "quantity").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("8")
    review.edit(SPY, quantity=5)  # at the same time, in the kernel
    page.keyboard.press("Enter")
    expect(alert(page)).to_contain_text(f"review the refreshed values ({SPY})")
    expect(cell(page, SPY, "quantity")).to_have_text("5")
    assert quantities(review)[SPY] == 5.0


def test_a_pending_edit_is_marked_and_a_click_on_its_row_is_refused(join, review):
    bridge = join(review)
    page = bridge.open()
    bridge.is_held = True
    type_into(page, SPY, "quantity", "8")
    expect(cell(page, SPY, "quantity")).to_have_class(re.compile("slx-pending"))
    tick(page, SPY).click()  # a decision on a row that is being checked again
    bridge.flush()
    expect(alert(page)).to_contain_text(f"review the refreshed values ({SPY})")
    assert review.decision_status[0] == "open"
    assert quantities(review)[SPY] == 8.0


def test_a_lost_patch_is_detected_and_recovered(join, review):
    bridge = join(review)
    page = bridge.open()
    review.edit(SPY, quantity=5)
    bridge.outboxes["0"].clear()  # the patch is lost
    tick(page, TLT).click()
    expect(tick(page, TLT)).to_be_checked()
    expect(cell(page, SPY, "quantity")).to_have_text("5")


def test_a_view_out_of_step_with_the_kernel_cannot_submit(join, review, venue):
    bridge = join(review)
    page = bridge.open()
    tick(page, SPY).click()
    open_panel(page).fill(page.locator(".slx-due").inner_text())
    review.plan.frame.loc[0, "quantity"] = 11.0  # as a bug would
    button(page, "Send 1 order").click()
    expect(alert(page)).to_contain_text("out of step with the kernel")
    assert len(venue[1].orders("r")) == 0


def test_a_click_after_a_kernel_restart_shows_a_message_and_changes_nothing(join, review):
    bridge = join(review)
    page = bridge.open()
    page.clock.install()
    bridge.is_dead = True
    tick(page, SPY).click()
    page.clock.run_for(4_100)
    expect(alert(page)).to_contain_text("No answer from the kernel")
    expect(tick(page, SPY)).not_to_be_checked()
    tick(page, TLT).click()
    expect(alert(page)).to_contain_text("Not sent: still waiting")
    assert [sent["kind"] for sent in bridge.received] == ["hello", "approve"]
    assert "approved" not in review.decision_status


def test_a_late_answer_of_a_busy_kernel_is_applied(join, review):
    bridge = join(review)
    page = bridge.open()
    page.clock.install()
    bridge.is_held = True
    tick(page, SPY).click()
    page.clock.run_for(4_100)
    expect(alert(page)).to_contain_text("No answer from the kernel")
    bridge.flush()
    expect(alert(page)).to_have_text("")
    page.clock.run_for(100)
    expect(tick(page, SPY)).to_be_checked()


def test_a_reopened_notebook_with_old_outputs_shows_an_inactive_view(join, review):
    bridge = join(review)
    bridge.is_dead = True
    page = bridge.open()
    expect(alert(page)).to_contain_text("No answer from the kernel", timeout=10_000)
    expect(alert(page)).to_contain_text("Run the cell again")
    for text in ("Approve all passing", "Approve shown", "Reset decisions"):
        button(page, text).click()
    assert [sent["kind"] for sent in bridge.received] == ["hello"]


# -- hostile text ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["currency", "exchange", "detail", "note", HOSTILE, "order_ref", "decided_by"])
def test_hostile_text_stays_text_in_every_column(join, orders, column):
    hostile = orders.assign(**{column: HOSTILE})
    checked = sx.check_orders(hostile, sx.Limits(min_cash_after=None))
    page = join(sx.review_orders(checked, by=HOSTILE)).open()
    page.locator(".slx-chooser > summary").click()
    for box in page.locator(".slx-chooser-list input:enabled").all():
        box.check()
    page.locator(".slx-chooser > summary").click()
    if column == "currency":  # not the base currency: the row is blocked
        expect(tick(page, SPY)).to_be_disabled()
    else:
        tick(page, SPY).click()
        expect(tick(page, SPY)).to_be_checked()
    page.get_by_label("filter by symbol").fill(HOSTILE)
    page.get_by_label("filter by symbol").fill("")
    expect(page.locator(".slx-body")).to_contain_text("<script>window.hit=1</script>")
    assert page.evaluate("window.hit") is None
    assert page.locator(".slx img, .slx script, .slx iframe").count() == 0


def test_hostile_text_typed_into_a_cell_stays_text_in_the_refusal(join, review):
    page = join(review).open()
    type_into(page, SPY, "quantity", "<img src=x onerror=window.hit=1>")
    expect(alert(page)).to_contain_text("is not a number")
    assert page.evaluate("window.hit") is None
    assert page.locator(".slx img").count() == 0


# -- how orders are worked -------------------------------------------------------------------------------------


@pytest.fixture
def worked(venue):
    """A review of 20 TLT at a limit, with a policy that changes it three times at most before a minute is over."""

    def reviewed(work):
        orders = pd.DataFrame(
            {
                "run_id": "r",
                "symbol": ["TLT"],
                "side": "BUY",
                "quantity": 20.0,
                "order_type": "LMT",
                "limit_price": 49.98,
            }
        )
        broker, blotter = venue
        quotes = broker.quotes()
        checked = sx.check_orders(orders, quotes=quotes, cash=8_800.0, nav=10_000.0, positions=broker.positions())
        return sx.review_orders(checked, broker, blotter, by="ann", work=work)

    return reviewed


def work_line(page):
    return page.locator(".slx-work")


def text_start(page, selector):
    """Where the content of an element begins, from the left."""
    box = page.locator(selector).first
    return box.evaluate("(e) => e.getBoundingClientRect().left + parseFloat(getComputedStyle(e).paddingLeft)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1200])
def test_how_orders_are_worked_is_shown_under_the_head(join, worked, tmp_path, contrast, scheme, width):
    policy = sx.WorkPolicy(reprice_seconds=10, reprices=3, deadline=60)
    page = join(worked(policy)).open(width=width, scheme=scheme)
    # The order, three changes, at most five at the deadline and a cancel: 10 messages, for one execution plus one
    expect(work_line(page)).to_have_text(
        "Worked: reprice every 10 s to mid, 3 times; after 60 s marketable (1 order). At most 10 messages to "
        "the broker before executions, an order efficiency ratio of 5.0 if each order is executed once; "
        "Interactive Brokers flags more than 20"
    )
    expect(work_line(page)).to_be_in_viewport()
    head, line, rows = (page.locator(name).first.bounding_box() for name in (".slx-bar", ".slx-work", ".slx-body"))
    assert head["y"] + head["height"] <= line["y"]
    assert line["y"] + line["height"] <= rows["y"]
    assert text_start(page, ".slx-work") == text_start(page, ".slx-toolbar")
    assert contrast(page, ".slx-work") >= 4.5  # WCAG 2.2, success criterion 1.4.3
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=tmp_path / f"worked-{scheme}-{width}.png")


def test_without_a_policy_the_view_has_no_line_about_it(join, review):
    expect(work_line(join(review).open())).to_be_hidden()


# -- themes and widths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1200])
def test_the_view_fits_wide_and_narrow_screens_in_light_and_dark(join, review, tmp_path, contrast, scheme, width):
    review.approve(SPY)
    page = join(review).open(width=width, scheme=scheme)
    expect(page.locator(".slx")).to_have_attribute("data-theme", scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(page.locator(".slx-bar .slx-badge")).to_be_in_viewport()
    # Text is readable on what is behind it: a contrast of 4.5 or more (WCAG 2.2, success criterion 1.4.3)
    for selector in (
        ".slx-verdict-pass",
        ".slx-verdict-warn",
        ".slx-verdict-block",
        ".slx-title",
        ".slx-side-BUY",
    ):
        assert contrast(page, selector) >= 4.5, selector
    page.screenshot(path=tmp_path / f"review-{scheme}-{width}.png")


def test_approve_shown_skips_a_sell_whose_buys_are_blocked(join):
    quotes = {"OLD": 50.0, "NEW": 20.0}
    orders = sx.plan_orders(
        {"NEW": 1.0}, {"OLD": 1_000}, quotes, nav=51_000, run_id="r", unlisted="close", reserve=0
    )
    review = sx.review_orders(
        sx.check_orders(orders, positions={"OLD": 1_000}, quotes=quotes, cash=1_000.0), by="ann"
    )
    page = join(review).open()
    expect(cell(page, OLD, "why")).to_contain_text("one_sided_plan")
    button(page, "Approve shown (1)").click()
    expect(page.get_by_text("0 approved; 1 sells skipped: the buys they were meant to fund")).to_be_visible()
    tick(page, OLD).click()
    expect(page.get_by_text("1 approved", exact=True).first).to_be_visible()
    assert review.decision_status == ["approved", "blocked"]
