"""The words of a scenario: what an order's steps, faults and events can do, each with its meaning.

Pure data: the tables are the documentation, and what scenarios are checked against.
"""

from __future__ import annotations

__all__ = ["EVENTS", "EXAMPLES", "REPLY_FAULTS", "REQUEST_FAULTS", "STEPS"]

STEPS = {
    "fill": 'shares to execute now (a number, "half" of what is left, or "rest"); "price", else the touch',
    "wait": "seconds before the next step",
    "match": "true: hand the order to the market, which fills it or lets it rest",
    "rest": "true: acknowledge and leave the rest open; the market fills it when it moves there",
    "reject": 'error code; with "text" and "state" ("Inactive", "Cancelled" or "none", default by code)',
    "message": 'a message code that leaves the order alone; with "text"',
    "cancel": 'true: the system cancels what is left; with "text"',
    "hold": '"locate": message 404 and whyHeld, until the next step',
    "status": "send this order status again as it stands, whatever the truth is",
    "correct": 'a corrected last execution (.02); with "price" and/or "quantity"',
    "bust": "true: the last execution is withdrawn: a correction to 0 shares",
    "repeat": '"execution" or "commission": send the last one again',
    "move": "a table of quote columns: the market of the order's symbol moves",
    "disconnect": "true: the connection of the order's client is closed",
}
"""The verbs of an order's steps. A step is a table with one verb and its options."""

REQUEST_FAULTS = {
    "drop_before_read": "close the connection; the request was never read",
    "swallow": "the request is lost, the connection lives",
    "drop_after_read": 'the connection closes; the request is carried out after "seconds" (1) all the same',
    "drop_after_accept": "the request is carried out, its answers are lost, the connection closes",
    "drop_after_answer": "the request is carried out and answered, then the connection closes",
    "delay": 'carried out after "seconds" (1), also when the connection is gone by then',
    "hold": 'carried out after "messages" more requests of this connection',
    "error": 'answered by "code" and "text" instead',
    "deaf": 'from now on, or for "seconds", nothing is read from this connection (half open)',
    "stall": 'from now on, or for "seconds", nothing is written to this connection',
}
"""What can happen to a request: ``on`` is ``placeOrder``, ``reqExecutions``, ``startApi``, ... or ``*``."""

REPLY_FAULTS = {
    "omit": "not sent",
    "duplicate": 'sent 1 + "copies" times',
    "delay": 'sent after "seconds"',
    "reorder": 'sent after "messages" more replies on this connection',
    "edit": 'fields replaced: a table "set" of field name to text',
    "cut": "half of its frame is sent, then the connection closes",
    "split": "its frame is written byte by byte",
    "close_before": "the connection closes instead",
    "close_after": "the connection closes behind it",
    "stall": 'from it on, or for "seconds", nothing is written to this connection',
    "deaf": 'from it on, or for "seconds", nothing is read from this connection',
    "garbage": 'a frame of "fields" (default: an unknown message) is sent in front',
    "huge": 'a frame of "bytes" bytes is sent in front',
    "announce": 'a frame of "bytes" (4294967295) bytes is announced in front, and never comes',
}
"""What can happen to a reply: ``on`` is ``execDetails``, ``orderStatus``, ``openOrderEnd``, ... or ``*``."""

EVENTS = {
    "link_down": "1100: TWS lost IB; orders sent meanwhile wait, executions go on upstream",
    "link_up": '1101 or 1102 (a "code"); "deliver" = false loses what happened meanwhile on this connection',
    "broken_link": "2110 instead of 1100",
    "disconnect": 'close connections: all, or of "client_id"',
    "restart": 'close all connections, refuse new ones for "seconds"; "lose": true forgets what was not worked',
    "reset_ids": 'order ids of all clients start again at "next_id" (1)',
    "message": 'a "code" and "text" to every connection',
    "pacing": "error 100 to every connection, then close it",
    "manual_order": 'somebody trades in TWS: "symbol", "side", "quantity", "price" (none for a market order)',
    "move": 'the market of "symbol" moves to the given quote columns',
    "fill": 'open orders that match are executed: "quantity" (default all) at "price" (default the touch)',
    "cancel": 'open orders that match are cancelled by the system, with "text"',
    "accounts": 'the login sees other "accounts"; with "announce" = false only who connects from now on is told',
    "midnight": "the day rolls: executions and completed orders of the day before are no longer told",
    "close": "the end of the session: orders for the close trade, day orders end",
    "next_day": "close, then midnight",
    "double": "open orders that match get a live twin under the same id and reference",
    "switch": 'switches change to the table "set", but for the hours and the walk',
    "advance": 'a virtual clock moves on by "seconds"',
}
"""What can happen to the venue."""

EXAMPLES = {
    "TWS is slow, and works what it has received also when the client is gone": (
        '[switches]\nqueue_seconds = 0.05\nqueue_jitter = 0.5\nclient_id_free = "drained"'
    ),
    "the connection goes between an execution and its commission": (
        '[[fault]]\non = "commissionReport"\nnth = 1\ndo = "close_before"'
    ),
    "three in ten reports come twice, and some executions behind their status": (
        '[[fault]]\non = "*"\nchance = 0.3\ndo = "duplicate"\n'
        '[[fault]]\non = "execDetails"\nchance = 0.5\ndo = "reorder"\nmessages = 2'
    ),
    "an order lives although a code looks fatal, then fills, then its status falls back": (
        '[[order]]\nsymbol = "SPY"\n'
        'steps = [{ rest = true }, { message = 10148 }, { fill = "rest" }, { status = "Submitted" }]'
    ),
    "the connection to IB is lost for a minute; the open orders fill meanwhile, untold; one order doubles": (
        '[[event]]\nafter_accepts = 2\ndo = "link_down"\n'
        '[[event]]\nafter_accepts = 2\ndelay = 20\ndo = "double"\norder_ref = "*-SPY-*"\n'
        '[[event]]\nafter_accepts = 2\ndelay = 30\ndo = "fill"\n'
        '[[event]]\nafter_accepts = 2\ndelay = 60\ndo = "link_up"\ncode = 1101\ndeliver = false'
    ),
    "a restart loses what was not worked, and the order ids start again": (
        '[[event]]\nafter_accepts = 3\ndo = "reset_ids"\n'
        '[[event]]\nafter_accepts = 3\ndo = "restart"\nseconds = 5\nlose = true'
    ),
    "executions are not told at first": (
        '[switches]\nexecutions = "none"\n'
        '[[event]]\nafter_requests = 40\ndo = "switch"\nset = { executions = "own" }'
    ),
    "the next login is another one": (
        '[[event]]\nafter_accepts = 1\ndo = "accounts"\naccounts = ["U7654321"]\nannounce = false'
    ),
}
"""Whole scenarios, by what happens in them."""
