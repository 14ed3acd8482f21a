"""The verbs of scenarios: order steps, faults and events, each with its meaning.

Pure data: the tables are the documentation, and scenarios are validated against them.
"""

from __future__ import annotations

__all__ = ["CHANGE_STEPS", "EVENTS", "EXAMPLES", "REPLY_FAULTS", "REQUEST_FAULTS", "STEPS"]

STEPS = {
    "fill": 'shares to execute now (number, "half" or "rest" of the remaining quantity); "price", else touch',
    "wait": "seconds before the next step",
    "match": "true: offer the order to the market, which fills it or lets it rest",
    "rest": "true: acknowledge and rest; fills when the market reaches the limit",
    "reject": 'error code; with "text" and "state" ("Inactive", "Cancelled" or "none", default by code)',
    "message": 'a message code without effect on the order; with "text"',
    "cancel": 'true: the system cancels the remaining quantity; with "text"',
    "hold": '"locate": message 404 and whyHeld, until the next step',
    "status": "send this order status, whatever the actual status",
    "correct": 'correct the last execution (.02); with "price" and/or "quantity"',
    "bust": "true: bust the last execution: a correction to 0 shares",
    "repeat": '"execution" or "commission": send the last one again',
    "move": "a table of quote columns: new quote of the order's symbol",
    "disconnect": "true: close the connection of the order's client",
}
"""Verbs of order steps. A step is a table with one verb and its options."""

CHANGE_STEPS = {
    "refuse": 'error code of a refused modification; with "text"',
    "ignore": "true: the modification gets no answer and changes nothing",
    "judge": "true: the modification is judged as any other",
}
"""Verbs that decide about a modification, in ``on_modify`` alone: the steps behind one are for the next. Without
one it is judged as any other."""

REQUEST_FAULTS = {
    "drop_before_read": "close the connection without reading the request",
    "swallow": "the request is lost, the connection stays open",
    "drop_after_read": 'close the connection; the request is still processed after "seconds" (1)',
    "drop_after_accept": "process the request, discard its answers, close the connection",
    "drop_after_answer": "process and answer the request, then close the connection",
    "delay": 'process after "seconds" (1), even if the connection has ended',
    "hold": 'process after "messages" further requests of this connection',
    "error": 'answer with "code" and "text" only',
    "deaf": 'stop reading from this connection, permanently or for "seconds" (half open)',
    "stall": 'stop writing to this connection, permanently or for "seconds"',
}
"""Faults of a request: ``on`` is ``placeOrder``, ``reqExecutions``, ``startApi``, ... or ``*``."""

REPLY_FAULTS = {
    "omit": "not sent",
    "duplicate": 'sent 1 + "copies" times',
    "delay": 'sent after "seconds"',
    "reorder": 'sent after "messages" further replies on this connection',
    "edit": 'replace fields: a table "set" of field name to text',
    "cut": "send half of its frame, then close the connection",
    "split": "write its frame byte by byte",
    "close_before": "close the connection without sending it",
    "close_after": "send it, then close the connection",
    "stall": 'send it, then stop writing, permanently or for "seconds"',
    "deaf": 'send it, then stop reading, permanently or for "seconds"',
    "garbage": 'first send a frame of "fields" (default: an unknown message)',
    "huge": 'first send a frame of "bytes" bytes',
    "announce": 'first announce a frame of "bytes" (4294967295) bytes that is not sent',
}
"""Faults of a reply: ``on`` is ``execDetails``, ``orderStatus``, ``openOrderEnd``, ... or ``*``."""

