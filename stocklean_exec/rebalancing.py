"""The main job in one call: targets, plan, checks, approval, submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stocklean_exec import engine
from stocklean_exec.broker import symbols_of
from stocklean_exec.checks import Limits, check_orders
from stocklean_exec.planning import plan_orders
from stocklean_exec.reading import read_targets
from stocklean_exec.review import OrderReview, review_orders
from stocklean_exec.submission import submit_orders_async

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from stocklean_exec.blotter import Blotter
    from stocklean_exec.broker import Broker

__all__ = ["prepare", "rebalance", "rebalance_async"]


def rebalance(
    targets: object,
    broker: Broker,
    blotter: Blotter,
    *,
    run_id: str,
    limits: Limits | None = None,
    approve: str | bool | Callable[[OrderReview], object] | None = None,
    dry_run: bool = True,
    nav: float | None = None,
    timeout: float = 60.0,
    one_sided: bool = False,
    **plan_options: Any,  # noqa: ANN401 - handed on to plan_orders, which declares them
) -> pd.DataFrame:
    """Plan, check, approve and submit in one call. A dry run, the default, sends and records nothing.

    Parameters
    ----------
    targets : a table, or the path of a CSV or Parquet file
    broker, blotter : where to send and where to record
    run_id : names the run; the same again sends nothing twice
    limits : for the checks
    approve : who approves every order that passes (a name), True for the present user, or a function that
        decides on the :class:`~stocklean_exec.review.OrderReview`; None approves nothing
    dry_run : say False to send
    nav : by default the broker's
    timeout : see :func:`~stocklean_exec.submission.submit_orders`
    one_sided : send the sells also where the check for cash has refused the buys that they were to pay for; see
        :meth:`~stocklean_exec.review.OrderReview.approve_all`
    plan_options : options of :func:`~stocklean_exec.planning.plan_orders`

    Returns
    -------
    DataFrame, one row per order: of a dry run the checked plan with its approvals, else the end states. A book
    that is where it should be gives no rows, and no run.

    Examples
    --------
    >>> import stocklean_exec as sx
    >>> broker = sx.connect("mock://", quotes={"SPY": 123.0}, cash=10_000)
    >>> with sx.open_blotter() as blotter:
    ...     plan = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="run-1", approve="demo")
    ...     done = sx.rebalance({"SPY": 0.5}, broker, blotter, run_id="run-1", approve="demo", dry_run=False)
    >>> plan["status"].tolist(), done["status"].tolist()
    (['NEW'], ['FILLED'])
    """
    return engine.call(
        rebalance_async(
            targets,
            broker,
            blotter,
            run_id=run_id,
            limits=limits,
            approve=approve,
            dry_run=dry_run,
            nav=nav,
            timeout=timeout,
            one_sided=one_sided,
            **plan_options,
        )
    )


async def rebalance_async(
    targets: object,
    broker: Broker,
    blotter: Blotter,
    *,
    run_id: str,
    limits: Limits | None = None,
    approve: str | bool | Callable[[OrderReview], object] | None = None,
    dry_run: bool = True,
    nav: float | None = None,
    timeout: float = 60.0,  # noqa: ASYNC109 - orders keep working after it; asyncio.timeout would cancel the record
    one_sided: bool = False,
    **plan_options: Any,  # noqa: ANN401 - handed on to plan_orders, which declares them
) -> pd.DataFrame:
    """Do what :func:`rebalance` does, to be awaited."""
    review = prepare(
        targets, broker, blotter, run_id=run_id, limits=limits, nav=nav, sending=not dry_run, **plan_options
    )
    if not len(review) and not dry_run:
        return blotter.orders(run_id)  # nothing to do (any more): what the run is on record with, if it is
    if callable(approve):
        approve(review)
    elif approve:
        review.approve_all(by=approve if isinstance(approve, str) else None, one_sided=one_sided)
    if dry_run:
        return review.result()
    limits = limits or Limits()
    return await submit_orders_async(
        review.result(),
        broker,
        blotter,
        timeout=timeout,
        max_approval_age=limits.max_approval_age,
        limits=limits,
    )


def prepare(
    targets: object,
    broker: Broker,
    blotter: Blotter,
    *,
    run_id: str,
    limits: Limits | None = None,
    nav: float | None = None,
    sending: bool = False,
    **plan_options: Any,  # noqa: ANN401 - handed on to plan_orders, which declares them
) -> OrderReview:
    """Plan and check ``targets`` against what the broker holds and quotes; return the review to decide on.

    A halted blotter blocks every order, unless the plan is for ``sending`` at once: then the submission meets
    the halt, records the plan as ``blocked``, and can send it once the halt is cleared. A row that a check has
    blocked is refused for good.
    """
    wanted = read_targets(targets)
    held = broker.positions()
    symbols = dict.fromkeys([*(symbols_of(wanted) or []), *held["symbol"].tolist()])
    quotes = broker.quotes(list(symbols))
    value = broker.nav() if nav is None else nav
    orders = plan_orders(wanted, held, quotes, nav=value, run_id=run_id, **plan_options)
    record = _Unhalted(blotter) if sending else blotter
    checked = check_orders(
        orders, limits, positions=held, quotes=quotes, cash=broker.cash(), nav=value, blotter=record
    )
    return review_orders(checked)


class _Unhalted:
    """A blotter's orders without its halt."""

    halted = None

    def __init__(self, blotter: Blotter) -> None:
        self.orders = blotter.orders
