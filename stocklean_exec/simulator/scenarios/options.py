"""Options of a simulated TWS: behaviour that differs between installations, or is not known for certain.

Pure data. Each option is a key of the scenario table ``[switches]``. A venue has its own copy, which the event
``switch`` changes while it runs.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["CHOICES", "Switches", "meanings"]


@dataclass(kw_only=True)
class Switches:
    """Options of a simulated TWS: behaviour that differs between installations, or is not known for certain."""

    client_id_in_use: str = "326"
    """Answer to a client id in use: ``326`` (error, then close) or ``close``."""
    client_id_linger: float = 0.0
    """Seconds for which a client id stays in use after its connection has ended."""
    client_id_free: str = "eof"
    """When a client id is free again: at the end of its connection (``eof``), or when all requests received on it
    are processed (``drained``)."""
    next_valid_id: str = "accepted"
    """Which orders increase the next valid id: ``accepted`` or all ``received`` ones."""
    seen_ids: str = "free"
    """Whether order ids of other clients that a client received are ``free`` for it, or count as ``used`` (103 for
    them and lower ids), as documented for reqAllOpenOrders."""
    queue_seconds: float = 0.0
    """Seconds of delay before each request of a connection is processed, in sequence. Received requests are
    processed even if the connection has ended. Virtual and brisk clocks jump over the delay."""
    queue_jitter: float = 0.0
    """Maximum additional delay of each request in seconds, seeded."""
    cross_client_cancel: bool = False
    """Whether a client may cancel another client's order (else 10147)."""
    unsolicited_open_orders: bool = False
    """Whether a client's open orders are sent directly after START_API, before anything else."""
    start_order: str = "accounts"
    """First message after START_API: ``accounts`` or ``id``."""
    farm_messages: bool = True
    """Whether 2104, 2106 and 2158 are sent after START_API."""
    executions: str = "own"
    """Scope of reqExecutions: ``own``, ``all``, or ``none``."""
    executions_since: str = "midnight"
    """Start of the period of reqExecutions: ``midnight`` or ``ever``."""
    evidence_lag: float = 0.0
    """Seconds until reqExecutions and reqCompletedOrders include an execution or a completed order."""
    completed_orders: str = "all"
    """Scope of reqCompletedOrders: ``all``, ``own``, ``none``, or ``filled``."""
    open_orders: str = "live"
    """Scope of reqOpenOrders: ``live``, ``none``, or ``stale`` (includes finished orders)."""
    master_client_id: int = -1
    """Client that receives all orders and executions; -1 for none."""
    market_data: str = "live"
    """``live``, ``delayed`` (10089 before reqMarketDataType 3), ``forced_delayed`` (10167), ``none``."""
    pacing: str = "off"
    """``off``, or ``reject``: error 100 above :attr:`pacing_limit`, disconnect at the third. Seconds are those of
    the venue's clock."""
    pacing_limit: int = 50
    """Requests per second."""
    fractional: bool = False
    """Whether fractional shares are accepted (else 10243)."""
    order_limit: int = 20
    """Maximum active orders per contract, side and account (else 201)."""
    shorts: str = "allowed"
    """Short sales: ``allowed``, ``locate`` (404, held), ``refused`` (201)."""
    margin: bool = False
    """Whether orders beyond the buying power are rejected (201)."""
    market_buffer: float = 0.0
    """Fraction by which a cash account's purchase without a limit price is assumed to cost more than the ask; for
    IB, about 0.05 is reported."""
    unset_tif_message: bool = False
    """Whether an order without a time in force gets 10349, as in newer TWS with an order preset."""
    hours: str = "always"
    """``always`` open, or ``exchange``: 9:30 to 16:00 New York, Monday to Friday."""
    open_in_seconds: float = 0.0
    """Seconds from the start to the opening auction, if above 0: the venue is closed before, and has a session of
    :attr:`close_in_seconds` or else of six and a half hours every 24 hours, in place of :attr:`hours`."""
    close_in_seconds: float = 0.0
    """Seconds from the start to the closing auction, if above 0: day orders end there, and the venue is closed
    until its next opening, 24 hours after the one before."""
    auctions: str = "at_once"
    """Orders for an auction where the market never closes: they trade ``at_once``, or ``wait`` for the event
    ``auction``, ``close`` or ``next_day``. With sessions they always wait."""
    auction_cutoff: float = 0.0
    """Seconds before an auction in which orders for it are rejected (201), and cannot be changed (2102) or
    cancelled (161). For NYSE 600 at the close; 120 at the open."""
    algo_seconds: float = 60.0
    """Length of an algorithm's window that no end time and no close ends. A wait of the order: virtual and brisk
    clocks jump over it."""
    volume_per_minute: float = 10_000.0
    """Volume of the market, shares a minute, of which pctVol and maxPctVol are a part."""
    twap_strategy_type: str = "refused"
    """Parameter strategyType of Twap: ``refused`` (443), as captured in April 2026, or ``accepted``."""
    uncertain_tifs: str = "accepted"
    """Times in force that TWS is not known to take with a type, such as GTC with MIDPRICE or an algorithm:
    ``accepted``, or ``refused`` (111)."""
    outside_rth: str = "warned"
    """The flag outsideRth on MOC, LOC, OPG, IOC and FOK orders: ``warned`` (2109) and ignored, or ``refused``
    (411)."""
    price_check: float = 0.0
    """Fraction of the far touch by which a limit may be through the market, if above 0: beyond it the order is
    cancelled (202; IOC and FOK without a code, as captured at 0.2, where 0.03 passed)."""
    modify_filled: str = "104"
    """Answer to a modification of a filled order: ``104``, or ``silent``, as captured in April 2026."""
    what_if: str = "answered"
    """What-if orders: ``answered``; ``silent``: no answer; ``10349``: that harmless code first; ``incomplete``:
    first an answer without margins; ``no_commission``: with bounds of the commission alone."""
    time_format: str = "zone"
    """Execution times: ``zone`` (name at the end), ``utc`` (dash, no zone), ``naive`` (no zone)."""
    time_zone: str = "US/Eastern"
    """Time zone of the login."""
    time_zone_name: str = ""
    """Name of the zone in execution times, if different: for instance one that no client knows."""
    walk: float = 0.0
    """Volatility of a seeded day: standard deviation of the log return per step; 0 for constant quotes."""
    walk_seconds: float = 60.0
    """Length of a step in seconds."""
    request_seconds: float = 0.001
    """Seconds by which a virtual or manual clock advances at each request."""
    unheld_rates: bool = False
    """Whether the ledger has a row, and so an exchange rate, also for currencies that have a rate in the settings
    but that the account has never held."""
    cash_positions: bool = False
    """Whether trades in currency pairs are also reported as positions of secType CASH, as TWS does."""
    execution_prices: str = "currency"
    """Unit of the prices of executions and of avgFillPrice where the price magnifier is not 1: ``currency``
    (London: pounds), or that of ``quotes`` (pence). IB documents the first, some clients assume the second."""
    double_orders: bool = False
    """Whether a modification while the link is down leaves two open orders with one reference."""
    account_updates: bool = True
    """Whether subscribers receive account values after each execution."""


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
    "auctions": ("at_once", "wait"),
    "twap_strategy_type": ("refused", "accepted"),
    "uncertain_tifs": ("accepted", "refused"),
    "outside_rth": ("warned", "refused"),
    "modify_filled": ("104", "silent"),
    "what_if": ("answered", "silent", "10349", "incomplete", "no_commission"),
    "execution_prices": ("currency", "quotes"),
    "time_format": ("zone", "utc", "naive"),
}
"""Permitted values of options that are one of several words."""


def meanings() -> dict[str, str]:
    """Descriptions of all options by name: the texts under the fields of :class:`Switches`.

    Examples
    --------
    >>> meanings()["pacing_limit"]
    'Requests per second.'
    """
    (tree,) = ast.parse(inspect.getsource(Switches)).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    texts: dict[str, str] = {}
    for one, behind in pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and isinstance(behind, ast.Expr):
            texts[one.target.id] = " ".join(str(ast.literal_eval(behind.value)).replace("`", "").split())
    return texts
