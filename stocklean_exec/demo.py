"""The complete workflow on sample prices, with an example of each outcome.

An existing book is rebalanced to inverse-volatility weights, by the real client library connected to the wire
simulator: there are buys and sells, an order that fills in several executions, one that fills in part, a limit
order that rests, and a symbol without a price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from stocklean_exec.brokers.factory import connect
from stocklean_exec.brokers.sample_market import inverse_volatility, sample_closes, sample_quotes
from stocklean_exec.execution.submission import submit_orders
from stocklean_exec.portfolio.plan_summary import plan_summary
from stocklean_exec.rebalancing import prepare
from stocklean_exec.risk.pre_trade_checks import Limits
from stocklean_exec.schema.files import read_targets
from stocklean_exec.tca.completion import completion
from stocklean_exec.tca.slippage import slippage, slippage_summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from stocklean_exec.blotter.blotter import Blotter
    from stocklean_exec.brokers.base import Broker

__all__ = ["DEMO_LIMITS", "DemoResult", "demo_broker", "demo_targets", "run_demo"]

# Choices that let the demo show, on one page, orders that pass, a warning, a block, and a partial fill.
DEMO_LIMITS = Limits(max_order_notional=150_000, max_position_ratio=0.15, price_collar=0.05)
_HELD = {"AAPL": 900, "AMD": 700, "GE": 1_500, "JPM": 450, "MSFT": 60, "PFE": 800, "RRC": 2_000, "XOM": 300}
_NAV = 1_000_000.0
_WITHOUT_PRICE = "SPY"
_PARTIAL, _RESTING = "KO", "WMT"
_SCENARIO = {"order": [{"symbol": _PARTIAL, "steps": [{"fill": 400}, {"rest": True}]}]}
_PATIENCE = 2.0  # seconds; a stated choice: the simulator fills market orders at once, two orders rest


def demo_targets() -> pd.DataFrame:
    """Weights from the sample closes; one symbol has no price, one has a limit away from the market."""
    closes = sample_closes()
    weights = 0.98 * inverse_volatility(closes)
    frame = weights.rename_axis("symbol").reset_index()
    frame["order_type"] = "MKT"
    resting = frame["symbol"] == _RESTING
    frame.loc[resting, "order_type"] = "LMT"
    frame["limit_price"] = (closes.iloc[-1].reindex(frame["symbol"]).to_numpy() * 0.97).round(2)
    frame["limit_price"] = frame["limit_price"].where(resting)
    without_price = pd.DataFrame([{"symbol": _WITHOUT_PRICE, "weight": 0.02, "order_type": "MKT"}])
    return read_targets(pd.concat([frame, without_price], ignore_index=True))


def demo_broker(seed: int = 7) -> Broker:
    """Open a paper account of a million dollars with existing positions; one order will fill only in part."""
    quotes = sample_quotes()
    mid = quotes.set_index("symbol")["last"]
    held = pd.DataFrame({"symbol": list(_HELD), "quantity": [float(shares) for shares in _HELD.values()]})
    held["avg_cost"] = (mid.reindex(held["symbol"]).to_numpy() * 0.9).round(2)
    cash = _NAV - float((held["quantity"] * mid.reindex(held["symbol"]).to_numpy()).sum())
    return connect(f"sim://?seed={seed}", quotes=quotes, positions=held, cash=round(cash, 2), scenario=_SCENARIO)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Results of the demo: the plan's summary, the final states of the orders, and their costs."""

    summary: pd.Series[float]
    states: pd.DataFrame
    fills: pd.DataFrame
    slippage: pd.DataFrame
    slippage_total: pd.Series[float]
    completion: pd.DataFrame


def run_demo(
    blotter: Blotter, *, run_id: str = "demo", seed: int = 7, say: Callable[[str], None] = lambda _: None
) -> DemoResult:
    """Run the complete workflow on sample prices, recorded in ``blotter``.

    ``say`` receives the progress, line by line.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> with sx.open_blotter() as blotter:
    ...     result = run_demo(blotter)
    >>> sorted(set(result.states["status"]))
    ['FILLED', 'PARTIAL', 'REJECTED', 'SUBMITTED']
    """
    with demo_broker(seed) as broker:
        return _run(demo_targets(), broker, blotter, run_id, say)


def _run(
    targets: pd.DataFrame, broker: Broker, blotter: Blotter, run_id: str, say: Callable[[str], None]
) -> DemoResult:
    held, nav = broker.positions(), broker.nav()
    say(f"account value {nav:,.0f} USD, {len(held)} positions; {len(targets)} targets by inverse volatility")
    review = prepare(targets, broker, blotter, run_id=run_id, limits=DEMO_LIMITS)
    summary = plan_summary(review.orders, targets, held, broker.quotes(targets), nav=nav, unlisted="error")
    verdicts = review.orders["verdict"].tolist()
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in dict.fromkeys(verdicts))
    say(f"planned {len(review)} orders; checks: {counts}")
    say(f"approved {review.approve_all(by='demo')} of them")
    states = submit_orders(review.result(), broker, blotter, timeout=_PATIENCE)
    fills = blotter.fills(run_id)
    status = str(blotter.runs().set_index("run_id").loc[run_id, "status"])
    say(f"{len(fills)} fills recorded; run status: {status}")
    return DemoResult(
        summary=summary,
        states=states,
        fills=fills,
        slippage=slippage(states, fills),
        slippage_total=slippage_summary(states, fills),
        completion=completion(states, fills),
    )
