"""Plans to record in tests of states, and values of a row to compare."""

import pandas as pd


def plan_of(run_id, asked):
    """Give a plan with one BUY order for each given quantity."""
    names = [f"{run_id}-{number}" for number in range(len(asked))]
    rows = {"client_order_id": names, "run_id": run_id, "symbol": "SPY", "side": "BUY", "quantity": asked}
    rows |= {"order_type": "MKT", "payload_hash": "h"}
    return pd.DataFrame(rows).astype({"quantity": "float64"})


def header_of(run_id):
    names = ("account", "nav", "parameters", "approved_by", "approved_at")
    return {"run_id": run_id, "leg": 1, "mode": "mock", "plan_hash": "h", **dict.fromkeys(names)}


def known(value):
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN is not itself
