from __future__ import annotations

import re

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.blotter.reader import blotter_card
from stocklean_exec.brokers.base import broker_card
from stocklean_exec.portfolio.plan_summary import summary_card
from stocklean_exec.risk.limits import limits_card
from stocklean_exec.schema.account_ids import mask_account
from stocklean_exec.schema.html_card import card

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
TAGS = {"div", "b", "span", "table", "thead", "tbody", "tr", "th", "td"}


def tags_in(html):
    return set(re.findall(r"<\s*/?\s*([a-zA-Z!?]+)", html))


def test_text_in_a_card_is_escaped():
    made = card(HOSTILE, [HOSTILE], [(HOSTILE, HOSTILE)], ([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]]), HOSTILE)
    assert tags_in(made) <= TAGS
    assert "&lt;script&gt;" in made


def test_a_card_has_no_script_and_contacts_no_other_host():
    made = card("a", ["PAPER"], [("b", "c")], (["d", "e"], [["f", 1]]), "g")
    assert not re.search(r"https?:|url\(|javascript:| on\w+=", made)


def test_a_card_is_styled_by_attributes_that_an_untrusted_notebook_keeps():
    made = card("a", ["PAPER", "working"], [("b", "c")], (["d", "e"], [["f", 1]]), "g")
    chip = "display:inline-block;border-radius:4px;padding:0 6px;margin-left:6px;font-weight:600;color:#fff"
    assert f'<span style="{chip};background:#1f6f43">PAPER</span>' in made
    assert f'<span style="{chip};background:#4a5a6a">working</span>' in made
    number = "text-align:right;padding:1px 12px 1px 0;border:0;background:none;font-variant-numeric:tabular-nums"
    assert f'<td style="{number}">1</td>' in made
    assert "class=" not in made


def test_a_brokers_card_masks_its_account_and_omits_its_options():
    broker = sx.connect("mock://?seed=7", quotes={"SPY": 123.0}, cash=10_000)
    made = broker_card(broker)
    assert broker.account not in made
    assert "DU***" in made
    assert "seed" not in made
    assert broker.account in broker_card(broker, show_account=True)
    assert broker._repr_html_() == made


def test_a_brokers_card_shows_why_it_cannot_send():
    broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    broker.fault = HOSTILE
    assert "cannot send" in broker_card(broker)
    assert tags_in(broker_card(broker)) <= TAGS


def run_once(broker, blotter, run_id):
    quotes = {"SPY": 123.0}
    orders = sx.plan_orders({"SPY": 0.01}, None, quotes, nav=100_000, run_id=run_id)
    review = sx.review_orders(sx.check_orders(orders, sx.Limits(duplicate_window=None), quotes=quotes, cash=1e5))
    review.approve_all(by="ann")
    sx.submit_orders(review.result(), broker, blotter)


@pytest.mark.slow
def test_a_blotters_card_counts_and_shows_the_latest_runs():
    broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=100_000)
    with sx.open_blotter() as blotter:
        assert "run-1" not in blotter_card(blotter)
        for number in range(1, 8):
            run_once(broker, blotter, f"run-{number}")
        made = blotter_card(blotter)
        assert made == blotter_card(blotter)
        assert re.findall(r"run-\d", made) == [f"run-{number}" for number in (7, 6, 5, 4, 3)]
        assert "and 2 earlier runs" in made
        assert broker.account not in made
        blotter.halt(HOSTILE)
        assert "HALTED" in blotter_card(blotter)
        assert tags_in(blotter_card(blotter)) <= TAGS
    assert "closed" in blotter_card(blotter)


@pytest.mark.slow
def test_a_snapshots_card_is_read_from_the_snapshot(tmp_path):
    with sx.open_blotter(tmp_path / "paper.duckdb"), sx.read_blotter(tmp_path / "paper.duckdb") as snapshot:
        assert "Snapshot of paper.duckdb" in blotter_card(snapshot)


def test_the_limits_card_shows_limits_in_force_and_limits_switched_off():
    made = limits_card(sx.Limits(max_order_notional=250_000, restricted={"GME", "AMC"}))
    assert ">250,000<" in made
    assert ">AMC, GME<" in made
    assert "max_day_notional" in made.split("off: ")[1]
    assert "max_gross" in limits_card(sx.Limits(max_gross=None)).split("off: ")[1]
    assert sx.Limits(max_order_notional=250_000, restricted=["GME", "AMC"])._repr_html_() == made


@pytest.mark.parametrize("name", [None, "run-1", HOSTILE])
def test_a_summary_becomes_a_card(name):
    made = summary_card(pd.Series({"nav": 1234.5}, name=name))
    assert ">1,234.50<" in made
    assert tags_in(made) <= TAGS


@pytest.mark.slow
def test_a_blotter_shows_its_card_and_a_closed_one_is_marked_closed():
    with sx.open_blotter() as blotter:
        assert blotter._repr_html_() == blotter_card(blotter)
    assert "closed" in blotter._repr_html_()


@pytest.mark.slow
def test_a_run_shows_its_card():
    broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    orders = sx.plan_orders({"SPY": 0.5}, None, broker.quotes(), nav=broker.nav(), run_id="run-1")
    review = sx.review_orders(sx.check_orders(orders, quotes=broker.quotes(), cash=broker.cash()))
    review.approve_all(by="me")
    with sx.open_blotter() as blotter:
        run = sx.start_run(review.result(), broker, blotter)
        run.wait()
        made = run._repr_html_()
    for text in ("Run run-1", "MOCK", "over", "1 of 1 ended", "41 of 41 filled", mask_account(broker.account)):
        assert text in made
    assert broker.account not in made
    assert run._repr_html_() == made  # also once the blotter is closed