EVENTS = {
    "link_down": "1100: TWS is disconnected from IB; new orders wait, executions continue at the exchange",
    "link_up": 'restore the link: "code" 1101 or 1102; "deliver" = false drops the reports of the interval',
    "broken_link": "as link_down, with 2110 in place of 1100",
    "disconnect": 'close all connections, or that of "client_id"',
    "restart": 'close all connections, refuse new ones for "seconds"; "lose" = true drops queued requests',
    "reset_ids": 'reset the order ids of all clients to "next_id" (1)',
    "message": 'send "code" and "text" to all connections',
    "pacing": "send error 100 to all connections, then close them",
    "manual_order": 'a manual order in TWS: "symbol", "side", "quantity", "price" (none for a market order)',
    "move": 'new quote of "symbol": the given quote columns',
    "rate": 'new exchange "rate" of "currency": base currency per unit',
    "fill": 'fill matching open orders: "quantity" (default all) at "price" (default the touch)',
    "cancel": 'cancel matching open orders by the system, with "text"',
    "accounts": 'change the "accounts" of the login; "announce" = false informs new connections only',
    "midnight": "new day: queries no longer return earlier executions and completed orders",
    "close": "end of the session: the closing auction, then day orders expire",
    "auction": 'run the "auction" ("close" or "open") of "symbol" (default all) now: "price", "size", "imbalance"',
    "next_day": "close, then midnight",
    "double": "matching open orders get an open duplicate with the same id and reference",
    "switch": 'change switches to the table "set", except those of hours and walk',
    "advance": 'advance a virtual clock by "seconds"',
}
"""Events of the venue."""

EXAMPLES = {
    "a slow TWS that processes received requests even if the client has disconnected": (
        '[switches]\nqueue_seconds = 0.05\nqueue_jitter = 0.5\nclient_id_free = "drained"'
    ),
    "the connection is lost between an execution and its commission": (
        '[[fault]]\non = "commissionReport"\nnth = 1\ndo = "close_before"'
    ),
    "30 % of the reports are duplicated, and some executions arrive after their status": (
        '[[fault]]\non = "*"\nchance = 0.3\ndo = "duplicate"\n'
        '[[fault]]\non = "execDetails"\nchance = 0.5\ndo = "reorder"\nmessages = 2'
    ),
    "an order stays open despite an error code, then fills, then its status reverts": (
        '[[order]]\nsymbol = "SPY"\n'
        'steps = [{ rest = true }, { message = 10148 }, { fill = "rest" }, { status = "Submitted" }]'
    ),
    "the first change of a limit is refused, the second ignored, and a fill crosses the third on its way": (
        "[[order]]\nsteps = [{ rest = true }]\n"
        'on_modify = [{ refuse = 2102 }, { ignore = true }, { wait = 1.0 }, { fill = "half" }]'
    ),
    "the link to IB is down for a minute; open orders fill unreported; one order is duplicated": (
        '[[event]]\nafter_accepts = 2\ndo = "link_down"\n'
        '[[event]]\nafter_accepts = 2\ndelay = 20\ndo = "double"\norder_ref = "*-SPY-*"\n'
        '[[event]]\nafter_accepts = 2\ndelay = 30\ndo = "fill"\n'
        '[[event]]\nafter_accepts = 2\ndelay = 60\ndo = "link_up"\ncode = 1101\ndeliver = false'
    ),
    "a restart drops queued requests and resets the order ids": (
        '[[event]]\nafter_accepts = 3\ndo = "reset_ids"\n'
        '[[event]]\nafter_accepts = 3\ndo = "restart"\nseconds = 5\nlose = true'
    ),
    "executions are missing from queries at first": (
        '[switches]\nexecutions = "none"\n'
        '[[event]]\nafter_requests = 40\ndo = "switch"\nset = { executions = "own" }'
    ),
    "a session that closes in ten minutes, with an auction that leaves a limit at its price unfilled": (
        "[switches]\nclose_in_seconds = 600\nauction_cutoff = 60\n"
        '[[event]]\nat = 599\ndo = "auction"\nsymbol = "SPY"\nprice = 400.5\nimbalance = 5000'
    ),
    "a market on close order prints at a given price, where the market never closes": (
        '[switches]\nauctions = "wait"\n[[event]]\nafter_accepts = 1\ndelay = 5\ndo = "auction"\nprice = 401.0'
    ),
    "the next login has another account": (
        '[[event]]\nafter_accepts = 1\ndo = "accounts"\naccounts = ["U7654321"]\nannounce = false'
    ),
}
"""Complete scenarios by description."""
