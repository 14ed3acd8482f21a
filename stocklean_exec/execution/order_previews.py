"""Ask the broker what orders would do to the account's margin, before they are sent.

Interactive Brokers rations these requests, to about one a minute, and counts them against the orders that are
placed: so the orders that matter are previewed, and not all. Nothing is sent, and nothing is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec import background, clock
from stocklean_exec.brokers.order_preview import OrderPreview
from stocklean_exec.errors import BrokerError, ConnectionLostError, InputError, Problem
from stocklean_exec.execution.tickets import tickets_of
from stocklean_exec.progress import progress_bar
from stocklean_exec.schema.frame_validator import number_option
from stocklean_exec.schema.order_input import parse_orders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from stocklean_exec.brokers.base import Broker

__all__ = ["PREVIEW_COLUMNS", "preview_orders", "preview_orders_async"]

PREVIEW_COLUMNS = {
    "client_order_id": "str",
    "symbol": "str",
    "side": "str",
    "quantity": "float64",
    "limit_price": "float64",
    "preview": "str",
    "initial_margin_before": "float64",
    "initial_margin_after": "float64",
    "maintenance_margin_before": "float64",
    "maintenance_margin_after": "float64",
    "excess_liquidity_before": "float64",
    "excess_liquidity_after": "float64",
    "commission": "float64",
    "commission_currency": "str",
    "message": "str",
    "previewed_at": "datetime64[us, UTC]",
}
"""Columns of a table of previews, and their dtypes."""

_MARGINS = tuple(name for name in PREVIEW_COLUMNS if name.endswith(("_before", "_after")))


async def preview_orders_async(
    orders: object, broker: Broker, *, most: int = 1, names: Iterable[str] | None = None
) -> pd.DataFrame:
    """Ask the broker what orders would do to the account's margin; nothing is sent.

    A preview is of one order alone, against the account as it is now. What previews change does not add up;
    :func:`~stocklean_exec.plan_margin` says what the whole plan may need.

    Parameters
    ----------
    orders : planned or checked orders; rejected and blocked ones are excluded
    broker : where the orders would be sent
    most : how many are previewed, those of the greatest value first, and of these the ones that enlarge a position
        before the others. TWS is asked once in 60 seconds, since Interactive Brokers asks for no more
    names : client order ids to preview, in place of the largest ones

    Returns
    -------
    DataFrame, a row for each order

    =========================================  =================================================================
    client_order_id, symbol, side              of the order
    quantity, limit_price                      that were previewed: an order that is edited later needs another
    preview                                    ``ok``, ``refused`` (``message`` says why), ``no_answer``, or
                                               ``not_previewed``
    initial_margin_before, ..._after           of the account now, and once this order alone has filled; base
    maintenance_margin_before, ..._after       currency, NaN where the broker does not say
    excess_liquidity_before, ..._after         equity with loan value less maintenance margin
    commission, commission_currency            of the order
    message                                    any other text of the broker
    previewed_at                               when
    =========================================  =================================================================

    Given to :func:`~stocklean_exec.check_orders` as ``previews=``, each order alone, and the bound of all of them
    together, is compared with ``max_initial_margin`` and ``min_excess_liquidity``; a review shows both.

    Raises
    ------
    InputError
        The orders cannot be used, or a name is not one of them.
    ConnectionLostError
        The connection to the broker is gone.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 50.0, "TLT": 10.0}, cash=10_000)
    >>> targets = {"SPY": 0.5, "TLT": 0.1}
    >>> orders = sx.plan_orders(targets, broker.account_state(targets), run_id="run-1")
    >>> previews = sx.preview_orders(orders, broker)
    >>> previews[["symbol", "preview", "initial_margin_after", "excess_liquidity_after"]]
      symbol        preview  initial_margin_after  excess_liquidity_after
    0    SPY             ok                2500.0                  8749.0
    1    TLT  not_previewed                   NaN                     NaN
    """
    frame = parse_orders(orders)
    frame["account"] = frame["account"].fillna(broker.account)
    chosen = _chosen(frame, most, names)
    rows = {}
    with progress_bar(len(chosen), "previews") as move:
        for number, ticket in enumerate(tickets_of(frame.loc[chosen]), start=1):
            try:
                answer, outcome = await broker.preview(ticket), "ok"
            except ConnectionLostError:
                raise
            except BrokerError as error:
                answer, outcome = OrderPreview(warning=str(error)), "no_answer"
            rows[ticket.client_order_id] = (answer, "refused" if answer.refusal else outcome, clock.now())
            move(number, ticket.symbol)
    return _table(frame, rows)


preview_orders = background.blocking(preview_orders_async)


def _chosen(frame: pd.DataFrame, most: int, names: Iterable[str] | None) -> list[int]:
    """Rows to preview, in the sequence of previewing."""
    ids = frame["client_order_id"].tolist()
    if names is not None:
        wanted = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in wanted if name not in ids]
        if unknown:
            problems = [Problem("order_unknown", f"{name!r} is none of the orders") for name in unknown]
            raise InputError("names", problems)
        return [frame.index[ids.index(name)] for name in dict.fromkeys(wanted)]
    count = number_option("most", most, least=0)
    open_rows = frame["status"] != "REJECTED"
    if "verdict" in frame.columns:
        open_rows &= frame["verdict"] != "block"
    rows = frame[open_rows.astype("bool")]
    value = np.nan_to_num(_value(rows))
    smaller = ~_enlarges(rows)
    order = np.lexsort((-value, smaller))
    return [rows.index[place] for place in order[: int(count)].tolist()]


def _value(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Value of each order in the base currency; NaN if unknown."""
    price = rows["decision_price"].fillna(rows["limit_price"]).to_numpy(dtype="float64")
    rate = rows["fx_rate"].to_numpy(dtype="float64") if "fx_rate" in rows.columns else 1.0
    return np.asarray(rows["quantity"].to_numpy(dtype="float64") * price * rate)


def _enlarges(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether an order enlarges its position; so does one whose position is not known."""
    before, after = (
        rows[name].abs().to_numpy(dtype="float64") for name in ("current_quantity", "target_quantity")
    )
    return np.asarray(~(after <= before))


def _table(frame: pd.DataFrame, answers: Mapping[str, tuple[OrderPreview, str, datetime]]) -> pd.DataFrame:
    rows = []
    terms = zip(
        *(frame[name].tolist() for name in ("client_order_id", "symbol", "side", "quantity", "limit_price")),
        strict=True,
    )
    for term in terms:
        answer, outcome, at = answers.get(term[0], (OrderPreview(), "not_previewed", pd.NaT))
        margins = [getattr(answer, name) for name in _MARGINS]
        text = answer.refusal or answer.warning or None
        rows.append((*term, outcome, *margins, answer.commission, answer.commission_currency or None, text, at))
    table = pd.DataFrame(rows, columns=list(PREVIEW_COLUMNS))
    return table.assign(previewed_at=pd.to_datetime(table["previewed_at"], utc=True)).astype(PREVIEW_COLUMNS)
