"""Which contract a plan trades under each symbol, and holdings in other contracts of that symbol. Pure.

Tables are by symbol, and two listings of one symbol are two contracts. A holding in another contract than the one
that is traded gets a name of its own (:func:`contract_name`), so that it is never netted with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from stocklean_exec.schema.keyed_values import known_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "TradedContracts",
    "contract_name",
    "contract_names",
    "quotes_by_name",
    "traded_contracts",
    "with_contract_quotes",
]


class TradedContracts(NamedTuple):
    """Contract number by symbol, 0 where no holding is in the contract that is traded; and the symbols in doubt.

    ``contested`` says of a symbol why it is not clear which contract is meant.
    """

    by_symbol: dict[str, int]
    contested: dict[str, str]


def traded_contracts(
    wanted: pd.DataFrame, held: pd.DataFrame, quotes: pd.DataFrame | None = None
) -> TradedContracts:
    """Find the contract that is traded under each symbol of ``wanted`` (targets or orders) and ``held``.

    That of the row that wants it, by ``con_id``; else the only contract that is held under the symbol and listed
    at the ``primary_exchange`` of that row, where both are known; else, of several held, the quoted one.

    Examples
    --------
    >>> import pandas as pd
    >>> wanted = pd.DataFrame({"symbol": ["VOD", "SPY"], "con_id": [11, None]})
    >>> held = pd.DataFrame({"symbol": ["VOD", "SPY"], "con_id": [22, 33]})
    >>> traded_contracts(wanted, held).by_symbol
    {'VOD': 11, 'SPY': 33}
    """
    by_symbol = {symbol: int(number) for symbol, number in known_values(wanted, "con_id")}
    listed, quoted = (
        dict(known_values(wanted, "primary_exchange")),
        {} if quotes is None else dict(known_values(quotes, "con_id")),
    )
    contested: dict[str, str] = {}
    numbers = [(symbol, int(number)) for symbol, number in known_values(held, "con_id")]
    if not listed and len(dict(numbers)) == len(numbers):
        return TradedContracts(dict(numbers) | by_symbol, {})
    for symbol, contracts in _held_contracts(held).items():
        if symbol in by_symbol:
            continue
        listing = listed.get(symbol)
        fitting = [number for number, at in contracts.items() if not listing or not at or at == listing]
        if len(fitting) > 1 and quoted.get(symbol) in fitting:
            fitting = [int(quoted[symbol])]
        by_symbol[symbol] = fitting[0] if len(fitting) == 1 else 0
        if len(fitting) > 1:
            names = ", ".join(f"{at or 'contract'} {number}" for number, at in contracts.items())
            contested[symbol] = f"{symbol} is held in several contracts: {names}; give con_id or primary_exchange"
    return TradedContracts(by_symbol, contested)


def _held_contracts(held: pd.DataFrame) -> dict[str, dict[int, str]]:
    """Contract numbers by symbol, each with its primary exchange, empty where that is unknown."""
    found: dict[str, dict[int, str]] = {}
    if "con_id" not in held.columns:
        return found
    held = held[held["con_id"].notna()]
    listed = held["primary_exchange"].tolist() if "primary_exchange" in held.columns else [None] * len(held)
    for symbol, number, at in zip(held["symbol"].tolist(), held["con_id"].tolist(), listed, strict=True):
        found.setdefault(symbol, {})[int(number)] = at if isinstance(at, str) else ""
    return found


def contract_name(symbol: str, con_id: int) -> str:
    """Name of a holding in another contract than the one that is traded under its symbol.

    Examples
    --------
    >>> contract_name("VOD", 456)
    'VOD (456)'
    """
    return f"{symbol} ({con_id})"


def contract_names(frame: pd.DataFrame, traded: Mapping[str, int | None]) -> list[str]:
    """Symbol of each row, and where it is in another contract than the traded one, that contract's own name.

    Examples
    --------
    >>> import pandas as pd
    >>> held = pd.DataFrame({"symbol": ["VOD", "VOD", "SPY"], "con_id": [11, 22, None]})
    >>> contract_names(held, {"VOD": 11, "SPY": 33})
    ['VOD', 'VOD (22)', 'SPY']
    """
    names: list[str] = frame["symbol"].tolist()
    if "con_id" not in frame.columns:
        return names
    numbers = frame["con_id"].tolist()
    for row, known in enumerate(frame["con_id"].notna().tolist()):
        if known and traded.get(names[row], numbers[row]) not in (None, numbers[row]):
            names[row] = contract_name(names[row], int(numbers[row]))
    return names


def quotes_by_name(quotes: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """Quotes of the contracts of ``held``, under the ``name`` of each; those of any other contract are left out.

    A quote without a contract number is that of the traded contract, whose name is its symbol; a holding without
    one takes the quote of its symbol.

    Examples
    --------
    >>> import pandas as pd
    >>> held = pd.DataFrame({"name": ["VOD", "VOD (22)"], "symbol": "VOD", "con_id": [11, 22]})
    >>> quotes_by_name(pd.DataFrame({"symbol": ["VOD"], "con_id": [22], "last": [7.0]}), held)
         symbol  con_id  last
    0  VOD (22)      22   7.0
    """
    rows = zip(held["name"].tolist(), held["symbol"].tolist(), _numbers(held), strict=True)
    places: dict[tuple[str, int | None], int] = {}
    for place, (symbol, number) in enumerate(zip(quotes["symbol"].tolist(), _numbers(quotes), strict=True)):
        places.setdefault((symbol, number), place)
        places.setdefault((symbol, 0), place)  # whatever its number
    chosen: dict[str, int] = {}
    for name, symbol, number in rows:
        found_at = places.get((symbol, number or 0))
        if found_at is None and name == symbol:
            found_at = places.get((symbol, None))
        if found_at is not None:
            chosen[name] = found_at
    found = quotes.iloc[list(chosen.values())].reset_index(drop=True)
    return found.assign(symbol=list(chosen))


def with_contract_quotes(
    quotes: pd.DataFrame, more: pd.DataFrame | None, held: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """Quotes by symbol, and those in ``more`` of holdings in other contracts, under the names of these.

    ``names`` are the :func:`contract_names` of ``held``. What has no quote of its own contract has no row.
    """
    other = [name != symbol for name, symbol in zip(names, held["symbol"].tolist(), strict=True)]
    if more is None or more.empty or not any(other):
        return quotes
    found = quotes_by_name(more, held.assign(name=list(names))[other])
    if found.empty:
        return quotes
    found = found.reindex(columns=quotes.columns).astype(quotes.dtypes.to_dict())
    joined = pd.concat([quotes, found], ignore_index=True) if len(quotes) else found
    joined.attrs = dict(quotes.attrs)
    return joined


def _numbers(frame: pd.DataFrame) -> list[int | None]:
    """Contract number of each row; None where it has none."""
    values = frame["con_id"].tolist() if "con_id" in frame.columns else [None] * len(frame)
    known = frame["con_id"].notna().tolist() if "con_id" in frame.columns else [False] * len(frame)
    return [int(value) if is_known else None for value, is_known in zip(values, known, strict=True)]
