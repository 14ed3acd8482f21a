"""The report of a run: one HTML file that holds everything, and needs nothing.

No script, no font and no picture comes from anywhere else, so that it opens on a machine without a network and
says the same in ten years. Charts are drawings inside the page; without the ``plots`` extra the page says so, and
has the tables. What is not ours (symbols, reasons, parameters) is escaped, and account numbers are masked.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stocklean_exec import charts
from stocklean_exec._version import __version__
from stocklean_exec.analysis import (
    cost_summary,
    fill_progress,
    fill_times,
    incomplete_reasons,
    markouts,
    participation,
)
from stocklean_exec.errors import InputError, Problem
from stocklean_exec.paths import local_path, refuse_addresses
from stocklean_exec.records import TradeRecord, trade_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stocklean_exec.cost_inputs import Sign
    from stocklean_exec.cost_tables import CostSummary
    from stocklean_exec.shortfall import DelayBasis

__all__ = ["CostReport", "mask_accounts", "report", "write_report"]

_PERCENT = ("fill_ratio", "share", "completion_rate")
_WHOLE = {"orders", "filled_orders", "flagged", "fills", "commissions_due", "measured", "reached", "censored"}
_WHOLE |= {"not_watched", "unobserved", "quantity", "filled_quantity", "remaining_quantity", "unsplit_orders"}
_HEADLINE = (
    ("orders", "orders", "{:,.0f}"),
    ("filled_orders", "with fills", "{:,.0f}"),
    ("fill_ratio", "filled, of notional", "{:.1%}"),
    ("slippage_bps", "slippage, bp", "{:+.2f}"),
    ("slippage_cost", "slippage, {currency}", "{:+,.2f}"),
    ("commission", "commission, {currency}", "{:+,.2f}"),
    ("friction_bps", "friction, bp", "{:+.2f}"),
    ("total_bps", "shortfall, bp", "{:+.2f}"),
)
_ACCOUNT = re.compile(r"\b(DU|DF|DI|U|F|I)(\d{2,})(\d{3})\b")


@dataclass(frozen=True)
class CostReport:
    """The page of a run; a notebook shows it, and :meth:`save` writes it.

    Attributes
    ----------
    html : the page
    summary : the numbers in it, as :func:`stocklean_exec.cost_summary` gives them
    """

    run_id: str
    html: str
    summary: CostSummary

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, readable by its owner alone; an existing file, or a link, is replaced whole.

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
        # A frame of its own: the page's style stays out of the notebook, and the notebook's out of the page.
        style = "width: 100%; height: 720px; border: 1px solid #80868b"
        return f'<iframe title="{escape(self.run_id)}" style="{style}" srcdoc="{escape(self.html)}"></iframe>'


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
    """Report what a run cost and what was left undone.

    Parameters
    ----------
    run_id : one run, several, or None for all
    blotter : a blotter, its file, the folder of an export, or a :class:`~stocklean_exec.records.TradeRecord`
    path : where to write the page; it is also returned
    quotes : of the market (frame or Parquet files), for markouts; by default those that the blotter holds
    trades : of the market, likewise, for the chart of cost against participation
    final_prices : price at the end by symbol, of what was not filled; without one its opportunity cost is not
        known
    delay_basis, sign, fx : as in :func:`stocklean_exec.implementation_shortfall`

    Returns
    -------
    CostReport: a notebook shows it; ``.html`` is the page, ``.summary`` the numbers

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
    name = ", ".join(everything.runs["run_id"].tolist()) or "no run"
    currencies = sorted(set(orders["currency"].dropna())) if fx is None else ["base currency"]
    currency = currencies[0] if len(currencies) == 1 else "currency"
    sections = [
        _head(name, everything, summary, currency),
        _pictures(summary, record, market, trades, currency),
        *_tables(summary, record, everything, market),
        _provenance(everything, delay_basis, sign),
    ]
    page = CostReport(name, mask_accounts(_page(f"Cost of {name}", "".join(sections)), everything), summary)
    if path is not None:
        page.save(path)
    return page


