"""How a simulated TWS is set up: the facts that differ between installations, or are not known for sure.

Pure data. Each switch is a key of a scenario's table ``[switches]``. A venue keeps a copy of its own, which the
event ``switch`` changes while it runs.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["CHOICES", "Switches", "meanings"]


@dataclass(kw_only=True)
class Switches:
    """How this TWS is set up. Each is a fact that differs between installations, or is not known for sure."""

    client_id_in_use: str = "326"
    """``326`` and close, or only ``close``."""
    client_id_linger: float = 0.0
    """Seconds that a client id stays taken after its connection is gone."""
    client_id_free: str = "eof"
    """When a client id is free again: at the end of its connection (``eof``), or once all that TWS has received
    on it is worked (``drained``)."""
    next_valid_id: str = "accepted"
    """Whether ``accepted`` or all ``received`` orders move the next valid id."""
    seen_ids: str = "free"
    """Whether the ids of other clients' orders that a client was shown are ``free`` for it, or count as ``used``
    (103 for them and below), as the documentation of reqAllOpenOrders has it."""
    queue_seconds: float = 0.0
    """Seconds that each request of a connection takes before it is worked, one after another. What TWS has
    received is worked also when its connection is gone. Virtual and brisk clocks jump over it."""
    queue_jitter: float = 0.0
    """Up to so many seconds more for each request, seeded."""
    cross_client_cancel: bool = False
    """Whether a client may cancel another client's order (else 10147)."""
    unsolicited_open_orders: bool = False
    """Whether a client's live orders are sent right after START_API, before everything else."""
    start_order: str = "accounts"
    """What comes first after START_API: ``accounts`` or ``id``."""
    farm_messages: bool = True
    """Whether 2104, 2106 and 2158 are sent at the start."""
    executions: str = "own"
    """What reqExecutions tells: ``own``, ``all``, or ``none``."""
    executions_since: str = "midnight"
    """``midnight`` or ``ever``."""
    evidence_lag: float = 0.0
    """Seconds before reqExecutions and reqCompletedOrders know of what happened."""
    completed_orders: str = "all"
    """What reqCompletedOrders tells: ``all``, ``own``, ``none``, or ``filled``."""
    open_orders: str = "live"
    """What reqOpenOrders tells: ``live``, ``none``, or ``stale`` (also orders that are over)."""
    master_client_id: int = -1
    """The client that sees every order and execution; -1 is none."""
    market_data: str = "live"
    """``live``, ``delayed`` (10089 before reqMarketDataType 3), ``forced_delayed`` (10167), ``none``."""
    pacing: str = "off"
    """``off``, or ``reject``: error 100 above :attr:`pacing_limit`, and the end at the third. Seconds are
    those of the venue's clock."""
    pacing_limit: int = 50
    """Requests in a second."""
    fractional: bool = False
    """Whether fractions of a share may be ordered (else 10243)."""
    order_limit: int = 20
    """Active orders for a contract, side and account (else 201)."""
    shorts: str = "allowed"
    """Sales beyond the position: ``allowed``, ``locate`` (404, held), ``refused`` (201)."""
    margin: bool = False
    """Whether orders beyond the buying power are rejected (201)."""
    unset_tif_message: bool = False
    """Whether an order without a time in force brings 10349, as newer TWS with an order preset does."""
    hours: str = "always"
    """``always`` open, or ``exchange``: 9:30 to 16:00 New York, Monday to Friday."""
    time_format: str = "zone"
    """Execution times: ``zone`` (name at the end), ``utc`` (dash, no zone), ``naive`` (no zone)."""
    time_zone: str = "US/Eastern"
    """The time zone of the login."""
    time_zone_name: str = ""
    """What executions call that zone, where it is not its own name: one that no client knows, for instance."""
    walk: float = 0.0
    """Volatility of a seeded day: standard deviation of one step of each symbol; 0 stands still."""
    walk_seconds: float = 60.0
    """Length of such a step."""
    request_seconds: float = 0.001
    """How much a virtual or manual clock moves on at each request."""
    double_orders: bool = False
    """Whether a modification while the link is down leaves two live orders under one reference."""
    account_updates: bool = True
    """Whether executions bring unasked account values to subscribers."""


CHOICES: dict[str, tuple[str, ...]] = {
    "client_id_in_use": ("326", "close"),
    "client_id_free": ("eof", "drained"),
    "next_valid_id": ("accepted", "received"),
    "seen_ids": ("free", "used"),
    "start_order": ("accounts", "id"),
    "executions": ("own", "all", "none"),
    "executions_since": ("midnight", "ever"),
    "completed_orders": ("all", "own", "none", "filled"),
    "open_orders": ("live", "none", "stale"),
    "market_data": ("live", "delayed", "forced_delayed", "none"),
    "pacing": ("off", "reject"),
    "shorts": ("allowed", "locate", "refused"),
    "hours": ("always", "exchange"),
    "time_format": ("zone", "utc", "naive"),
}
"""Switches that take one of several words."""


def meanings() -> dict[str, str]:
    """What each switch means, by its name: the texts under the fields of :class:`Switches`.

    Examples
    --------
    >>> meanings()["pacing_limit"]
    'Requests in a second.'
    """
    (tree,) = ast.parse(inspect.getsource(Switches)).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    texts: dict[str, str] = {}
    for one, behind in pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(behind, ast.Expr):
            texts[one.target.id] = " ".join(str(ast.literal_eval(behind.value)).replace("`", "").split())
    return texts
