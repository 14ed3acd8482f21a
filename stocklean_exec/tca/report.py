"""The report of a run: one self-contained HTML file.

It loads no script, font or image, so that it opens without a network. Charts are SVG inside the page; without the
``plots`` extra the page has a note instead, and the tables. Text from outside (symbols, reasons, parameters) is
escaped by the template, and account numbers are masked. The page is ``templates/report.html``, its style
``static/report.css``.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
import numpy as np
import pandas as pd
from markupsafe import escape

from stocklean_exec._version import __version__
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.paths import local_path, refuse_addresses
from stocklean_exec.tca import charts
from stocklean_exec.tca.api import (
    cost_summary,
    fill_progress,
    fill_times,
    incomplete_reasons,
    markouts,
    participation,
)
from stocklean_exec.tca.inputs import undated_fills
from stocklean_exec.tca.sources import TradeRecord, trade_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stocklean_exec.tca.inputs import Sign
    from stocklean_exec.tca.shortfall import DelayBasis
    from stocklean_exec.tca.summary import CostSummary

__all__ = ["CostReport", "mask_accounts", "report", "write_report"]

_PERCENT = ("fill_ratio", "share", "completion_rate")
_WHOLE = {"orders", "filled_orders", "flagged", "fills", "commissions_due", "measured", "reached", "censored"}
_WHOLE |= {"not_watched", "unobserved", "quantity", "filled_quantity", "remaining_quantity", "unsplit_orders"}
_WHOLE |= {"time_unreliable"}
_HEADLINE = (
    ("orders", "orders", "{:,.0f}"),
    ("filled_orders", "with fills", "{:,.0f}"),
    ("fill_ratio", "filled, of notional", "{:.1%}"),
    ("slippage_bps", "slippage, bp", "{:+.2f}"),
    ("slippage_cost", "slippage, {currency}", "{:+,.2f}"),
    ("commission", "commission, {currency}", "{:+,.2f}"),
    ("friction_bps", "slippage + commission, bp", "{:+.2f}"),
    ("total_bps", "shortfall, bp", "{:+.2f}"),
)
_ROWS = (
    200  # of one table on the page (a choice): a run of 5,000 orders is a page of half a megabyte instead of six
)
_ACCOUNT = re.compile(r"\b(DU|DF|DI|U|F|I)(\d{2,})(\d{3})\b")


@dataclass(frozen=True)
class CostReport:
    """The report of a run; a notebook displays it, and :meth:`save` writes it.

    Attributes
    ----------
    html : the page
    summary : its numbers, as returned by :func:`stocklean_exec.cost_summary`
    """

    run_id: str
    html: str
    summary: CostSummary

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, readable by its owner only; an existing file or link is replaced.

        Raises
        ------
        InputError
            The path is an address, or the file cannot be written.
        """
        file = local_path(path, "path")
        written = file.with_name(f".{file.name}.new")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_private(written, self.html)
            written.replace(file)
        except OSError as error:
            with suppress(OSError):
                written.unlink()
            text = f"the report cannot be written to {str(file)!r}: {error}"
            raise InputError("path", [Problem("file_unwritable", text)]) from None
        return file

    def __repr__(self) -> str:
        return f"<CostReport {self.run_id}: {self.summary!r}>"

    def _repr_html_(self) -> str:
        # In an iframe, so that the styles of page and notebook do not mix.
        return _TEMPLATES.get_template("frame.html").render(title=self.run_id, page=self.html)


