"""Account requests: positions, values, summaries, profit and loss; and the updates after executions.

Values use the last trade, else the mid price, else the close. Totals are in the base currency; the ledger has a
row for each currency that the account holds or has held, and one for all.

After an execution, subscribers of account updates receive the position, its portfolio line and the changed values
of :data:`CORE` and of the ledger. All other changed values, and those of account summaries, are sent every three
minutes of the venue's clock, as TWS does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stocklean_exec.simulator.clock import local_time
from stocklean_exec.simulator.exchange.accounts import (
    BASE,
    CASH,
    INITIAL_MARGIN,
    LEDGER_TAGS,
    MAINTENANCE_MARGIN,
    SUMMARY_TAGS,
)
from stocklean_exec.simulator.protocol.field_layouts import UNSET_DOUBLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stocklean_exec.simulator.exchange.accounts import Account, Position
    from stocklean_exec.simulator.exchange.connection import Connection
    from stocklean_exec.simulator.exchange.contracts import Contract
    from stocklean_exec.simulator.exchange.orders import Order
    from stocklean_exec.simulator.exchange.venue_context import VenueContext
    from stocklean_exec.simulator.protocol.requests import Request

Line = tuple[str, str, str]
"""An account value: tag, value, currency."""

__all__ = ["CORE", "UPDATE_SECONDS", "AccountService"]

CORE = ("NetLiquidation", "TotalCashValue", "AvailableFunds", "BuyingPower", "GrossPositionValue")
"""Totals sent after each execution."""
UPDATE_SECONDS = 180.0
"""Interval of account updates: TWS API documentation, reqAccountUpdates, "every three minutes"."""
_NO_CURRENCY = frozenset({"AccountType", "Cushion", "Leverage", "HighestSeverity", "DayTradesRemaining"})
_ALL_CURRENCIES = "ALL"  # in the tag $LEDGER:ALL; $LEDGER alone is the base currency (reqAccountSummary)
_FIXED = {"AccountType": "INDIVIDUAL", "HighestSeverity": "0", "DayTradesRemaining": "-1"}


class AccountService:
    """Answers account requests of one venue."""

    def __init__(self, context: VenueContext) -> None:
        self._context = context
        self._ledger = context.ledger
        self._missed: dict[tuple[str, int], Contract] = {}
        self._opening = {name: self._net(one) for name, one in self._ledger.accounts.items()}
        context.clock.schedule(UPDATE_SECONDS, self._update_all, work=False)

    def open_account(self, account: Account) -> None:
        """Add an account; its daily profit starts from its current value."""
        self._ledger.open_account(account)
        self._opening[account.name] = self._net(account)

    def _net(self, account: Account) -> float:
        return account.net_liquidation(self._context.prices(), self._context.rates)

    # positions

    def positions(self, session: Connection, _: Request) -> None:
        """ReqPositions: all positions, positionEnd, then every change."""
        session.subs.positions = True
        for account, contract, held in self._held(self._ledger.visible):
            session.send("position", self._position(account, contract, held))
        session.send("positionEnd", {})

    def cancel_positions(self, session: Connection, _: Request) -> None:
        """CancelPositions."""
        session.subs.positions = False

    def positions_multi(self, session: Connection, request: Request) -> None:
        """ReqPositionsMulti."""
        names = self._names(request["account"])
        for account, contract, held in self._held(names):
            values = self._position(account, contract, held) | {"reqId": request.req_id}
            session.send("positionMulti", values)
        session.send("positionMultiEnd", {"reqId": request.req_id})

    def _held(self, names: Iterable[str]) -> Iterator[tuple[str, Contract, Position]]:
        for name in names:
            for con_id, held in self._rows(self._ledger.accounts[name]).items():
                contract = self._context.catalogue.by_id.get(con_id)
                if contract is not None and held.quantity:
                    yield name, contract, held

    def _rows(self, account: Account) -> dict[int, Position]:
        return account.positions | (account.pairs if self._context.switches.cash_positions else {})

    def _names(self, requested: str) -> list[str]:
        if requested in {"", "All"}:
            return list(self._ledger.visible)
        return [name for name in requested.split(",") if name in self._ledger.visible]

    def _position(self, account: str, contract: Contract, held: Position) -> dict[str, Any]:
        return _contract(contract) | {
            "account": account,
            "position": held.quantity,
            "avgCost": held.average_cost,
        }

    # account updates

    def account_updates(self, session: Connection, request: Request) -> None:
        """ReqAccountUpdates: values, portfolio, time, end; one account at a time."""
        subs = session.subs
        if not request["subscribe"]:
            subs.account = ""
            return
        name = request["account"] or self._ledger.visible[0]
        if name not in self._ledger.visible:
            session.error(-1, 321, "Error validating request.-'bl' : cause - Invalid account code")
            return
        if subs.account and subs.account != name:
            session.error(-1, 2100, f"New account data requested from TWS. API client {session.client_id}")
        subs.account = name
        for line in self._all_values(name):
            self._send_value(session, -1, name, line)
        for _, contract, held in self._held([name]):
            session.send("updatePortfolio", self._portfolio(name, contract, held))
        session.send("updateAccountTime", {"time": self._minute()})
        session.send("accountDownloadEnd", {"account": name})

    def updates_multi(self, session: Connection, request: Request) -> None:
        """ReqAccountUpdatesMulti."""
        names = self._names(request["account"])
        if not names:
            text = "Error validating request.-'bl' : cause - Invalid account code"
            session.error(request.req_id, 321, text)
            return
        session.subs.multi[request.req_id] = request["account"]
        for name in names:
            for line in self._all_values(name):
                self._send_value(session, request.req_id, name, line)
        session.send("accountUpdateMultiEnd", {"reqId": request.req_id})

    def cancel_updates_multi(self, session: Connection, request: Request) -> None:
        """CancelAccountUpdatesMulti."""
        session.subs.multi.pop(request.req_id, None)

    def _send_value(self, session: Connection, req_id: int, name: str, line: Line) -> None:
        """Send one value to reqAccountUpdates (-1) or to reqAccountUpdatesMulti."""
        key, value, currency = line
        session.subs.sent[(req_id, name, key, currency)] = value
        values = {"key": key, "value": value, "currency": currency, "account": name}
        if req_id < 0:
            session.send("updateAccountValue", values)
        else:
            session.send("accountUpdateMulti", values | {"reqId": req_id})

    def _all_values(self, name: str) -> Iterator[Line]:
        yield "AccountCode", name, ""
        yield "AccountReady", "true", ""
        yield "AccountType", "INDIVIDUAL", ""
        if self._ledger.accounts[name].kind == CASH:
            yield "TradingType-S", "STKCASH", ""
        yield from self._changing_values(self._ledger.accounts[name])

    def _changing_values(self, account: Account) -> Iterator[Line]:
        for tag, value in self._context.values(account).items():
            if tag not in LEDGER_TAGS:
                yield tag, value, "" if tag in _NO_CURRENCY else account.currency
        yield from self._ledger_rows(account, _ALL_CURRENCIES)

    def _ledger_rows(self, account: Account, wanted: str) -> Iterator[Line]:
        """Rows of the ledger in the wanted currency, or in all; the base currency comes with the row of all."""
        listed = account.currencies()
        if self._context.switches.unheld_rates:
            listed = list(dict.fromkeys((*listed, *self._context.rates)))
        subtotals = account.subtotals(self._context.prices())
        for currency in (*listed, BASE):
            own = account.currency if currency == BASE else currency
            if wanted in {_ALL_CURRENCIES, own}:
                row = account.ledger(currency, subtotals, self._context.rates)
                yield from ((tag, value, currency) for tag, value in row.items())

    def _portfolio(self, name: str, contract: Contract, held: Position) -> dict[str, Any]:
        price = self._context.price_of(contract.key)
        value = round(contract.money(price) * held.quantity, 8)
        return _contract(contract) | {
            "primaryExchange": contract.primary_exchange,
            "position": held.quantity,
            "marketPrice": price,
            "marketValue": value,
            "averageCost": held.average_cost,
            "unrealizedPNL": round(value - held.quantity * held.average_cost, 6),
            "realizedPNL": held.realized,
            "account": name,
        }

    def _minute(self) -> str:
        return f"{local_time(self._context.clock.now(), self._context.switches.time_zone):%H:%M}"

    # summaries

    def summary(self, session: Connection, request: Request) -> None:
        """ReqAccountSummary."""
        tags = tuple(tag.strip() for tag in request["tags"].split(",") if tag.strip())
        names = tuple(self._names(request["group"]))
        if not names or not tags:
            text = "Error validating request.-'ae' : cause - Invalid group or tags"
            session.error(request.req_id, 321, text)
            return
        session.subs.forget(request.req_id)
        session.subs.summaries[request.req_id] = (names, tags)
        for name in names:
            self._send_summary(session, request.req_id, name, tags)
        session.send("accountSummaryEnd", {"reqId": request.req_id})

    def cancel_summary(self, session: Connection, request: Request) -> None:
        """CancelAccountSummary."""
        session.subs.summaries.pop(request.req_id, None)

    def _send_summary(self, session: Connection, req_id: int, name: str, tags: tuple[str, ...]) -> None:
        """Send the values of a summary that it has not sent yet."""
        for tag, value, currency in self._summarised(self._ledger.accounts[name], tags):
            key = (req_id, name, tag, currency)
            if session.subs.sent.get(key) != value:
                session.subs.sent[key] = value
                values = {"reqId": req_id, "account": name, "tag": tag, "value": value, "currency": currency}
                session.send("accountSummary", values)

    def _summarised(self, account: Account, tags: tuple[str, ...]) -> Iterator[Line]:
        values = self._context.values(account) | _FIXED
        known = SUMMARY_TAGS if "All" in tags else tags
        for tag in known:
            if tag in values:
                yield tag, values[tag], "" if tag in _NO_CURRENCY else account.currency
        for requested in tags:
            name, _, currency = requested.partition(":")
            if name == "$LEDGER":
                yield from self._ledger_rows(account, currency.upper() or account.currency)

    # profit

    def pnl(self, session: Connection, request: Request) -> None:
        """ReqPnL: current values, then every change."""
        if request["account"] not in self._ledger.visible:
            session.error(request.req_id, 321, "Error validating request.-'cd' : cause - Invalid account code")
            return
        session.subs.pnl[request.req_id] = request["account"]
        self._send_pnl(session, request.req_id, request["account"])

    def cancel_pnl(self, session: Connection, request: Request) -> None:
        """CancelPnL."""
        session.subs.pnl.pop(request.req_id, None)

    def _send_pnl(self, session: Connection, req_id: int, name: str) -> None:
        account, prices, rates = self._ledger.accounts[name], self._context.prices(), self._context.rates
        daily = self._net(account) - self._opening[name]
        values = {"reqId": req_id, "daily": daily, "unrealized": account.unrealized(prices, rates)}
        session.send("pnl", values | {"realized": account.realized(rates)})

    def pnl_single(self, session: Connection, request: Request) -> None:
        """ReqPnLSingle."""
        if request["account"] not in self._ledger.visible or request["conId"] not in self._context.catalogue.by_id:
            session.error(request.req_id, 321, "Error validating request.-'ce' : cause - Invalid account or conid")
            return
        session.subs.pnl_single[request.req_id] = (request["account"], request["conId"])
        self._send_single(session, request.req_id, request["account"], request["conId"])

    def cancel_pnl_single(self, session: Connection, request: Request) -> None:
        """CancelPnLSingle."""
        session.subs.pnl_single.pop(request.req_id, None)

    def _send_single(self, session: Connection, req_id: int, name: str, con_id: int) -> None:
        contract = self._context.catalogue.by_id[con_id]
        held = self._ledger.accounts[name].positions.get(con_id)
        if held is None:
            session.send("pnlSingle", {"reqId": req_id, "daily": 0.0, "unrealized": math.nan, "value": 0.0})
            return
        line = self._portfolio(name, contract, held)
        profit = {
            "unrealized": line["unrealizedPNL"],
            "realized": held.realized,
            "value": line["marketValue"],
        }
        daily = line["unrealizedPNL"] + held.realized
        session.send("pnlSingle", {"reqId": req_id, "position": held.quantity, "daily": daily} | profit)

    # updates after executions

    def changed(self, name: str, contract: Contract, *, more: bool = False) -> None:
        """Send a changed position; ``more``: account values wait for the execution that follows."""
        held = self._rows(self._ledger.accounts[name]).get(contract.con_id)
        if held is None and not contract.is_pair:
            return
        if not self._context.link:
            self._missed[(name, contract.con_id)] = contract
            return
        for session in list(self._context.sessions.values()):
            if session.subs.positions and held is not None:
                session.send("position", self._position(name, contract, held))
            if not more and self._context.switches.account_updates:
                self._update(session, name, contract, held)

    def catch_up(self, *, deliver: bool) -> None:
        """The link to IB is restored: send the changes made meanwhile, or discard them."""
        missed, self._missed = self._missed, {}
        for (name, _), contract in missed.items() if deliver else ():
            self.changed(name, contract)

    def _update(self, session: Connection, name: str, contract: Contract, held: Position | None) -> None:
        subs = session.subs
        if subs.account == name and held is not None:
            session.send("updatePortfolio", self._portfolio(name, contract, held))
        self._send_changes(session, name, CORE)
        for req_id, account in subs.pnl.items():
            if account == name:
                self._send_pnl(session, req_id, name)
        for req_id, key in subs.pnl_single.items():
            if key == (name, contract.con_id):
                self._send_single(session, req_id, *key)

    def _update_all(self) -> None:
        """Send the values that changed since the last periodic update."""
        for session in list(self._context.sessions.values()):
            for name in self._ledger.accounts if self._context.link else ():
                self._send_changes(session, name)
            for req_id, (names, tags) in session.subs.summaries.items() if self._context.link else ():
                for name in names:
                    self._send_summary(session, req_id, name, tags)
        self._context.clock.schedule(UPDATE_SECONDS, self._update_all, work=False)

    def _send_changes(self, session: Connection, name: str, tags: tuple[str, ...] | None = None) -> None:
        subs = session.subs
        listeners = [-1] if subs.account == name else []
        listeners += [req_id for req_id, requested in subs.multi.items() if name in self._names(requested)]
        if not listeners:
            return
        lines = list(self._changing_values(self._ledger.accounts[name]))
        for req_id in listeners:
            for tag, value, currency in lines:
                wanted = tags is None or tag in tags or tag in LEDGER_TAGS
                if wanted and subs.sent.get((req_id, name, tag, currency)) != value:
                    self._send_value(session, req_id, name, (tag, value, currency))
        if subs.account == name:
            session.send("updateAccountTime", {"time": self._minute()})

    def margins(self, order: Order, price: float, commission: float) -> dict[str, str]:
        """Effect of a what-if order on the margins of its account, as texts of openOrder.

        ``price`` is what positions are valued at. The equity with loan falls by ``commission`` (in the currency of
        the contract, that of a pair in the base currency). A cash account has no margin: its equity is its settled
        cash, which a purchase takes, and a sale adds to once it has settled. A currency pair has no margin here.
        """
        account, contract = self._ledger.accounts[order.account], order.contract
        values = self._context.values(account)
        rate = 1.0 if contract.is_pair else self._context.rates[contract.currency]
        held = account.positions.get(contract.con_id)
        before = held.quantity if held else 0.0
        signed = order.request.quantity if order.request.side == "BUY" else -order.request.quantity
        is_cash = account.kind == CASH
        margin = 0.0 if is_cash or contract.is_pair else (abs(before + signed) - abs(before)) * price
        settles = signed > 0 or not self._ledger.settlement_days
        paid = signed * price if is_cash and settles and not contract.is_pair else 0.0
        effects = {
            "initMargin": ("InitMarginReq", margin * rate * INITIAL_MARGIN),
            "maintMargin": ("MaintMarginReq", margin * rate * MAINTENANCE_MARGIN),
            "equityWithLoan": ("EquityWithLoanValue", -(paid + commission) * rate),
        }
        texts: dict[str, str] = {}
        for name, (tag, change) in effects.items():
            amount = float(values[tag])
            texts |= {f"{name}Before": _cents(amount), f"{name}Change": _cents(change)}
            texts[f"{name}After"] = _cents(amount + change)
        return texts


def _cents(amount: float) -> str:
    return repr(round(amount, 2) + 0.0) if math.isfinite(amount) else UNSET_DOUBLE


def _contract(contract: Contract) -> dict[str, Any]:
    return {
        "conId": contract.con_id,
        "symbol": contract.symbol,
        "secType": contract.sec_type,
        "currency": contract.currency,
        "localSymbol": contract.local_symbol,
        "tradingClass": contract.trading_class,
    }
