"""A person's decisions on a checked plan, without a display.

Holds the rules: what can be approved, edited, confirmed and sent. May import execution and risk; the widgets are
views of it. Begin with :class:`~stocklean_exec.OrderReview`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stocklean_exec.review.model import Decision as Decision
    from stocklean_exec.review.model import OrderReview as OrderReview
    from stocklean_exec.review.model import review_orders as review_orders

__all__ = ["Decision", "OrderReview", "review_orders"]


def __getattr__(name: str) -> object:
    """Load a name when it is first used: the rules of a decision are imported without the model."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
