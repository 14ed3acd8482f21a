"""Charts of the cost analysis: each function takes a frame of the analysis and returns an Altair chart.

Altair is the ``plots`` extra (``pip install 'stocklean_exec[plots]'``). A chart's theme is ``"light"``, ``"dark"``
or ``"page"``, which uses the text colour of the surrounding page. Colours are of Okabe and Ito's palette, safe for
colour-blind readers; costs and gains also differ in position, never in colour alone. Data is aggregated before it
is charted, so that a chart of a million orders is as small as one of ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown
from stocklean_exec.tca.inputs import require_columns

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

__all__ = [
    "INK",
    "chart_fill_progress",
    "chart_frontier",
    "chart_markouts",
    "chart_participation",
    "chart_shortfall",
    "chart_slippage",
    "chart_symbols",
]

Theme = Literal["light", "dark", "page"]

INK = "#010203"
"""Placeholder for the text colour of the page in the theme ``"page"``; the report replaces it."""

_THEMES = {
    "light": {"ink": "#24292f", "grid": "#d0d7de", "back": "#ffffff", "cost": "#D55E00", "gain": "#0072B2"},
    "dark": {"ink": "#e6edf3", "grid": "#3d444d", "back": "#0d1117", "cost": "#E69F00", "gain": "#56B4E9"},
    "page": {"ink": INK, "grid": "#80868b", "back": "transparent", "cost": "#D55E00", "gain": "#1E88C8"},
}
_WIDTH, _HEIGHT = 560, 300  # pixels; two charts beside each other on a page of 1,200 (a choice)
_BINS = 30  # of the histogram (a choice)
_LINES = 30  # orders that the progress chart shows one by one; more are shown as percentiles (a choice)
_SYMBOLS = 25  # bars that fit on a page (a choice)


def _altair() -> ModuleType:
    try:
        import altair as alt  # noqa: PLC0415 - an extra
    except ImportError:
        text = "charts need the plots extra: pip install 'stocklean_exec[plots]'"
        raise InputError("charts", [Problem("extra_missing", text)]) from None
    return alt


def _colours(theme: str) -> dict[str, str]:
    if theme not in _THEMES:
        text = f"{shown(theme)} is none of 'light', 'dark', 'page'"
        raise InputError("theme", [Problem("option_invalid", text)])
    return _THEMES[theme]


def _styled(chart: Any, title: str, subtitle: str, theme: str) -> Any:  # noqa: ANN401 - Altair's many chart classes
    c = _colours(theme)
    alt = _altair()
    return (
        chart.properties(
            width=_WIDTH,
            height=_HEIGHT,
            title=alt.TitleParams(title, subtitle=subtitle, anchor="start", offset=12),
        )
        .configure(background=c["back"], font="sans-serif")
        .configure_view(stroke=None)
        .configure_title(color=c["ink"], subtitleColor=c["ink"], fontSize=15, subtitleFontSize=12)
        .configure_axis(
            labelColor=c["ink"],
            titleColor=c["ink"],
            gridColor=c["grid"],
            gridOpacity=0.5,
            domainColor=c["grid"],
            tickColor=c["grid"],
            labelFontSize=11,
            titleFontSize=12,
            titlePadding=12,
            titleFontWeight="normal",
        )
        .configure_legend(labelColor=c["ink"], titleColor=c["ink"], labelFontSize=11)
    )


def _empty_chart(title: str, reason: str, theme: str) -> Any:  # noqa: ANN401 - Altair's many chart classes
    alt, c = _altair(), _colours(theme)
    mark = alt.Chart(pd.DataFrame({"text": [reason]})).mark_text(color=c["ink"], fontSize=13).encode(text="text:N")
    return _styled(mark, title, "", theme)


def chart_slippage(slippage: pd.DataFrame, *, theme: Theme = "light") -> Any:  # noqa: ANN401 - Altair's many chart classes
    """Histogram of slippage, weighted by notional, with its mean.

    Parameters
    ----------
    slippage : the result of :func:`stocklean_exec.slippage`
    theme : ``"light"``, ``"dark"`` or ``"page"``

    Examples
    --------
    >>> table = pd.DataFrame({"slippage_bps": [1.0, -2.0], "filled_quantity": 10.0, "benchmark_price": 100.0})
    >>> chart_slippage(table).to_dict()["title"]["text"]
    'Slippage'
    """
    require_columns(slippage, ("slippage_bps", "filled_quantity", "benchmark_price"), "slippage")
    bps = slippage["slippage_bps"].to_numpy(dtype="float64")
    notional = (slippage["filled_quantity"] * slippage["benchmark_price"]).to_numpy(dtype="float64")
    known = np.isfinite(bps) & (notional > 0)
    if not known.any():
        return _empty_chart("Slippage", "no order was measured", theme)
    bps, notional = bps[known], notional[known]
    alt, c = _altair(), _colours(theme)
    edges = _bin_edges(bps)
    heights, _ = np.histogram(bps, edges, weights=notional / notional.sum())
    bars = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "share": heights})
    bars["what"] = np.where(bars["low"] + bars["high"] > 0, "cost", "gain")
    bars["ground"] = 0.0
    mean = float((bps * notional).sum() / notional.sum())
    histogram = (
        alt.Chart(bars)
        .mark_bar(stroke=c["back"] if c["back"] != "transparent" else None, strokeWidth=0.5)
        .encode(
            x=alt.X("low:Q", title="slippage, basis points (right of zero is a cost)", axis=alt.Axis(grid=False)),
            x2="high:Q",
            y=alt.Y("share:Q", title="share of notional", axis=alt.Axis(format="%")),
            y2="ground:Q",
            color=alt.Color("what:N", scale=_cost_scale(c), legend=None),
            tooltip=[alt.Tooltip("low:Q", format=".1f"), alt.Tooltip("high:Q", format=".1f"), "share:Q"],
        )
    )
    rule = (
        alt.Chart(pd.DataFrame({"mean": [mean]})).mark_rule(color=c["ink"], strokeDash=[5, 3]).encode(x="mean:Q")
    )
    subtitle = f"{known.sum()} orders; dashed: mean weighted by notional, {mean:.2f} bp"
    return _styled(histogram + rule, "Slippage", subtitle, theme)


def _cost_scale(c: dict[str, str]) -> Any:  # noqa: ANN401 - Altair's many chart classes
    return _altair().Scale(domain=["cost", "gain"], range=[c["cost"], c["gain"]])


def _bin_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bins of equal width with zero on an edge, so that a bar is either a cost or a gain."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    width = (high - low) / _BINS
    if width <= 0:
        return np.array([-1.0, 0.0, 1.0])
    return np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width


def chart_shortfall(summary: pd.DataFrame, *, theme: Theme = "light") -> Any:  # noqa: ANN401 - Altair's many chart classes
    """Waterfall of the implementation shortfall, from delay to total, in basis points of the paper notional.

    Parameters
    ----------
    summary : one row: the result of :func:`stocklean_exec.shortfall_summary`, or the headline of a cost summary
    theme : ``"light"``, ``"dark"`` or ``"page"``
    """
    names = {
        "delay_bps": "delay",
        "trading_bps": "trading",
        "opportunity_bps": "opportunity",
        "unsplit_bps": "unsplit",
    }
    names["fees_bps"] = "fees"
    require_columns(summary, ("delay_bps", "trading_bps", "opportunity_bps", "fees_bps", "total_bps"), "summary")
    if len(summary) != 1:
        raise InputError("summary", [Problem("wrong_type", f"one row is a waterfall; there are {len(summary)}")])
    row = summary.iloc[0]
    total = float(row["total_bps"])
    if not np.isfinite(total):
        return _empty_chart("Implementation shortfall", "no order was measured", theme)
    steps = [(name, float(row[column])) for column, name in names.items() if column in summary.columns]
    rest = total - sum(value for _, value in steps if np.isfinite(value))
    steps = [(name, value) for name, value in steps if np.isfinite(value) and (value or name != "unsplit")]
    if abs(rest) > 1e-6 * max(1.0, abs(total)):
        steps.append(("unsplit", rest))  # of orders without an arrival price
    ends = np.cumsum([value for _, value in steps])
    bars = pd.DataFrame(
        {
            "part": [*(name for name, _ in steps), "total"],
            "start": [0.0, *ends[:-1], 0.0],
            "end": [*ends, total],
            "bps": [*(value for _, value in steps), total],
        }
    )
    bars["what"] = np.where(bars["bps"] > 0, "cost", "gain")
    bars["label"] = [f"{value:+.1f}" for value in bars["bps"]]
    bars["top"] = bars[["start", "end"]].max(axis="columns")
    alt, c = _altair(), _colours(theme)
    x = alt.X("part:N", sort=None, title=None, axis=alt.Axis(labelAngle=0))
    base = alt.Chart(bars)
    blocks = base.mark_bar(size=48).encode(
        x=x,
        y=alt.Y("start:Q", title="basis points of paper notional (up is a cost)"),
        y2="end:Q",
        color=alt.Color("what:N", scale=_cost_scale(c), legend=None),
        opacity=alt.condition(alt.datum.part == "total", alt.value(1.0), alt.value(0.75)),
    )
    labels = base.mark_text(color=c["ink"], dy=-8, fontSize=11).encode(x=x, y="top:Q", text="label:N")
    zero = alt.Chart(pd.DataFrame({"y": [0.0]})).mark_rule(color=c["ink"], opacity=0.6).encode(y="y:Q")
    subtitle = f"total {total:.2f} bp" + (
        f" of {row['measured']:.0f} measured orders out of {row['orders']:.0f}"
        if "measured" in summary.columns
        else ""
    )
    return _styled(blocks + zero + labels, "Implementation shortfall", subtitle, theme)


def chart_participation(
    costs: pd.DataFrame, *, coefficient: float | None = None, volatility: float = 0.02, theme: Theme = "light"
) -> Any:  # noqa: ANN401 - Altair's many chart classes
    """Cost against participation: a point per order, larger for more notional, with an optional curve.

    Parameters
    ----------
    costs : ``slippage_bps``, ``participation`` (a fraction), and ``filled_notional`` or filled_quantity and
        benchmark_price
    coefficient, volatility : of the curve ``1e4 x coefficient x volatility x sqrt(participation)``; None draws no
        curve
    theme : ``"light"``, ``"dark"`` or ``"page"``
    """
    require_columns(costs, ("slippage_bps", "participation"), "costs")
    if "filled_notional" in costs.columns:
        notional = costs["filled_notional"].to_numpy(dtype="float64")
    else:
        require_columns(costs, ("filled_quantity", "benchmark_price"), "costs")
        notional = (costs["filled_quantity"] * costs["benchmark_price"]).to_numpy(dtype="float64")
    data = pd.DataFrame(
        {
            "participation": costs["participation"].to_numpy(dtype="float64"),
            "bps": costs["slippage_bps"].to_numpy(dtype="float64"),
            "notional": notional,
        }
    )
    data = data[(data["participation"] > 0) & np.isfinite(data["bps"]) & (data["notional"] > 0)]
    if not len(data):
        return _empty_chart("Cost against participation", "no order has a participation", theme)
    subtitle = f"{len(data)} orders, area is notional"
    if len(data) > 2_000:  # noqa: PLR2004 - more points overlap (a choice)
        data = _binned(data)
        subtitle += f", in {len(data)} groups of similar participation"
    alt, c = _altair(), _colours(theme)
    data["what"] = np.where(data["bps"] > 0, "cost", "gain")
    x = alt.X("participation:Q", scale=alt.Scale(type="log"), title="participation (share of volume)")
    x.axis = alt.Axis(format="~%")
    chart = (
        alt.Chart(data)
        .mark_circle(opacity=0.75, stroke=c["ink"], strokeWidth=0.3)
        .encode(
            x=x,
            y=alt.Y("bps:Q", title="slippage, basis points (up is a cost)"),
            size=alt.Size("notional:Q", title="notional", scale=alt.Scale(range=[20, 500]), legend=None),
            color=alt.Color("what:N", scale=_cost_scale(c), legend=None),
            tooltip=[
                alt.Tooltip("participation:Q", format=".2%"),
                alt.Tooltip("bps:Q", format=".1f"),
                "notional:Q",
            ],
        )
    )
    if coefficient is not None:
        ends = np.log10([data["participation"].min(), data["participation"].max()])
        grid = np.logspace(ends[0], max(ends[1], ends[0] + 0.01), 60)
        curve = pd.DataFrame({"participation": grid, "bps": 1e4 * coefficient * volatility * np.sqrt(grid)})
        chart += (
            alt.Chart(curve).mark_line(color=c["ink"], strokeDash=[5, 3]).encode(x="participation:Q", y="bps:Q")
        )
        subtitle += f"; dashed: {coefficient:g} x {volatility:.1%} x square root"
    return _styled(chart, "Cost against participation", subtitle, theme)


def _binned(data: pd.DataFrame) -> pd.DataFrame:
    group = pd.qcut(data["participation"], 200, labels=False, duplicates="drop")
    weighted = data.assign(
        participation=data["participation"] * data["notional"], bps=data["bps"] * data["notional"]
    )
    sums = weighted.groupby(group).sum()
    return pd.DataFrame(
        {
            "participation": sums["participation"] / sums["notional"],
            "bps": sums["bps"] / sums["notional"],
            "notional": sums["notional"],
        }
    )


def chart_fill_progress(progress: pd.DataFrame, *, theme: Theme = "light") -> Any:  # noqa: ANN401 - Altair's many chart classes
    """Filled share of orders over time: one step curve per order, or the 10th, 50th and 90th percentile of many.

    Parameters
    ----------
    progress : the result of :func:`stocklean_exec.fill_progress`
    theme : ``"light"``, ``"dark"`` or ``"page"``
    """
    require_columns(progress, ("client_order_id", "seconds", "filled_share"), "progress")
    known = progress[np.isfinite(progress["seconds"]) & np.isfinite(progress["filled_share"])]
    if not len(known):
        return _empty_chart("Fill progress", "no fill has a time", theme)
    alt, c = _altair(), _colours(theme)
    orders = known["client_order_id"].nunique()
    end = float(known["seconds"].max())
    if orders <= _LINES:
        lines = _single_lines(known, end)
        subtitle = f"{orders} orders, one line each"
        dash: Any = alt.value([1, 0])
    else:
        lines = _percentile_lines(known, end)
        subtitle = f"{orders} orders: 10th percentile, median and 90th percentile"
        dash = alt.StrokeDash("line:N", title=None, sort=["p10", "median", "p90"])
    chart = (
        alt.Chart(lines)
        .mark_line(interpolate="step-after", color=c["gain"], opacity=0.8)
        .encode(
            x=alt.X("seconds:Q", title="seconds since the order was sent"),
            y=alt.Y("share:Q", title="filled", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            detail="line:N",
            strokeDash=dash,
            tooltip=["line:N", alt.Tooltip("seconds:Q", format=".1f"), alt.Tooltip("share:Q", format=".1%")],
        )
    )
    return _styled(chart, "Fill progress", subtitle, theme)


def _single_lines(known: pd.DataFrame, end: float) -> pd.DataFrame:
    pieces = []
    for name, rows in known.groupby("client_order_id", sort=False):
        last = float(rows["filled_share"].iloc[-1])
        pieces.append(
            pd.DataFrame(
                {
                    "line": str(name),
                    "seconds": [0.0, *rows["seconds"].clip(lower=0.0), end],
                    "share": [0.0, *rows["filled_share"].clip(upper=1.0), min(last, 1.0)],
                }
            )
        )
    return pd.concat(pieces, ignore_index=True)


def _percentile_lines(known: pd.DataFrame, end: float) -> pd.DataFrame:
    grid = np.linspace(0.0, end, 80)
    codes = pd.factorize(known["client_order_id"])[0]
    order = np.argsort(codes, kind="stable")  # fills of an order stay in sequence
    starts = np.flatnonzero(np.diff(codes[order])) + 1
    columns = known["seconds"].to_numpy()[order], np.minimum(known["filled_share"].to_numpy()[order], 1.0)
    shares = [
        np.concatenate([[0.0], share])[np.searchsorted(seconds, grid, side="right")]
        for seconds, share in zip(*(np.split(column, starts) for column in columns), strict=True)
    ]
    levels = np.percentile(np.array(shares), [10, 50, 90], axis=0)
    return pd.DataFrame(
        {
            "line": np.repeat(["p10", "median", "p90"], len(grid)),
            "seconds": np.tile(grid, 3),
            "share": levels.ravel(),
        }
    )


def chart_markouts(markouts: pd.DataFrame, *, theme: Theme = "light") -> Any:  # noqa: ANN401 - Altair's many chart classes
    """Markout curve with its 95 % confidence band, on equally spaced horizons.

    Parameters
    ----------
    markouts : one group of the result of :func:`stocklean_exec.markouts`
    theme : ``"light"``, ``"dark"`` or ``"page"``
    """
    require_columns(markouts, ("horizon", "markout_bps", "standard_error", "fills"), "markouts")
    known = markouts[np.isfinite(markouts["markout_bps"])]
    if not len(known):
        return _empty_chart("Markouts", "nothing was observed", theme)
    if known["horizon"].astype(str).duplicated().any():
        raise InputError("markouts", [Problem("wrong_type", "a chart shows one group; select one")])
    error = 1.96 * known["standard_error"].fillna(0.0)
    data = pd.DataFrame(
        {
            "horizon": [_horizon(value) for value in known["horizon"].tolist()],
            "bps": known["markout_bps"],
            "low": known["markout_bps"] - error,
            "high": known["markout_bps"] + error,
            "fills": known["fills"],
        }
    )
    alt, c = _altair(), _colours(theme)
    x = alt.X("horizon:O", sort=None, title="time after the fill", axis=alt.Axis(labelAngle=0, grid=False))
    base = alt.Chart(data)
    band = base.mark_area(color=c["gain"], opacity=0.25).encode(
        x=x, y=alt.Y("low:Q", title="markout, basis points (up is favourable)"), y2="high:Q"
    )
    whiskers = base.mark_rule(color=c["gain"], opacity=0.6).encode(x=x, y="low:Q", y2="high:Q")
    line = base.mark_line(color=c["gain"], point=alt.OverlayMarkDef(color=c["gain"], size=45)).encode(
        x=x, y="bps:Q", tooltip=["horizon:O", alt.Tooltip("bps:Q", format=".2f"), "fills:Q"]
    )
    zero = alt.Chart(pd.DataFrame({"y": [0.0]})).mark_rule(color=c["ink"], opacity=0.6).encode(y="y:Q")
    subtitle = f"{int(known['fills'].max()):,} fills; band: 95 % confidence, fills assumed independent"
    return _styled(band + whiskers + zero + line, "Markouts", subtitle, theme)


def _horizon(value: object) -> str:
    if not isinstance(value, (int, float)):
        return str(value)
    size, sign = abs(value), "-" if value < 0 else ""
    for unit, seconds in (("h", 3600), ("min", 60)):
        if size >= seconds and size % seconds == 0:
            return f"{sign}{size / seconds:g} {unit}"
    return f"{value:g} s"


def chart_symbols(table: pd.DataFrame, *, currency: str = "", theme: Theme = "light") -> Any:  # noqa: ANN401 - Altair's many chart classes
    """Ranking of symbols by slippage in currency, with the basis points of each.

    Parameters
    ----------
    table : index symbol, ``slippage_cost``, ``slippage_bps``, as ``cost_summary(...).tables["symbol"]``
    currency : for the label of the axis
    theme : ``"light"``, ``"dark"`` or ``"page"``
    """
    require_columns(table, ("slippage_cost", "slippage_bps"), "table")
    known = table[np.isfinite(table["slippage_cost"].to_numpy(dtype="float64"))]
    if not len(known):
        return _empty_chart("Cost by symbol", "no symbol has been measured", theme)
    ranked = known.sort_values("slippage_cost", ascending=False, kind="stable")
    subtitle = f"{len(ranked)} symbols"
    if len(ranked) > _SYMBOLS:
        half = _SYMBOLS // 2
        ranked = pd.concat([ranked.head(_SYMBOLS - half), ranked.tail(half)])
        subtitle = f"the {_SYMBOLS - half} most expensive and the {half} cheapest of {len(known)} symbols"
    cost = ranked["slippage_cost"].to_numpy(dtype="float64")
    data = pd.DataFrame(
        {
            "symbol": [str(name) for name in ranked.index],
            "cost": cost,
            "label": [f"{value:+.1f} bp" for value in ranked["slippage_bps"]],
            "what": np.where(cost > 0, "cost", "gain"),
        }
    )
    alt, c = _altair(), _colours(theme)
    y = alt.Y("symbol:N", sort=None, title=None)
    unit = f"slippage, {currency or 'currency'} (right of zero is a cost)"
    room = 0.18 * max(float(np.ptp([*cost, 0.0])), 1e-9)
    low, high = min(0.0, float(cost.min())), max(0.0, float(cost.max()))
    scale = alt.Scale(domain=[low - room * (low < 0), high + room * (high > 0 or low == high)], nice=False)
    bars = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("cost:Q", title=unit, scale=scale),
            y=y,
            color=alt.Color("what:N", scale=_cost_scale(c), legend=None),
            tooltip=["symbol:N", alt.Tooltip("cost:Q", format=",.2f"), "label:N"],
        )
    )
    right = alt.Chart(data[data["cost"] > 0]).mark_text(align="left", dx=4, color=c["ink"], fontSize=11)
    left = alt.Chart(data[data["cost"] <= 0]).mark_text(align="right", dx=-4, color=c["ink"], fontSize=11)
    labels = [mark.encode(x="cost:Q", y=y, text="label:N") for mark in (right, left)]
    chart = _styled(alt.layer(bars, *labels), "Cost by symbol", subtitle, theme)
    return chart.properties(height=max(80, 20 * len(data)))


def chart_frontier(frontier: pd.DataFrame, *, currency: str = "", theme: Theme = "light") -> Any:  # noqa: ANN401 - Altair's many chart classes
    """Cost of each rule against what it leaves undone: the tracking error, or without it the active share.

    A rule is on the frontier, and joined to it by a line, if no other one is cheaper and as close to the targets.
    Rules with the same result are one point, with all their names.

    Parameters
    ----------
    frontier : the result of :func:`stocklean_exec.plan_frontier`
    currency : for the label of the axis
    theme : ``"light"``, ``"dark"`` or ``"page"``
    """
    require_columns(frontier, ("orders", "fees", "spread_cost", "active_share", "tracking_error"), "frontier")
    by = "active_share" if frontier["tracking_error"].isna().any() else "tracking_error"
    is_spread_known = bool(frontier["spread_cost"].notna().all())
    cost = frontier["fees"] + (frontier["spread_cost"] if is_spread_known else 0.0)
    data = pd.DataFrame(
        {
            "rule": [str(name) for name in frontier.index],
            "cost": cost.to_numpy(dtype="float64"),
            "distance": frontier[by].to_numpy(dtype="float64") * 1e4,
            "orders": frontier["orders"].to_numpy(),
        }
    )
    data = data[np.isfinite(data["cost"]) & np.isfinite(data["distance"])]
    if not len(data):
        return _empty_chart("Frontier of the plan", "no rule was measured", theme)
    data = data.sort_values(["cost", "distance"], kind="stable")
    same = data.groupby(["cost", "distance"], sort=False)["rule"]
    data["label"] = np.where(same.cumcount() == 0, same.transform(" / ".join), "")
    first_best = data["distance"].cummin().shift(fill_value=np.inf) > data["distance"]
    best = first_best.groupby([data["cost"], data["distance"]]).transform("any")
    data["what"] = np.where(best, "frontier", "other")
    alt, c = _altair(), _colours(theme)
    unit = "fees and half-spreads" if is_spread_known else "fees"
    x = alt.X("cost:Q", title=f"{unit}, {currency or 'currency'}")
    y = alt.Y("distance:Q", title=f"{by.replace('_', ' ')} after the orders, basis points")
    line = alt.Chart(data[best]).mark_line(color=c["gain"], opacity=0.6).encode(x=x, y=y, order="cost:Q")
    base = alt.Chart(data)
    points = base.mark_point(filled=True, size=70, opacity=0.9).encode(
        x=x,
        y=y,
        color=alt.Color(
            "what:N", scale=alt.Scale(domain=["frontier", "other"], range=[c["gain"], c["cost"]]), legend=None
        ),
        shape=alt.Shape("what:N", scale=alt.Scale(domain=["frontier", "other"], range=["circle", "cross"])),
        tooltip=[
            "rule:N",
            alt.Tooltip("cost:Q", format=",.2f"),
            alt.Tooltip("distance:Q", format=".1f"),
            "orders:Q",
        ],
    )
    labels = base.mark_text(align="left", dx=7, dy=-6, color=c["ink"], fontSize=10).encode(
        x=x, y=y, text="label:N"
    )
    subtitle = f"{len(data)} rules, {int(best.sum())} of them on the frontier"
    return _styled(line + points + labels, "Frontier of the plan", subtitle, theme)
