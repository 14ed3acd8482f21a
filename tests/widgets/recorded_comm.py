"""A widget without a front end: its comm keeps what it sends, and ``post`` sends what a view would send."""

from __future__ import annotations

import json

from comm.base_comm import BaseComm


class RecordingComm(BaseComm):
    """A comm that keeps what the widget sends.

    ``sent`` has the messages, as strict JSON would carry them; ``states`` the widget's state, first and updated.
    """

    sent: list

    def __init__(self, *arguments, **options):
        self.sent, self.states = [], []
        super().__init__(*arguments, **options)

    def publish_msg(self, msg_type, data=None, *_, **__):
        if msg_type == "comm_msg" and data["method"] == "custom":
            self.sent.append(json.loads(json.dumps(data["content"], allow_nan=False)))
        elif msg_type in ("comm_open", "comm_msg"):
            self.states.append(data["state"])


def post(widget, kind, view="v", number=1, **body):
    """Send a message to the widget, as its ``view`` would; return the answer to that view, or None."""
    before = len(widget.comm.sent)
    content = {"kind": kind, "view": view, "number": number, **body}
    widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    answers = [message for message in widget.comm.sent[before:] if message.get("view") == view]
    return answers[-1] if answers else None
