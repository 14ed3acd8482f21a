"""Notebook widgets: the review, and the live view of a run; their front end is in ``static/``.

A widget has no rules and no order data of its own: it sends messages and displays snapshots. May import review and
execution. Begin with ``view_messages``, then ``review_widget`` and ``live_view``.
"""