def write_report(run_id: str | Sequence[str] | None, blotter: object, path: str | os.PathLike[str]) -> Path:
    """Write the report of a run to a file, and return its path; see :func:`report`."""
    report(run_id, blotter, path)
    return Path(path)


def _write_private(file: Path, text: str) -> None:
    """Write a new file of mode 600 in the place of whatever stands there; no link is followed."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def mask_accounts(text: str, record: TradeRecord) -> str:
    """Hide account numbers but for their kind and last three digits: those on record, and what looks like one.

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
        text = text.replace(escape(account), shown)
    return _ACCOUNT.sub(r"\1***\3", text)


# -- the parts of the page ---------------------------------------------------------------------------------------


def _head(name: str, record: TradeRecord, summary: CostSummary, currency: str) -> str:
    row = summary.headline.iloc[0]
    tiles = []
    for column, label, form in _HEADLINE:
        told = escape(label.format(currency=currency))
        tiles.append(f'<div class="tile"><b>{_told(row[column], form)}</b><span>{told}</span></div>')
    states = ", ".join(
        f"{run}: {state}" for run, state in record.runs[["run_id", "status"]].itertuples(index=False)
    )
    left_out = len(record.orders) - len(summary.orders)
    notes = [f"Planned, but not approved, and so not measured: {left_out}."] if left_out else []
    flagged, due = int(row["flagged"]), int(row["commissions_due"])
    if flagged:
        notes.append(f"Orders that lack a number: {flagged}; the column flags says which one and why.")
    if due:
        notes.append(f"Commissions that have not been reported yet: {due}; what they make unknown is left empty.")
    if int(row["measured"]) < int(row["orders"]):
        notes.append(
            f"The shortfall is that of {int(row['measured'])} of {int(row['orders'])} orders; of the others the "
            "final price or another number is not known."
        )
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    direction = "positive is a cost" if summary.sign == "cost" else "positive is in our favour"
    return (
        f"<header><h1>{escape(name)}</h1>"
        f"<p>{escape(states)} · {direction} · basis points of notional</p></header>"
        f'<section class="tiles">{"".join(tiles)}</section>'
        + (f'<ul class="notes">{listed}</ul>' if listed else "")
    )


def _told(value: object, form: str) -> str:
    number = float(value)  # type: ignore[arg-type]  # a cell of a frame of numbers
    return escape(form.format(number)) if np.isfinite(number) else "-"


def _pictures(summary: CostSummary, record: TradeRecord, market: Any, trades: Any, currency: str) -> str:  # noqa: ANN401 - any source
    makers: list[Callable[[], Any]] = [
        lambda: charts.chart_shortfall(summary.headline, theme="page"),
        lambda: charts.chart_slippage(summary.orders, theme="page"),
        lambda: charts.chart_symbols(summary.tables["symbol"], currency=currency, theme="page"),
        lambda: charts.chart_fill_progress(_progress(record), theme="page"),
        lambda: charts.chart_markouts(_markouts(record, market), theme="page"),
    ]
    if trades is not None:
        makers.append(lambda: charts.chart_participation(_participation(summary, record, trades), theme="page"))
    drawn = []
    for make in makers:
        try:
            drawn.append(_svg(make()))
        except (ImportError, InputError) as error:
            if isinstance(error, InputError) and "extra_missing" not in error.codes:
                drawn.append(f'<p class="missing">{escape(str(error))}</p>')
                continue
            text = (
                "Charts need the plots extra: pip install 'stocklean_exec[plots]'. The tables hold their numbers."
            )
            return f'<p class="missing">{escape(text)}</p>'
    return '<section class="charts">' + "".join(f"<figure>{picture}</figure>" for picture in drawn) + "</section>"


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
    return markouts(record.fills, market, weight="notional")


