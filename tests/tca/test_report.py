from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.demo import run_demo
from stocklean_exec.errors import InputError
from stocklean_exec.tca.report import _STYLE, _with_messages, mask_accounts, report, write_report
from stocklean_exec.tca.sources import TradeRecord, trade_record


@pytest.fixture(scope="module")
def blotter():
    with sx.open_blotter() as opened:
        run_demo(opened)
        yield opened


@pytest.fixture(scope="module")
def page(blotter):
    return report("demo", blotter)


class Reader(HTMLParser):
    """Collects tags, what they point to, and whether they are nested right."""

    VOID = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.mark.slow
def test_the_page_is_self_contained(page):
    reader = read(page.html)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert reader.links == []
    assert "@import" not in page.html
    assert "url(" not in page.html
    assert "http" not in page.html.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert reader.tags.count("svg") == 5


@pytest.mark.slow
def test_the_report_has_headline_incomplete_orders_and_provenance(page):
    text = " ".join(read(page.html).text)
    row = page.summary.headline.iloc[0]
    assert f"{row['slippage_bps']:+.2f}" in text
    for expected in (
        "Incomplete orders",
        "price_unavailable",
        "Worst orders",
        "Markouts",
        "Run and provenance",
        "By hour",
    ):
        assert expected in text
    assert "demo: partial" in text
    assert sx.__version__ in text
    assert "not approved" in text


def test_charts_have_the_text_colour_of_the_page(page):
    assert "#010203" not in page.html
    assert "currentColor" in page.html
    assert "prefers-color-scheme: dark" in page.html


@pytest.mark.slow
def test_account_numbers_are_masked(page, blotter):
    account = blotter.runs()["account"].iloc[0]
    assert account not in page.html
    record = trade_record(blotter)
    assert mask_accounts(f"of {account}.", record) == f"of {account[:2]}***{account[-3:]}."
    frame = pd.DataFrame({"account": ["Fund&Co", "ab"]})
    odd = TradeRecord(frame, frame, frame, frame, frame)
    assert mask_accounts("Fund&amp;Co", odd) == "Fund***&Co"
    assert mask_accounts("DU123456 runs DUMMY10, S&P 500", record) == "DU***456 runs DUMMY10, S&P 500"


@pytest.mark.slow
def test_external_text_is_escaped():
    evil = "<script>alert('x')</script>"
    broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0}, cash=10_000)
    with sx.open_blotter() as opened:
        sx.rebalance({"AAA": 0.5}, broker, opened, run_id="r", approve=evil, dry_run=False)
        record = trade_record(opened)
    orders = record.orders.assign(symbol=evil, reason=f'"{evil}', quantity=1e6, order_type=evil)
    runs = record.runs.assign(parameters=f'{{"note": "{evil}"}}', message=evil)
    fills = record.fills.assign(symbol=evil, exchange=evil)
    made = report(None, TradeRecord(orders, fills, record.quotes, record.events, runs))
    assert "<script" not in made.html
    assert "&lt;script&gt;" in made.html
    assert "script" not in read(made.html).tags


@pytest.mark.slow
def test_an_account_with_escaped_characters_is_masked_too():
    broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0}, cash=10_000)
    with sx.open_blotter() as opened:
        sx.rebalance({"AAA": 0.5}, broker, opened, run_id="r", approve="me", dry_run=False)
        record = trade_record(opened)
    account = 'O\'Neil & "Sons"'
    runs = record.runs.assign(account=account, message=f"of {account}")
    text = " ".join(read(report(None, replace(record, runs=runs)).html).text)
    assert "O'Neil" not in text
    assert 'of O***ns"' in text


@pytest.mark.slow
def test_the_report_is_written_completely_or_not_at_all(blotter, tmp_path):
    file = tmp_path / "new" / "r.html"
    assert write_report("demo", blotter, file) == file
    assert file.read_text("utf-8").endswith("</html>\n")
    assert [path.name for path in file.parent.iterdir()] == ["r.html"]
    assert report("demo", blotter, file).html == file.read_text("utf-8")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        write_report("demo", blotter, tmp_path / "taken" / "r.html")


@pytest.mark.slow
def test_the_report_file_is_private_and_does_not_follow_links(blotter, tmp_path):
    (tmp_path / "kept.html").write_text("kept", "utf-8")
    for name in ("run.html", ".run.html.new"):
        (tmp_path / name).symlink_to(tmp_path / "kept.html")
    mask = os.umask(0)
    try:
        file = write_report("demo", blotter, tmp_path / "run.html")
    finally:
        os.umask(mask)
    assert (tmp_path / "kept.html").read_text("utf-8") == "kept"
    assert stat.S_IMODE(file.lstat().st_mode) == 0o600
    assert stat.S_ISREG(file.lstat().st_mode)


def test_a_notebook_shows_the_report_in_an_iframe(page):
    shown = page._repr_html_()
    assert shown.startswith("<iframe")
    assert shown.count("<") == 2  # the frame alone; the page inside is escaped
    assert repr(page).startswith("<CostReport demo: <CostSummary: 20 orders")