def report(
    run_id: str | Sequence[str] | None,
    blotter: object,
    path: str | os.PathLike[str] | None = None,
    *,
    quotes: object = None,
    trades: object = None,
    final_prices: object = None,
    delay_basis: DelayBasis = "order",
    sign: Sign = "cost",
    fx: object = None,
) -> CostReport:
    """Report what a run cost and what was not filled.

    Parameters
    ----------
    run_id : one run, several, or None for all
    blotter : a blotter, its file, the folder of an export, or a :class:`~stocklean_exec.TradeRecord`
    path : where to write the page; it is also returned
    quotes : of the market (frame or Parquet files), for markouts; by default those of the blotter
    trades : of the market (frame or Parquet files), for the chart of cost against participation
    final_prices : final price by symbol, for the unfilled quantity; without one its opportunity cost is unknown
    delay_basis, sign, fx : as in :func:`stocklean_exec.implementation_shortfall`

    Returns
    -------
    CostReport: a notebook displays it; ``.html`` is the page, ``.summary`` the numbers

    Raises
    ------
    InputError
        The run is not on record, currencies are mixed without ``fx``, or a path is an address.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://?seed=7", quotes={"AAA": 100.0}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     _ = sx.rebalance({"AAA": 0.5}, broker, blotter, run_id="r", approve="me", dry_run=False)
    ...     page = report("r", blotter)
    >>> page
    <CostReport r: <CostSummary: 1 orders, 1 with fills, slippage 0.00 bp, 0 flagged>>
    """
    refuse_addresses({"path": path, "quotes": quotes, "trades": trades})
    everything = trade_record(blotter, run_id=run_id)
    record = trade_record(everything, approved_only=True)
    orders = record.orders
    options: dict[str, Any] = {"final_prices": final_prices, "delay_basis": delay_basis, "sign": sign, "fx": fx}
    summary = cost_summary(orders, record.fills, **options)
    market = quotes if quotes is not None else record.quotes.dropna(subset="quoted_at")
    moves = _markouts(record, market)
    name = ", ".join(everything.runs["run_id"].tolist()) or "no run"
    currencies = sorted(set(orders["currency"].dropna())) if fx is None else ["base currency"]
    currency = currencies[0] if len(currencies) == 1 else "currency"
    runs = everything.runs[["run_id", "status"]]
    html = _TEMPLATES.get_template("report.html").render(
        name=name,
        style=_STYLE,
        direction="positive is a cost" if sign == "cost" else "positive is favourable",
        states=", ".join(f"{run}: {state}" for run, state in runs.itertuples(index=False)),
        tiles=_tiles(summary, currency),
        notes=_notes(
            summary,
            excluded=len(everything.orders) - len(summary.orders),
            undated=int(undated_fills(record.fills).sum()),
        ),
        pictures=_pictures(summary, record, moves, trades, currency),
        sections=_sections(summary, record, everything, moves),
        provenance=_provenance(everything),
        how=_method_note(everything, delay_basis, sign),
    )
    page = CostReport(name, mask_accounts(html, everything), summary)
    if path is not None:
        page.save(path)
    return page


def write_report(run_id: str | Sequence[str] | None, blotter: object, path: str | os.PathLike[str]) -> Path:
    """Write the report of a run to a file, and return its path; see :func:`report`."""
    report(run_id, blotter, path)
    return Path(path)