def _tables(summary: CostSummary, record: TradeRecord, everything: TradeRecord, market: Any) -> list[str]:  # noqa: ANN401
    parts = [_section("Incomplete orders", summary.incomplete, "Everything was filled.")]
    parts.append(_section("Why", incomplete_reasons(everything.orders, everything.fills), "Nothing was left."))
    parts.append(_section("Worst orders, with the quote at arrival", summary.worst, "No order has been measured."))
    parts.append(_section("Outliers (modified z-score over 3.5)", summary.outliers, "None."))
    for name, table in summary.tables.items():
        parts.append(_section(f"By {name.replace('_', ' ')}", table, "Nothing to show."))
    parts.append(_section("Markouts, weighted by notional", _markouts(record, market), "No fills."))
    parts.append(_section("Time to fill (Kaplan-Meier)", fill_times(record.orders, record.fills), "No orders."))
    if len(summary.ibkr):
        parts.append(_section("As Interactive Brokers reports it", summary.ibkr, ""))
    parts.append(_section("Orders", summary.orders, "No orders."))
    return parts


def _section(title: str, table: pd.DataFrame, empty: str) -> str:
    inside = _table(table) if len(table) else f'<p class="missing">{escape(empty)}</p>'
    return f"<details open><summary>{escape(title)}</summary>{inside}</details>"


def _table(table: pd.DataFrame) -> str:
    names = [name for name in (*table.index.names,) if name is not None]
    frame = table.reset_index() if names else table
    frame = frame[[name for name in frame.columns if name != "account"]]
    head = "".join(f"<th>{escape(str(name)).replace('_', ' ')}</th>" for name in frame.columns)
    columns = [[_cell(str(name), value) for value in frame[name].tolist()] for name in frame.columns]
    rows = "".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(name: str, value: object) -> str:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return "<td></td>"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if name in _PERCENT:
            text = f"{value:.1%}"
        elif name in _WHOLE:
            text = f"{value:,.4f}".rstrip("0").rstrip(".")
        else:
            text = f"{value:,.2f}"
        return f'<td class="number">{text}</td>'
    return f"<td>{escape(str(value))}</td>"


def _provenance(record: TradeRecord, delay_basis: str, sign: str) -> str:
    names = ["run_id", "mode", "status", "nav", "started_at", "ended_at", "approved_by", "approved_at"]
    names += ["code_version", "plan_hash", "message", "parameters"]
    runs = record.runs[[name for name in names if name in record.runs.columns]]
    pairs = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(_plain(value))}</td></tr>"
        for row in runs.to_dict("records")
        for name, value in row.items()
    )
    split = "Wagner and Kissell" if delay_basis == "order" else "CFA"
    how = (
        f"Written by stocklean_exec {__version__} from {len(record.orders)} orders, {len(record.fills)} fills and "
        f"{len(record.events)} events on record. Slippage is against arrival; shortfall by the {delay_basis} "
        f"basis (Perold's total, split as {split} do); ratios are sums over sums; sign: {sign}. Commissions that "
        "come later change the numbers."
    )
    return (
        "<details open><summary>Run and provenance</summary>"
        f'<div class="wide"><table class="pairs">{pairs}</table></div><p>{escape(how)}</p></details>'
    )


def _plain(value: object) -> str:
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, pd.Timestamp) else str(value)


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing may be fetched and nothing may run, whatever the page should hold."""

_STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --soft: #57606a; --line: #d0d7de; --back: #ffffff;
  --tile: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9da7b1; --line: #3d444d; --back: #0d1117; --tile: #161b22; }
}
body { margin: 0 auto; max-width: 1240px; padding: 24px; color: var(--ink); background: var(--back);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 24px; margin: 0; }
header p, .notes, .missing { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; margin: 18px 0; }
.tile { background: var(--tile); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; }
.tile b { display: block; font-size: 19px; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 12px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 16px; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: 12px; color: var(--ink); }
figure svg { max-width: 100%; height: auto; }
details { margin: 18px 0; }
summary { font-weight: 600; font-size: 16px; cursor: pointer; margin-bottom: 6px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: 4px 10px; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.pairs td { white-space: normal; overflow-wrap: anywhere; }
@media print { details { break-inside: avoid; } }
"""


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )
