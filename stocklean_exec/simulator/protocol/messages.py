"""Layouts of all messages of the simulator except openOrder and completedOrder: one table each.

Importing this module registers the tables; :func:`~stocklean_exec.simulator.protocol.field_layouts.encode` uses
them. Those two are in :mod:`~stocklean_exec.simulator.protocol.order_layouts`.

Pure data. "Captured" in a source means that such a frame is in ``tests/wire``; "documented" means the TWS API
documentation of the request that the message answers; "read by" means that the number and order of fields is what
that public client unpacks.
"""

from __future__ import annotations

from stocklean_exec.simulator.protocol.field_layouts import Layout, between, layout, register, rows, since, until

__all__ = ["LAYOUTS"]

_SPEC = "conId symbol secType lastTrade strike=0.0 right multiplier"
_DOCUMENTED = "documented with its request; read by ib_async and the official client"

_STREAMING = (
    layout(
        "tickPrice",
        1,
        "captured at 200, same since 78",
        "version=6 reqId tickType price:price size:size=0 attributes=0",
    ),
    layout("tickSize", 2, "captured at 200; decimal sizes from 163", "version=6 reqId tickType size:size=0"),
    layout("tickGeneric", 45, _DOCUMENTED, "version=6 reqId tickType value"),
    layout("tickString", 46, _DOCUMENTED, "version=6 reqId tickType value"),
    layout("tickSnapshotEnd", 57, "captured at 200", "version=1 reqId"),
    layout("marketDataType", 58, "captured at 200", "version=1 reqId type=1"),
    layout("tickReqParams", 81, _DOCUMENTED, "reqId minTick:price bboExchange snapshotPermissions=3"),
    layout("pnl", 94, _DOCUMENTED, "reqId daily:double unrealized:double realized:double"),
    layout(
        "pnlSingle",
        95,
        _DOCUMENTED,
        "reqId position:size=0 daily:double unrealized:double realized:double value:double",
    ),
)

_ACCOUNTS = (
    layout("updateAccountValue", 6, _DOCUMENTED, "version=2 key value currency account"),
    layout(
        "updatePortfolio",
        7,
        "read by ib_async and the official client, 20 fields",
        "version=8",
        _SPEC,
        "primaryExchange currency localSymbol tradingClass position:size=0 marketPrice:price=0.0",
        "marketValue:price=0.0 averageCost:price=0.0 unrealizedPNL:price=0.0 realizedPNL:price=0.0 account",
    ),
    layout("updateAccountTime", 8, _DOCUMENTED, "version=1 time"),
    layout("managedAccounts", 15, "captured at 173 and 200", "version=1 accounts"),
    layout("accountDownloadEnd", 54, _DOCUMENTED, "version=1 account"),
    layout(
        "position",
        61,
        "captured at 200; the exchange is empty or the listing exchange",
        "version=3 account",
        _SPEC,
        "exchange currency localSymbol tradingClass position:size=0 avgCost:price=0.0",
    ),
    layout("positionEnd", 62, "captured at 200", "version=1"),
    layout("accountSummary", 63, "captured at 200", "version=1 reqId account tag value currency"),
    layout("accountSummaryEnd", 64, "captured at 200", "version=1 reqId"),
    layout(
        "positionMulti",
        71,
        _DOCUMENTED,
        "version=1 reqId account",
        _SPEC,
        "exchange currency localSymbol tradingClass position:size=0 avgCost:price=0.0 modelCode",
    ),
    layout("positionMultiEnd", 72, _DOCUMENTED, "version=1 reqId"),
    layout("accountUpdateMulti", 73, _DOCUMENTED, "version=1 reqId account modelCode key value currency"),
    layout("accountUpdateMultiEnd", 74, _DOCUMENTED, "version=1 reqId"),
    layout("familyCodes", 78, _DOCUMENTED, rows("families", "account code")),
)

_CONTRACTS = (
    layout(
        "contractDetails",
        10,
        "captured at 200; version field and size multiplier dropped at 164, one size at 163, three from 164",
        until(164, "version=8"),
        "reqId symbol secType lastTrade strike=0 right exchange currency localSymbol marketName tradingClass",
        "conId minTick:price",
        until(164, "mdSizeMultiplier=100"),
        "multiplier orderTypes validExchanges priceMagnifier=1 underConId=0 longName primaryExchange",
        "contractMonth industry category subcategory timeZoneId=US/Eastern tradingHours liquidHours",
        "evRule evMultiplier",
        rows("secIds", "tag value"),
        "aggGroup=1 underSymbol underSecType marketRuleIds realExpirationDate stockType",
        between(163, 164, "sizeMinTick:size=1"),
        since(164, "minSize:size=0.0001 sizeIncrement:size=0.0001 suggestedSizeIncrement:size=100"),
    ),
    layout("contractDetailsEnd", 52, "captured at 200", "version=1 reqId"),
    layout(
        "symbolSamples",
        79,
        "documented, reqMatchingSymbols; description and issuer added at 176",
        "reqId",
        rows(
            "contracts",
            "conId symbol secType primaryExchange currency derivatives=0",
            since(176, "description issuerId"),
        ),
    ),
    layout("marketRule", 93, _DOCUMENTED, "ruleId", rows("increments", "lowEdge:average increment:price")),
    layout(
        "historicalData",
        17,
        "captured at 200, where the two dates have moved to a message of their own (196)",
        "reqId start end",
        rows("bars", "date open:price high:price low:price close:price volume:size wap:price count"),
    ),
    layout("headTimestamp", 88, _DOCUMENTED, "reqId time"),
    layout("optionParametersEnd", 76, _DOCUMENTED, "reqId"),
    layout("depthExchanges", 80, _DOCUMENTED, rows("exchanges", "exchange")),
    layout("smartComponents", 82, _DOCUMENTED, "reqId", rows("components", "bit exchange letter")),
    layout("newsProviders", 85, _DOCUMENTED, rows("providers", "code name")),
    layout("softDollarTiers", 77, _DOCUMENTED, "reqId", rows("tiers", "name value display")),
)

_SESSION = (
    layout(
        "error",
        4,
        "captured at 164 and 173; the reject details came with 166",
        "version=2 reqId=-1 code text",
        since(166, "advancedOrderRejectJson"),
    ),
    layout("nextValidId", 9, "captured at 164, 173 and 200", "version=1 orderId"),
    layout("currentTime", 49, _DOCUMENTED, "version=1 time"),
    layout("userInfo", 107, "documented, reqUserInfo, since 167", "reqId whiteBrandingId"),
)

_ORDERS = (
    layout(
        "orderStatus",
        3,
        "captured at 164, 173 and 176; no version field since 131",
        "orderId status filled:size=0 remaining:size=0 avgFillPrice:average=0 permId=0 parentId=0",
        "lastFillPrice:average=0 clientId=0 whyHeld mktCapPrice:average=0",
    ),
    layout(
        "execDetails",
        11,
        "captured at 164, 173 and 200; the pending price revision came with 178",
        "reqId=-1 orderId",
        _SPEC,
        "exchange currency localSymbol tradingClass execId time account executionExchange side shares:size",
        "price:price permId clientId liquidation=0 cumQty:size avgPrice:price orderRef evRule evMultiplier",
        "modelCode lastLiquidity=0",
        since(178, "pendingPriceRevision=0"),
    ),
    layout("execDetailsEnd", 55, _DOCUMENTED, "version=1 reqId"),
    layout("openOrderEnd", 53, "captured at 200", "version=1"),
    layout(
        "commissionReport",
        59,
        "captured at 164: eight fields, the last one may be empty",
        "version=1 execId commission:price currency realizedPNL:double yield=1.7976931348623157E308",
        "redemption",
    ),
    layout("orderBound", 100, "documented, reqAutoOpenOrders", "permId clientId orderId"),
    layout("completedOrdersEnd", 102, "captured at 200"),
)

LAYOUTS: tuple[Layout, ...] = _STREAMING + _ACCOUNTS + _CONTRACTS + _SESSION + _ORDERS

register(*LAYOUTS)
