"""Expected cost before the trade: the square-root model, and that of Almgren et al. (2005).

Both use market data of each symbol (daily volatility, average daily volume, spread) and give basis points and
currency, for comparison with the realised cost. Their parameters are arguments, because the defaults were fitted
to other traders' orders; :func:`calibrate` fits the square-root model to your own. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import number_option, shown
from stocklean_exec.tca.inputs import by_symbol, column_numbers, keyed_orders, require_columns, usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["calibrate", "expect_costs", "pretrade_cost"]

Model = Literal["square_root", "almgren"]
_MARKET = ("volatility", "adv", "spread_bps", "shares_outstanding")


def pretrade_cost(
    orders: pd.DataFrame,
    market: pd.DataFrame,
    *,
    model: Model = "square_root",
    coefficient: float = 1.0,
    gamma: float = 0.314,
    eta: float = 0.142,
    days: object = None,
    commission_bps: float = 0.0,
) -> pd.DataFrame:
    """Expected cost of each order against arrival, positive.

    With daily volatility sigma, volume V (shares a day), order X shares, both models add half the spread:

    - ``"square_root"``: ``1e4 x coefficient x sigma x sqrt(X / V)``, the impact at the end of the order. An order
      worked evenly pays two thirds of it (``days`` given); otherwise all of it is charged. A coefficient of about
      one is the usual finding (Toth et al., *Anomalous Price Impact*, Physical Review X 1, 2011)
    - ``"almgren"``: ``J = I / 2 + K`` with ``I = gamma sigma (X / V) (shares outstanding / V)^(1/4)`` and
      ``K = eta sigma (X / (V T))^(3/5)`` over T days (Almgren, Thum, Hauptmann and Li, *Direct Estimation of
      Equity Market Impact*, 2005; gamma 0.314 and eta 0.142 are theirs, of US equity orders of one broker)

    Parameters
    ----------
    orders : client_order_id (column or index), symbol, side, quantity, and decision_price (or arrival_price) for
        money
    market : one row per symbol: ``symbol``, ``volatility`` (of a day, as a fraction), ``adv`` (shares a day),
        ``spread_bps`` (quoted; 0 if absent), and for ``"almgren"`` ``shares_outstanding``
    model : ``"square_root"`` or ``"almgren"``
    coefficient : of the square-root model
    gamma, eta : of the model of Almgren et al., for permanent and temporary impact
    days : T, how long the order is worked in days of volume: one number, or by symbol; needed by ``"almgren"``
    commission_bps : added to the expected total

    Returns
    -------
    DataFrame, index client_order_id: ``model``, ``participation`` (X / V), ``half_spread_bps``, ``impact_bps``,
    ``expected_cost_bps``, ``expected_cost`` (currency, of the notional), ``permanent_bps``, ``temporary_bps``
    (Almgren's I and K; NaN otherwise). NaN if a symbol has no market data.

    Examples
    --------
    The published example of Almgren et al., IBM: 10 % of a day's volume traded in half a day costs 18 basis
    points.

    >>> orders = pd.DataFrame({
    ...     "client_order_id": ["o"], "symbol": ["IBM"], "side": ["BUY"],
    ...     "quantity": [656_100.0], "decision_price": [80.0],
    ... })
    >>> market = pd.DataFrame({
    ...     "symbol": ["IBM"], "volatility": [0.0157],
    ...     "adv": [6_561_000.0], "shares_outstanding": [1_728_000_000.0],
    ... })
    >>> pretrade_cost(orders, market, model="almgren", days=0.5)[["permanent_bps", "impact_bps"]].round(0)
                     permanent_bps  impact_bps
    client_order_id
    o                         20.0        18.0
    """
    if model not in ("square_root", "almgren"):
        text = f"{shown(model)} is neither 'square_root' nor 'almgren'"
        raise InputError("model", [Problem("option_invalid", text)])
    frame, stats = keyed_orders(orders), _market(market, model)
    side_of = stats.reindex(frame["symbol"])
    sigma, volume, spread = (side_of[name].to_numpy() for name in ("volatility", "adv", "spread_bps"))
    quantity = column_numbers(frame, "quantity", "orders")
    share = quantity / volume
    permanent, temporary = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    if model == "square_root":
        peak = 1e4 * number_option("coefficient", coefficient, least=0.0, most=100.0) * sigma * np.sqrt(share)
        impact = peak if days is None else peak * 2 / 3
    else:
        if days is None:
            text = "the model of Almgren et al. needs days=, how long the orders are worked"
            raise InputError("days", [Problem("option_missing", text)])
        worked = by_symbol(days, frame, "days")
        worked = np.where(worked > 0, worked, np.nan)
        turnover = side_of["shares_outstanding"].to_numpy() / volume
        permanent = 1e4 * number_option("gamma", gamma, least=0.0, most=100.0) * sigma * share * turnover**0.25
        temporary = 1e4 * number_option("eta", eta, least=0.0, most=100.0) * sigma * (share / worked) ** 0.6
        impact = permanent / 2 + temporary
    half = spread / 2
    total = half + impact + number_option("commission_bps", commission_bps, least=0.0, most=1e4)
    price = usable(column_numbers(frame, "decision_price", "orders"))
    price = np.where(np.isnan(price), usable(column_numbers(frame, "arrival_price", "orders")), price)
    return pd.DataFrame(
        {
            "model": pd.array([model] * len(frame), dtype="str"),
            "participation": share,
            "half_spread_bps": half,
            "impact_bps": impact,
            "expected_cost_bps": total,
            "expected_cost": total / 1e4 * quantity * price,
            "permanent_bps": permanent,
            "temporary_bps": temporary,
        },
        index=frame.index,
    )


def _market(market: pd.DataFrame, model: str) -> pd.DataFrame:
    """Statistics by symbol, NaN where not above zero or not finite."""
    frame = market.reset_index() if "symbol" not in market.columns and market.index.name == "symbol" else market
    needed = ("symbol", "volatility", "adv", *(("shares_outstanding",) if model == "almgren" else ()))
    require_columns(frame, needed, "market")
    if frame["symbol"].duplicated().any():
        twice = frame.loc[frame["symbol"].duplicated(), "symbol"].unique().tolist()
        raise InputError(
            "market", [Problem("duplicate_symbol", "is in several rows", None, name) for name in twice]
        )
    data = {name: _positive(column_numbers(frame, name, "market")) for name in _MARKET}
    data["spread_bps"] = (
        column_numbers(frame, "spread_bps", "market") if "spread_bps" in frame.columns else np.zeros(len(frame))
    )
    if (data["volatility"] > 1).any():
        raise InputError("market", [Problem("volatility_unit", "a volatility is over 1 a day; 0.02 is 2 % a day")])
    return pd.DataFrame(data, index=pd.Index(frame["symbol"].astype("str"), name="symbol"))


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((values > 0) & np.isfinite(values), values, np.nan)


_FEWEST = 3  # orders: two parameters, and one degree of freedom for their errors


def expect_costs(orders: pd.DataFrame, market: pd.DataFrame, **options: Any) -> pd.DataFrame:  # noqa: ANN401 - passed on
    """Add the expected cost of each order, for the review and for the comparison after the run.

    Parameters
    ----------
    orders : a plan, or any table that :func:`pretrade_cost` takes
    market, options : as for :func:`pretrade_cost`

    Returns
    -------
    ``orders`` with a column ``expected_cost_bps``: basis points of notional, NaN without market data. The review
    shows it, the blotter records it, and :func:`~stocklean_exec.cost_summary` compares it with the cost of the
    run. An edit of an order's quantity clears it.

    Examples
    --------
    >>> plan = pd.DataFrame(
    ...     {"client_order_id": ["r-SPY-BUY"], "symbol": "SPY", "side": "BUY", "quantity": [100.0]}
    ... )
    >>> market = pd.DataFrame({"symbol": ["SPY"], "volatility": [0.01], "adv": [1e6], "spread_bps": [2.0]})
    >>> expect_costs(plan, market)["expected_cost_bps"].tolist()  # half of 2, and 100 x sqrt(100 / 1e6)
    [2.0]
    """
    expected = pretrade_cost(orders, market, **options)["expected_cost_bps"]
    return orders.assign(expected_cost_bps=expected.to_numpy())


def calibrate(
    costs: pd.DataFrame, orders: pd.DataFrame, market: pd.DataFrame, *, fit_spread: bool = True
) -> pd.Series[float]:
    """Fit spread and impact to your own orders, for a backtester.

    ``slippage_bps = spread + coefficient x 1e4 sigma sqrt(X / V)``, by least squares weighted by notional, over
    orders that were filled and have a market; X is what was filled.

    Parameters
    ----------
    costs : the result of :func:`~stocklean_exec.slippage` against arrival
    orders : the same orders
    market : as in :func:`pretrade_cost`
    fit_spread : fit the constant; else it is half the market's ``spread_bps``, and only the impact is fitted

    Returns
    -------
    Series: ``half_spread_bps``, ``coefficient``, ``commission_bps``, their standard errors ``half_spread_se`` and
    ``coefficient_se``, ``orders`` (fitted), ``residual_bps`` (weighted standard deviation of the residuals), and
    ``mean_impact_bps`` (weighted by notional). Parameters are NaN with fewer than three orders.

    Raises
    ------
    InputError
        Columns are missing.
    """
    require_columns(costs, ("filled_quantity", "benchmark_price", "slippage_bps", "commission"), "costs")
    frame, stats = keyed_orders(orders), _market(market, "square_root")
    costs = costs.reindex(frame.index)
    side_of = stats.reindex(frame["symbol"])
    filled = costs["filled_quantity"].to_numpy(dtype="float64")
    root = 1e4 * side_of["volatility"].to_numpy() * np.sqrt(filled / side_of["adv"].to_numpy())
    paid, notional = costs["slippage_bps"].to_numpy(), filled * costs["benchmark_price"].to_numpy()
    half = side_of["spread_bps"].to_numpy() / 2
    used = np.isfinite(paid) & np.isfinite(root) & (notional > 0) & (fit_spread | np.isfinite(half))
    paid, root, notional, half = paid[used], root[used], notional[used], half[used]
    names = [
        "half_spread_bps",
        "coefficient",
        "half_spread_se",
        "coefficient_se",
        "residual_bps",
        "mean_impact_bps",
    ]
    found = dict.fromkeys(names, np.nan)
    if len(paid) >= _FEWEST and np.ptp(root) > 0:
        found |= _fit(paid, root, notional, None if fit_spread else half)
    commission = costs["commission"].to_numpy(dtype="float64")[used]
    known = np.isfinite(commission)
    charged = 1e4 * commission[known].sum() / notional[known].sum() if known.any() else np.nan
    return pd.Series({**found, "commission_bps": float(charged), "orders": float(len(paid))})


def _fit(
    paid: NDArray[np.float64],
    root: NDArray[np.float64],
    notional: NDArray[np.float64],
    half: NDArray[np.float64] | None,
) -> dict[str, float]:
    weight = notional / notional.sum()
    design = root[:, None] if half is not None else np.column_stack([np.ones_like(root), root])
    aim = paid if half is None else paid - half
    normal = design.T @ (design * weight[:, None])
    solved = np.linalg.solve(normal, design.T @ (weight * aim))
    rest = aim - design @ solved
    free = len(paid) - design.shape[1]
    inverse = np.linalg.inv(normal)
    # The sandwich: weights are importance, not precision (White, Econometrica 48, 1980).
    middle = design.T @ (design * (weight * rest)[:, None] ** 2)
    errors = np.sqrt(np.diag(inverse @ middle @ inverse) * len(paid) / free)
    spread = (solved[0], errors[0]) if half is None else (float(weight @ half), np.nan)
    return {
        "half_spread_bps": float(spread[0]),
        "half_spread_se": float(spread[1]),
        "coefficient": float(solved[-1]),
        "coefficient_se": float(errors[-1]),
        "residual_bps": float(np.sqrt(weight @ rest**2)),
        "mean_impact_bps": float(solved[-1] * (weight @ root)),
    }
