"""One address, one broker: ``sx.connect("mock://?seed=7", quotes=...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.mock_broker import MockBroker
from stocklean_exec.sample import sample_quotes

if TYPE_CHECKING:
    from stocklean_exec.broker import Broker

__all__ = ["connect"]


def connect(
    address: str,
    *,
    quotes: object = None,
    positions: object = None,
    cash: float | None = None,
    fill_plan: object = None,
) -> Broker:
    """Open a broker by its address.

    Parameters
    ----------
    address : ``mock://`` with any of ``seed``, ``cash`` and ``account``, such as ``mock://?seed=7&cash=50000``
    quotes : the market; by default that of :func:`~stocklean_exec.sample.sample_quotes`
    positions, cash, fill_plan : see :class:`~stocklean_exec.mock_broker.MockBroker`

    Raises
    ------
    InputError
        The address cannot be read; the error says what would do.

    Examples
    --------
    >>> connect("mock://?seed=7", quotes={"SPY": 123.0})
    <MockBroker mock DU***001>
    """
    try:
        parts = urlsplit(address)
    except (ValueError, AttributeError, TypeError):
        parts = urlsplit("")
    if parts.scheme != "mock" or not address.startswith("mock://"):
        text = f"{address!r} is no address of a broker; mock://?seed=7 is one"
        raise InputError("address", [Problem("address_invalid", text)])
    if parts.netloc or parts.path not in ("", "/"):
        text = f"{address!r}: the mock filler has no host; write mock://?seed=7"
        raise InputError("address", [Problem("address_invalid", text)])
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - {"seed", "cash", "account"})
    if unknown:
        text = "is no option of mock://; seed, cash and account are"
        raise InputError("address", [Problem("address_invalid", f"{name!r} {text}") for name in unknown])
    return MockBroker(
        sample_quotes() if quotes is None else quotes,
        positions=positions,
        cash=_number(options, "cash", 1_000_000.0) if cash is None else cash,
        fill_plan=fill_plan,
        seed=_seed(options),
        account=options.get("account", "DU0000001"),
        address=address,
    )


def _number(options: dict[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        problem = Problem("address_invalid", f"{name}={text} is not a number")
        raise InputError("address", [problem]) from None


def _seed(options: dict[str, str]) -> int:
    text = options.get("seed", "0")
    if not (text.isascii() and text.isdigit()):
        raise InputError("address", [Problem("address_invalid", f"seed={text} is not a whole number")])
    return int(text)