def _write_private(file: Path, text: str) -> None:
    """Write a new file of mode 600, replacing any file or link of that name; links are not followed."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def mask_accounts(text: str, record: TradeRecord) -> str:
    """Mask account numbers except for their kind and last three digits, on record or by their form.

    Examples
    --------
    >>> empty = pd.DataFrame({"account": []})
    >>> mask_accounts("DU1234567 and U7654321", TradeRecord(empty, empty, empty, empty, empty))
    'DU***567 and U***321'
    """
    known = {
        str(account)
        for table in (record.runs, record.orders, record.fills)
        if "account" in table.columns
        for account in table["account"].dropna()
    }
    for account in sorted(known, key=len, reverse=True):
        kind = re.match(r"[A-Za-z]*", account)
        shown = f"{kind[0] if kind else ''}***{account[-3:] if len(account) > 5 else ''}"  # noqa: PLR2004 - of five, hide all
        text = text.replace(str(escape(account)), shown)
    return _ACCOUNT.sub(r"\1***\3", text)


# -- the parts of the page ---------------------------------------------------------------------------------------


class _Section(NamedTuple):
    """A table with its title, or the text ``empty`` without rows; a cell is a text and whether it is a number."""

    title: str
    empty: str
    heads: list[str]
    rows: list[tuple[tuple[str, bool], ...]]
    note: str


class _Picture(NamedTuple):
    """An SVG chart, or why there is none."""

    svg: str
    missing: str


def _tiles(summary: CostSummary, currency: str) -> list[tuple[str, str]]:
    """Values of the headline, each with its label."""
    row = summary.headline.iloc[0]
    return [(_formatted(row[column], form), label.format(currency=currency)) for column, label, form in _HEADLINE]


def _notes(summary: CostSummary, excluded: int, undated: int) -> list[str]:
    row = summary.headline.iloc[0]
    notes = [f"Planned but not approved, and therefore not measured: {excluded}."] if excluded else []
    flagged, due = int(row["flagged"]), int(row["commissions_due"])
    if flagged:
        notes.append(f"Orders with incomplete data: {flagged} (see the column flags).")
    if due:
        notes.append(f"Commissions not reported yet: {due}; the numbers that need them are empty.")
    if undated:
        notes.append(
            f"Fills dated when they were reported, because the time of the broker cannot be read: {undated}; what "
            "depends on their time leaves them out."
        )
    if int(row["measured"]) < int(row["orders"]):
        notes.append(
            f"The shortfall covers {int(row['measured'])} of {int(row['orders'])} orders; the others lack a "
            "final price or another number."
        )
    return notes


def _formatted(value: object, form: str) -> str:
    number = float(value)  # type: ignore[arg-type]  # a cell of a frame of numbers
    return form.format(number) if np.isfinite(number) else "-"


def _pictures(
    summary: CostSummary,
    record: TradeRecord,
    moves: pd.DataFrame,
    trades: Any,  # noqa: ANN401 - any source
    currency: str,
) -> list[_Picture] | None:
    """Draw the charts; None if the ``plots`` extra is not installed."""
    makers: list[Callable[[], Any]] = [
        lambda: charts.chart_shortfall(summary.headline, theme="page"),
        lambda: charts.chart_slippage(summary.orders, theme="page"),
        lambda: charts.chart_symbols(summary.tables["symbol"], currency=currency, theme="page"),
        lambda: charts.chart_fill_progress(_progress(record), theme="page"),
        lambda: charts.chart_markouts(moves, theme="page"),
    ]
    if trades is not None:
        makers.append(lambda: charts.chart_participation(_participation(summary, record, trades), theme="page"))
    drawn = []
    for make in makers:
        try:
            drawn.append(_Picture(_svg(make()), ""))
        except ImportError:
            return None
        except InputError as error:
            if "extra_missing" in error.codes:
                return None
            drawn.append(_Picture("", str(error)))
    return drawn


def _svg(chart: Any) -> str:  # noqa: ANN401 - Altair's many chart classes
    import vl_convert  # noqa: PLC0415 - an extra

    svg = str(vl_convert.vegalite_to_svg(chart.to_dict()))
    return svg.replace(f'"{charts.INK}"', '"currentColor"').replace(charts.INK, "currentColor")


def _progress(record: TradeRecord) -> pd.DataFrame:
    return fill_progress(record.orders, record.fills)


def _participation(summary: CostSummary, record: TradeRecord, trades: Any) -> pd.DataFrame:  # noqa: ANN401 - any source
    shares = participation(record.orders, record.fills, trades)["participation"]
    return summary.orders[["slippage_bps", "filled_notional"]].assign(participation=shares)


def _markouts(record: TradeRecord, market: Any) -> pd.DataFrame:  # noqa: ANN401 - any source
    return markouts(record.fills, market, orders=record.orders, weight="notional")


def _sections(
    summary: CostSummary,
    record: TradeRecord,
    everything: TradeRecord,
    moves: pd.DataFrame,
) -> list[_Section]:
    incomplete = _with_messages(summary.incomplete, everything.events)
    parts = [_section("Incomplete orders", incomplete, "All orders were filled.")]
    parts.append(
        _section("Reasons", incomplete_reasons(everything.orders, everything.fills), "No quantity is unfilled.")
    )
    parts.append(_section("Worst orders, with the quote at arrival", summary.worst, "No order was measured."))
    parts.append(_section("Outliers (modified z-score over 3.5)", summary.outliers, "None."))
    for name, table in summary.tables.items():
        parts.append(_section(f"By {name.replace('_', ' ')}", table, "Nothing to show.", summary.sign))
    parts.append(_section("Markouts, weighted by notional", moves, "No fills."))
    parts.append(_section("Time to fill (Kaplan-Meier)", fill_times(record.orders, record.fills), "No orders."))
    if len(summary.ibkr):
        parts.append(_section("As Interactive Brokers reports it", summary.ibkr, ""))
    parts.append(_section("Orders", summary.orders, "No orders.", summary.sign))
    return parts


def _with_messages(incomplete: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Add the last message of the broker for each order: a reason may be no more than its number."""
    if "message" not in events.columns:
        return incomplete
    last = events.dropna(subset=["client_order_id", "message"]).groupby("client_order_id")["message"].last()
    said = last.reindex(incomplete.index)
    return incomplete.assign(message=said) if said.notna().any() else incomplete