@pytest.mark.slow
def test_without_the_chart_extra_the_report_has_a_note_and_tables(blotter, monkeypatch):
    for name in ("altair", "vl_convert"):
        monkeypatch.setitem(sys.modules, name, None)
        made = report("demo", blotter)
        assert "stocklean_exec[plots]" in made.html
        assert "<svg" not in made.html
        assert "Worst orders" in made.html
        monkeypatch.undo()


@pytest.mark.slow
def test_a_run_without_fills_has_a_report():
    broker = sx.MockBroker(
        sx.read_quotes({"AAA": 100.0}),
        cash=10_000,
        fill_plan=pd.DataFrame([{"symbol": "AAA", "action": "reject", "code": "201"}]),
    )
    with sx.open_blotter() as opened:
        sx.rebalance({"AAA": 0.5}, broker, opened, run_id="r", approve="me", dry_run=False)
        made = report("r", opened)
    assert "failed" in made.html
    assert "no order was measured" in made.html
    assert "REJECTED" in made.html
    assert "All orders were filled" not in made.html
    read(made.html)


@pytest.mark.slow
def test_a_table_of_many_orders_shows_the_worst_and_says_so(blotter):
    # 203 orders for 100, bought at 100.01, 100.02, ...: the last is the worst, the first three are not on the page
    demo = trade_record(blotter, run_id="demo")
    names = [f"o{number:03d}x" for number in range(203)]
    orders = pd.concat([demo.orders.iloc[[0]]] * 203, ignore_index=True).assign(
        client_order_id=names, symbol=names, side="BUY", quantity=1.0, decision_price=100.0, arrival_price=100.0
    )
    fills = pd.concat([demo.fills.iloc[[0]]] * 203, ignore_index=True).assign(
        client_order_id=names, exec_id=names, symbol=names, side="BUY", quantity=1.0
    )
    fills["price"] = 100 + (1 + orders.index) / 100
    page = report("demo", replace(demo, orders=orders.assign(approved=True), fills=fills))
    text = " ".join(read(page.html).text)
    shown = text.rpartition(" Orders ")[2]  # the last table
    assert text.count("200 of 203 rows") == 2  # orders, and symbols
    assert [name in shown for name in ("o202x", "o003x", "o002x", "o000x")] == [True, True, False, False]
    assert shown.index("o202x") < shown.index("o201x") < shown.index("o003x")
    assert len(page.summary.orders) == 203


@pytest.mark.slow
def test_fills_that_are_dated_by_their_report_are_counted_in_a_note(blotter):
    demo = trade_record(blotter, run_id="demo")
    note = "Fills dated when they were reported, because the time of the broker cannot be read: 1;"
    marks = [True, *[False] * (len(demo.fills) - 1)]
    marked = report("demo", replace(demo, fills=demo.fills.assign(time_unreliable=marks)))
    assert note in " ".join(" ".join(read(marked.html).text).split())
    assert note[:40] not in report("demo", demo).html


def test_incomplete_orders_have_the_last_message_of_the_broker():
    incomplete = pd.DataFrame({"reason": ["201", "working"]}, index=["a", "b"])
    events = pd.DataFrame(
        {"client_order_id": ["a", "a", "a", None], "message": ["first", "no margin", None, "of the run"]}
    )
    found = _with_messages(incomplete, events)["message"]
    assert found.fillna("").tolist() == ["no margin", ""]
    assert _with_messages(incomplete, events.iloc[:0]) is incomplete


@pytest.mark.slow
def test_an_empty_record_has_a_report(tmp_path):
    with sx.open_blotter(tmp_path / "b.duckdb") as opened:
        made = report(None, opened)
    read(made.html)
    assert "no run" in made.html


@pytest.mark.slow
def test_an_unknown_run_is_an_error(blotter):
    with pytest.raises(InputError) as caught:
        report("other", blotter)
    assert caught.value.codes == ("run_unknown",)


@pytest.mark.slow
def test_a_report_with_performance_sign_and_market_trades(blotter):
    quotes = blotter.quotes("demo").dropna(subset="quoted_at")
    trades = pd.DataFrame(
        {
            "symbol": quotes["symbol"],
            "traded_at": blotter.orders("demo")["arrived_at"].max() + pd.Timedelta(milliseconds=1),
            "price": quotes["last"],
            "volume": 1e6,
        }
    )
    made = report("demo", blotter, sign="performance", trades=trades, delay_basis="executed")
    text = " ".join(read(made.html).text)
    assert "As Interactive Brokers reports it" in text
    assert "positive is favourable" in text
    assert "Cost against participation" in text
    assert made.summary.headline["slippage_cost"].iloc[0] < 0


def test_numbers_are_formatted_as_numbers(page):
    assert re.search(r'<td class="number">[\d,]+\.\d\d</td>', page.html)
    assert "nan" not in " ".join(read(page.html).text).lower().split()


def test_the_style_sheet_has_no_rule_that_starts_behind_another():
    lines = _STYLE.strip().split("\n")
    assert [line for line in lines if re.search(r"}\s+[^\s}]", line) and not line.startswith("@media print")] == []
    assert [line for line in lines if line.rstrip().endswith(":")] == []  # a property parted from its value