def _section(title: str, table: pd.DataFrame, empty: str, sign: str = "cost") -> _Section:
    shown, note = table, ""
    if len(table) > _ROWS:
        note = f"{_ROWS} of {len(table):,} rows; the summary of the report has all"
        if "slippage_cost" in table.columns and "z_score" not in table.columns:
            shown = table.sort_values("slippage_cost", ascending=sign != "cost", kind="stable")
            note = f"{note}. The worst by slippage are shown first"
        shown = shown.head(_ROWS)
    names = [name for name in (*shown.index.names,) if name is not None]
    frame = shown.reset_index() if names else shown
    frame = frame[[name for name in frame.columns if name != "account"]]
    heads = [str(name).replace("_", " ") for name in frame.columns]
    columns = [[_cell(str(name), value) for value in frame[name].tolist()] for name in frame.columns]
    return _Section(title, empty, heads, list(zip(*columns, strict=True)), note)


def _cell(name: str, value: object) -> tuple[str, bool]:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return "", False
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if name in _PERCENT:
            text = f"{value:.1%}"
        elif name in _WHOLE:
            text = f"{value:,.4f}".rstrip("0").rstrip(".")
        else:
            text = f"{value:,.2f}"
        return text, True
    return str(value), False


def _provenance(record: TradeRecord) -> list[tuple[str, str]]:
    """The record of the runs as pairs of name and value."""
    names = ["run_id", "mode", "status", "nav", "started_at", "ended_at", "approved_by", "approved_at"]
    names += ["code_version", "plan_hash", "message", "parameters"]
    runs = record.runs[[name for name in names if name in record.runs.columns]]
    return [(str(name), _plain(value)) for row in runs.to_dict("records") for name, value in row.items()]


def _method_note(record: TradeRecord, delay_basis: str, sign: str) -> str:
    """Describe the data and the method of the page."""
    split = "Wagner and Kissell" if delay_basis == "order" else "CFA"
    return (
        f"Written by stocklean_exec {__version__} from {len(record.orders)} orders, {len(record.fills)} fills and "
        f"{len(record.events)} events on record. Slippage is against arrival; shortfall by the {delay_basis} "
        f"basis (Perold's total, split as {split} do); ratios are sums over sums; sign: {sign}. Commissions "
        "reported later change the numbers."
    )


def _plain(value: object) -> str:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, pd.Timestamp) else str(value)


_STYLE = (resources.files("stocklean_exec") / "static" / "report.css").read_text("utf-8")
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("stocklean_exec"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
