"""Terms of an order, checked against each other; the tables are those of IB's documents, written out by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.errors import InputError
from stocklean_exec.portfolio.planner import plan_orders
from stocklean_exec.schema.frame_validator import input_warnings
from stocklean_exec.schema.inputs import parse_quotes, parse_targets
from stocklean_exec.schema.order_input import parse_orders
from stocklean_exec.schema.order_terms import (
    ORDER_TYPES,
    TIFS,
    OrderTerms,
    algo_tags,
    has_terms,
    offset_limits,
    permission_problem,
    reference_prices,
    term_problems,
    terms_of,
    tws_time,
)
from stocklean_exec.schema.tables import TABLES

NAN = math.nan
NOW = pd.Timestamp("2026-11-23 14:30", tz="UTC")
LATER = pd.Timestamp("2026-11-24 21:00", tz="UTC")
NEEDED = {"STP": 60.0, "STP LMT": 60.0, "TRAIL": 1.0, "REL": 0.0}
LIMITED = {"LMT": 49.0, "LOC": 49.0, "STP LMT": 61.0}


def orders(**terms):
    """An order with these terms, and a plain one."""
    columns = {"run_id": "r", "symbol": ["AAA", "BBB"], "side": "BUY", "quantity": 10.0}
    given = {"order_type": "MKT", "decision_price": 50.0, "decided_at": NOW} | terms
    pairs = {name: pd.Series([value, None], dtype="object") for name, value in given.items()}
    return pd.DataFrame(columns | pairs | {"order_type": [given["order_type"], "MKT"]})


def reason(**terms):
    frame = parse_orders(orders(**terms))
    assert frame["status"].tolist()[1] == "NEW"
    return frame["reason"].tolist()[0] if frame["status"].tolist()[0] == "REJECTED" else None


def usable(kind, **terms):
    """Terms of a type with all that it needs."""
    return {"order_type": kind, "aux_price": NEEDED.get(kind), "limit_price": LIMITED.get(kind)} | terms


def test_only_the_columns_of_terms_that_are_named_are_looked_at():
    frame = pd.DataFrame({"aux_price": [60.0, NAN, NAN], "good_till": [None, LATER, None], "outside_rth": False})
    assert has_terms(frame).tolist() == [True, True, False]
    assert has_terms(frame, ["good_till", "algo"]).tolist() == [False, True, False]
    assert has_terms(frame, []).tolist() == [False] * 3


# -- what goes with what ------------------------------------------------------------------------------------

ACCEPTED = {
    "MKT": "DAY GTC OPG",
    "LMT": "DAY GTC IOC FOK OPG GTD",
    "MOC": "DAY",
    "LOC": "DAY",
    "MIDPRICE": "DAY",
    "REL": "DAY",
    "STP": "DAY GTC",
    "STP LMT": "DAY GTC",
    "TRAIL": "DAY GTC",
}


@pytest.mark.parametrize("kind", ORDER_TYPES)
@pytest.mark.parametrize("tif", TIFS)
def test_each_type_has_the_times_in_force_that_are_known_to_be_taken(kind, tif):
    until = LATER if tif == "GTD" else None
    wanted = None if tif in ACCEPTED[kind].split() else "tif_not_allowed"
    assert reason(**usable(kind, tif=tif, good_till=until)) == wanted


@pytest.mark.parametrize("kind", ["STP", "STP LMT", "TRAIL", "REL"])
def test_these_types_need_an_auxiliary_price(kind):
    assert reason(**usable(kind, aux_price=None)) == "aux_price_missing"


@pytest.mark.parametrize("kind", ["MKT", "LMT", "MOC", "LOC", "MIDPRICE"])
def test_the_others_have_no_use_for_one(kind):
    assert reason(**usable(kind, aux_price=1.0)) == "aux_price_not_used"


@pytest.mark.parametrize(("kind", "price"), [("STP", 0.0), ("TRAIL", -1.0), ("REL", -0.01), ("STP", math.inf)])
def test_an_auxiliary_price_is_above_zero_or_a_zero_offset(kind, price):
    assert reason(**usable(kind, aux_price=price)) == "aux_price_invalid"


@pytest.mark.parametrize("kind", ["LMT", "LOC", "STP LMT"])
def test_these_types_need_a_limit(kind):
    assert reason(**usable(kind, limit_price=None)) == "limit_missing"


@pytest.mark.parametrize("kind", ["MKT", "MOC", "STP", "TRAIL"])
def test_these_types_cannot_have_a_limit(kind):
    assert reason(**usable(kind, limit_price=50.0)) == "limit_on_market"


@pytest.mark.parametrize("kind", ["MIDPRICE", "REL"])
def test_these_types_may_have_a_cap_on_a_tick(kind):
    assert reason(**usable(kind, limit_price=50.0)) is None
    assert reason(**usable(kind, limit_price=50.001)) == "off_tick"
    assert reason(**usable(kind, limit_price=-1.0)) == "limit_missing"


@pytest.mark.parametrize("kind", ["STP", "STP LMT"])
def test_a_trigger_is_on_a_tick_and_an_amount_need_not_be(kind):
    assert reason(**usable(kind, aux_price=60.001)) == "off_tick"
    assert reason(**usable("TRAIL", aux_price=0.125)) is None


@pytest.mark.parametrize(
    ("side", "trigger", "warned"),
    [("BUY", 60.0, False), ("BUY", 50.0, True), ("SELL", 40.0, False), ("SELL", 50.0, True)],
)
def test_a_trigger_that_the_market_has_passed_is_a_warning(side, trigger, warned):
    frame = parse_orders(orders(order_type="STP", aux_price=trigger).assign(side=side))
    assert frame["status"].tolist() == ["NEW", "NEW"]
    assert input_warnings(frame)["code"].tolist() == (["stop_triggered"] if warned else [])


# -- times and hours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"tif": "GTD"}, "good_till_missing"),
        ({"tif": "GTD", "good_till": NOW}, "good_till_past"),
        ({"tif": "GTD", "good_till": NOW + pd.Timedelta("1s")}, None),
        ({"tif": "GTD", "good_till": LATER, "good_after": LATER}, "good_till_past"),
        ({"tif": "DAY", "good_till": LATER}, "good_till_not_used"),
        ({"tif": "GTC", "good_after": LATER}, None),
        ({"tif": "OPG", "good_after": LATER}, "good_after_not_allowed"),
        ({"tif": "IOC", "good_after": LATER}, "good_after_not_allowed"),
    ],
)
def test_times_go_with_the_time_in_force(terms, code):
    assert reason(order_type="LMT", limit_price=49.0, **terms) == code


def test_an_order_for_the_close_cannot_start_later():
    assert reason(order_type="MOC", good_after=NOW) == "good_after_not_allowed"


def test_without_a_time_of_decision_a_good_till_is_not_checked():
    terms = {"order_type": "LMT", "limit_price": 49.0, "tif": "GTD", "good_till": NOW}
    assert reason(**terms, decided_at=None) is None


@pytest.mark.parametrize("name", ["good_till", "good_after"])
def test_a_time_needs_its_zone(name):
    with pytest.raises(InputError) as caught:
        parse_orders(orders(**{name: "2026-11-24 16:00"}))
    assert caught.value.codes == ("naive_time",)
    found = parse_orders(orders(order_type="LMT", limit_price=49.0, tif="GTD", good_till="2026-11-24T16:00-05:00"))
    assert found["good_till"].tolist()[0] == LATER


@pytest.mark.parametrize("name", ["good_till", "good_after"])
def test_a_column_of_missing_times_alone_needs_no_zone(name):
    found = parse_orders(orders().assign(**{name: pd.NaT}))  # pandas makes times without a zone of it
    pd.testing.assert_frame_equal(found, parse_orders(orders()))
    targets = pd.DataFrame({"symbol": ["AAA"], "weight": [0.5]})
    pd.testing.assert_frame_equal(parse_targets(targets.assign(**{name: pd.NaT})), parse_targets(targets))


@pytest.mark.parametrize(
    ("kind", "tif"),
    [
        ("MOC", "DAY"),
        ("LOC", "DAY"),
        ("MIDPRICE", "DAY"),
        ("MKT", "OPG"),
        ("LMT", "IOC"),
        ("LMT", "FOK"),
        ("LMT", "OPG"),
    ],
)
def test_these_orders_trade_in_regular_hours_only(kind, tif):
    assert reason(**usable(kind, tif=tif, outside_rth=True)) == "outside_rth_not_allowed"


@pytest.mark.parametrize(("kind", "tif"), [("LMT", "DAY"), ("LMT", "GTC"), ("STP LMT", "GTC")])
def test_these_orders_may_trade_outside_of_them(kind, tif):
    assert reason(**usable(kind, tif=tif, outside_rth=True)) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [(True, True), ("false", False), ("True", True), (1, True), (0.0, False), (None, False), ("", False)],
)
def test_outside_rth_is_read_as_it_is_written(written, read):
    frame = parse_orders(orders(order_type="LMT", limit_price=49.0, outside_rth=written))
    assert frame["outside_rth"].tolist() == [read, False]


@pytest.mark.parametrize("empty", [None, NAN, pd.NA, ""])
def test_a_column_without_values_is_as_if_it_were_not_there(empty):
    names = ["outside_rth", "algo", "algo_params", "good_till", "aux_price", "limit_reference"]
    names = names if empty is None or pd.isna(empty) else ["outside_rth", "algo", "algo_params"]
    frame = orders().assign(**dict.fromkeys(names, empty))
    assert parse_orders(frame)[names].equals(parse_orders(orders())[names])


def test_what_is_neither_true_nor_false_is_an_error():
    with pytest.raises(InputError) as caught:
        parse_orders(orders(outside_rth="maybe"))
    assert caught.value.codes == ("outside_rth_dtype",)


@pytest.mark.parametrize(("price", "expected"), [(98.0, None), (97.99, "limit_given_twice"), (102.0, None)])
def test_a_limit_that_its_offset_makes_may_differ_by_a_tick_of_two_hundredths(price, expected):
    terms = {"limit_offset_bps": 0.0, "limit_reference": "mid", "limit_reference_price": price}
    assert reason(order_type="LMT", limit_price=100.0, **terms) == expected


# -- algorithms ---------------------------------------------------------------------------------------------

WORKING = [
    ("Adaptive", {"adaptivePriority": "urgent"}, [("adaptivePriority", "Urgent")]),
    ("Twap", {}, []),
    (
        "Twap",
        {"strategyType": "Matching Midpoint", "startTime": "20261123-15:00:00", "allowPastEndTime": True},
        [("strategyType", "Matching Midpoint"), ("startTime", "20261123-15:00:00"), ("allowPastEndTime", "1")],
    ),
    (
        "Vwap",
        {"noTakeLiq": 0, "maxPctVol": 0.2, "endTime": "15:30:00 US/Eastern", "speedUp": "true"},
        [("maxPctVol", "0.2"), ("endTime", "15:30:00 US/Eastern"), ("noTakeLiq", "0"), ("speedUp", "1")],
    ),
    (
        "ArrivalPx",
        {"maxPctVol": "0.10", "riskAversion": "get done", "forceCompletion": False},
        [("maxPctVol", "0.1"), ("riskAversion", "Get Done"), ("forceCompletion", "0")],
    ),
    ("PctVol", {"pctVol": 0.5}, [("pctVol", "0.5")]),
    (
        "ClosePx",
        {"maxPctVol": 0.1, "riskAversion": "Neutral", "startTime": "20261123 15:00:00 America/New_York"},
        [("maxPctVol", "0.1"), ("riskAversion", "Neutral"), ("startTime", "20261123 15:00:00 America/New_York")],
    ),
]


@pytest.mark.parametrize(("algo", "params", "tags"), WORKING)
@pytest.mark.parametrize("as_text", [False, True])
def test_parameters_go_out_as_ib_writes_them(algo, params, tags, as_text):
    frame = parse_orders(orders(algo=algo.lower(), algo_params=json.dumps(params) if as_text else params))
    assert (frame["status"].tolist()[0], frame["algo"].tolist()[0]) == ("NEW", algo)
    text = frame["algo_params"].tolist()[0]
    assert algo_tags(algo, None if pd.isna(text) else text) == tags


@pytest.mark.parametrize(
    ("algo", "params"),
    [
        ("Adaptive", {}),
        ("Adaptive", {"adaptivePriority": "Critical"}),
        ("Adaptive", {"priority": "Urgent"}),
        ("PctVol", {}),
        ("PctVol", {"pctVol": 0.05}),
        ("PctVol", {"pctVol": 20}),
        ("PctVol", {"pctVol": True}),
        ("Vwap", {"maxPctVol": "ten"}),
        ("Vwap", {"maxPctVol": 0.51}),
        ("Vwap", {"noTakeLiq": 2}),
        ("Vwap", {"startTime": "15:30"}),
        ("Vwap", {"startTime": "15:30:00 US/Nowhere"}),
        ("Vwap", {"startTime": "25:30:00 US/Eastern"}),
        ("Vwap", {"startTime": 153000}),
        ("ClosePx", {"endTime": "15:30:00 US/Eastern"}),
        ("ArrivalPx", {"riskAversion": "Reckless"}),
        ("Twap", "maxPctVol=0.1"),
        ("Twap", "[1, 2]"),
    ],
)
def test_other_parameters_reject_the_order(algo, params):
    assert reason(algo=algo, algo_params=params) == "algo_params_invalid"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"algo": "Iceberg"}, "algo_unknown"),
        ({"algo_params": {"maxPctVol": 0.1}}, "algo_missing"),
        (usable("MOC", algo="Twap"), "algo_not_allowed"),
        (usable("STP", algo="Twap"), "algo_not_allowed"),
        ({"order_type": "LMT", "limit_price": 49.0, "tif": "GTC", "algo": "Twap"}, "tif_not_allowed"),
        ({"order_type": "LMT", "limit_price": 49.0, "tif": "OPG", "algo": "Twap"}, "tif_not_allowed"),
        ({"order_type": "LMT", "limit_price": 49.0, "algo": "Twap"}, None),
        ({"algo": "Twap", "outside_rth": True}, "outside_rth_not_allowed"),
        ({"algo": "Twap", "good_after": LATER}, "good_after_not_allowed"),
    ],
)
def test_an_algorithm_works_day_orders_at_the_market_or_a_limit(terms, code):
    assert reason(**terms) == code


def test_parameters_that_are_equal_are_written_equally():
    one, two = (
        parse_orders(orders(algo="Vwap", algo_params=given))["algo_params"].tolist()[0]
        for given in ({"noTakeLiq": 1, "maxPctVol": np.float64(0.1)}, '{"maxPctVol": 0.1, "noTakeLiq": 1}')
    )
    assert one == two == '{"maxPctVol": 0.1, "noTakeLiq": 1}'


def test_a_time_as_a_timestamp_goes_out_in_utc():
    start = pd.Timestamp("2026-11-23 10:00", tz="America/New_York")
    text = parse_orders(orders(algo="Vwap", algo_params={"startTime": start}))["algo_params"].tolist()[0]
    assert algo_tags("Vwap", text) == [("startTime", "20261123-15:00:00")]
    assert tws_time(LATER) == "20261124-21:00:00"


def test_tags_of_what_was_not_validated_are_an_error():
    with pytest.raises(ValueError, match="not known"):
        algo_tags("Iceberg", None)
    with pytest.raises(ValueError, match="adaptivePriority"):
        algo_tags("Adaptive", "{}")


# -- columns that are terms and are not read ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "right"),
    [
        ("goodTillDate", "good_till"),
        ("good_til", "good_till"),
        ("goodAfterTime", "good_after"),
        ("algo_strategy", "algo"),
        ("algoParams", "algo_params"),
        ("aux", "aux_price"),
        ("auxPrice", "aux_price"),
        ("stop_price", "aux_price"),
        ("lmtPrice", "limit_price"),
        ("limit_prise", "limit_price"),
        ("TIF", "tif"),
        ("outsideRth", "outside_rth"),
        ("trail_percent", None),
        ("trailingPercent", None),
        ("ocaGroup", None),
        ("display_size", None),
        ("hidden", None),
        ("percentOffset", None),
        ("ordtyp", "order_type"),  # ordtype has seven letters, the fewest of which a name is compared
    ],
)
def test_a_column_that_is_a_term_and_is_not_read_is_an_error(column, right):
    for read in (
        lambda: parse_orders(orders(**{column: 1.0})),
        lambda: parse_targets(pd.DataFrame({"symbol": ["A"], "weight": 1.0, column: 1.0})),
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert caught.value.codes == ("order_term_unread",)
        assert right is None or f"{right!r}" in str(caught.value)


@pytest.mark.parametrize(
    "column", ["sector", "alpha", "volatility", "max_price", "limits", "note", "reference_price"]
)
def test_other_columns_are_carried_along(column):
    assert parse_orders(orders(**{column: "x"}))[column].tolist()[0] == "x"


def test_no_column_of_this_package_is_taken_for_a_term_that_is_not_read():
    own = {name for table in TABLES.values() for name in table.names} - {"symbol", "weight"}
    own |= {
        "lot_size",
        "tick_size",
        "verdict",
        "reasons",
        "checks",
        "limits",
        "approved",
        "state",
        "leg",
        "detail",
    }
    kept = [name for name in sorted(own) if name not in orders().columns]
    terms = {"limit_offset_bps", "limit_reference", "aux_price", "good_till", "good_after", "outside_rth"}
    frame = orders().assign(**dict.fromkeys(set(kept) - terms - {"status", "con_id"}))
    parse_orders(frame)


# -- limits by offset ---------------------------------------------------------------------------------------

QUOTES = pd.DataFrame({"symbol": ["AAA"], "bid": 49.9, "ask": 50.2, "last": 50.0, "close": 48.0, "quoted_at": NOW})


@pytest.mark.parametrize(
    ("weight", "reference", "offset", "limit", "counted_from"),
    [
        (0.5, None, 10, 50.10, 50.05),  # 50.05 x 1.001 = 50.10005
        (0.5, "mid", 10, 50.10, 50.05),
        (0.5, "near", 0, 49.90, 49.9),
        (0.5, "far", 4, 50.22, 50.2),  # 50.22008, a buy's tick is below
        (0.5, "last", -10, 49.95, 50.0),
        (-0.5, "near", 0, 50.20, 50.2),
        (-0.5, "far", 4, 49.89, 49.9),  # 49.88004, a sell's tick is above
        (-0.5, "last", -10, 50.05, 50.0),
    ],
)
def test_a_plan_makes_the_limit_from_the_quote(weight, reference, offset, limit, counted_from):
    columns = {"order_type": "LMT", "limit_offset_bps": offset, "limit_reference": reference}
    wanted = pd.DataFrame({"symbol": ["AAA"], "weight": weight} | columns)
    planned = plan_orders(wanted, None, QUOTES, nav=10_000, run_id="r", allow_short=True)
    row = planned.iloc[0]
    assert (row["status"], row["limit_price"]) == ("NEW", limit)
    assert row["limit_reference_price"] == pytest.approx(counted_from)
    assert parse_orders(planned)["status"].tolist() == ["NEW"]  # its limit is the one that the offset makes
    changed = parse_orders(planned.assign(limit_price=limit * 1.1))
    assert changed["status"].tolist() == ["REJECTED"]


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"limit_offset_bps": 5, "limit_price": 50.0}, "limit_given_twice"),
        ({"limit_offset_bps": 5, "limit_reference": "open"}, "limit_reference_invalid"),
        ({"limit_reference": "mid", "limit_price": 50.0}, "limit_offset_missing"),
        ({"limit_offset_bps": -20_000}, "limit_missing"),
        ({"limit_offset_bps": 5, "limit_reference": "near"}, "limit_missing"),  # there is no bid
    ],
)
def test_a_limit_is_given_once_and_from_a_known_price(columns, code):
    wanted = pd.DataFrame({"symbol": ["AAA"], "weight": 0.5, "order_type": "LMT"} | columns)
    planned = plan_orders(wanted, None, QUOTES.assign(bid=NAN), nav=10_000, run_id="r")
    assert planned[["status", "reason"]].to_numpy().tolist() == [["REJECTED", code]]


def test_orders_by_hand_get_their_limit_from_given_quotes():
    frame = orders(order_type="LMT", limit_offset_bps=0.0, limit_reference="far")
    assert parse_orders(frame)["reason"].tolist()[0] == "limit_missing"
    row = parse_orders(frame, parse_quotes(QUOTES)).iloc[0]
    assert (row["status"], row["limit_price"], row["limit_reference_price"]) == ("NEW", 50.2, 50.2)


def test_an_offset_beside_a_limit_by_hand_is_refused():
    assert reason(order_type="LMT", limit_offset_bps=5.0, limit_price=50.0) == "limit_given_twice"
    assert reason(limit_offset_bps=5.0) == "limit_on_market"


def test_a_crossed_quote_has_no_touch_to_count_from():
    quote = {"bid": np.array([51.0]), "ask": np.array([50.0]), "last": np.array([50.5])}
    for kind, price in (("mid", NAN), ("near", NAN), ("far", NAN), ("last", 50.5)):
        found = reference_prices([kind], np.array([True]), quote, np.array([50.0]))
        np.testing.assert_array_equal(found, [price])


def test_without_ticks_the_limit_is_not_rounded():
    assert offset_limits(np.array([100.0]), np.array([1.5]), np.array([True])) == pytest.approx([100.015])


# -- what a contract takes ----------------------------------------------------------------------------------

# Of the list of AAPL on SMART that was captured from a gateway.
CAPTURED = (
    *("ALGO", "DAY", "GAT", "GTC", "GTD", "IOC", "LMT", "LOC"),
    *("MIDPX", "MKT", "MOC", "OPG", "REL", "STP", "STPLMT", "TRAIL"),
)


@pytest.mark.parametrize("kind", ORDER_TYPES)
def test_the_captured_list_of_a_stock_takes_every_type_and_a_warrant_not_all(kind):
    assert permission_problem(kind, "DAY", CAPTURED) == ""
    assert permission_problem("LMT", "DAY", ["LMT"]) == ""  # it starts at once, and has no algorithm
    assert permission_problem(kind, "DAY", []) == ""  # not known
    without = [word for word in CAPTURED if word not in ("MIDPX", "STPLMT")]
    assert bool(permission_problem(kind, "DAY", without)) == (kind in ("MIDPRICE", "STP LMT"))


@pytest.mark.parametrize(
    ("tif", "terms", "missing"),
    [
        ("FOK", {}, "FOK"),
        ("IOC", {}, None),
        ("OPG", {}, None),
        ("GTD", {"starts_later": True}, None),
        ("DAY", {"has_algo": True}, None),
    ],
)
def test_times_in_force_and_algorithms_are_on_the_list_too(tif, terms, missing):
    assert (missing in permission_problem("LMT", tif, CAPTURED, **terms)) if missing else True
    assert bool(permission_problem("LMT", tif, CAPTURED, **terms)) == bool(missing)
    assert (tif == "DAY" and not terms) or permission_problem("LMT", tif, ["LMT"], **terms)


def test_a_check_rejects_what_the_quotes_say_is_not_taken():
    quotes = pd.DataFrame(
        {"symbol": ["AAA", "BBB"], "last": [50.0, 20.0], "quoted_at": NOW, "order_types": ["MKT LMT", None]}
    )
    frame = orders(order_type="MOC")
    frame.loc[1, "order_type"] = "LOC"
    frame.loc[1, "limit_price"] = 20.0
    read = parse_orders(frame, parse_quotes(quotes))
    assert read["status"].tolist() == ["REJECTED", "NEW"]
    assert read["reason"].tolist()[0] == "order_type_not_permitted"
    assert "MOC" in read["detail"].tolist()[0]


# -- what a plan carries ------------------------------------------------------------------------------------


def test_terms_of_targets_are_terms_of_their_orders():
    wanted = pd.DataFrame(
        {
            "symbol": ["AAA", "BBB", "CCC"],
            "weight": 0.2,
            "order_type": ["STP", "LMT", "MKT"],
            "aux_price": [60.001, NAN, NAN],
            "limit_price": [NAN, 20.0, NAN],
            "tif": ["GTC", "GTD", "DAY"],
            "good_till": [None, LATER, None],
            "outside_rth": [False, True, False],
            "algo": [None, None, "Adaptive"],
            "algo_params": [None, None, {"adaptivePriority": "Patient"}],
        }
    )
    planned = plan_orders(
        wanted, None, {"AAA": 50.0, "BBB": 20.0, "CCC": 10.0}, nav=10_000, run_id="r", decided_at=NOW
    ).set_index("symbol")
    assert planned["status"].tolist() == ["NEW"] * 3
    assert planned["aux_price"].fillna(0.0).to_dict() == {"AAA": 60.01, "BBB": 0.0, "CCC": 0.0}  # no earlier
    assert planned["tif"].to_dict() == {"AAA": "GTC", "BBB": "GTD", "CCC": "DAY"}
    assert planned.loc["BBB", "good_till"] == LATER
    assert planned["outside_rth"].tolist() == [False, True, False]
    assert planned.loc["CCC", ["algo", "algo_params"]].tolist() == ["Adaptive", '{"adaptivePriority": "Patient"}']


def test_a_holding_that_is_closed_has_no_terms_of_the_targets():
    wanted = pd.DataFrame({"symbol": ["AAA"], "weight": 0.5, "algo": "Twap"})
    planned = plan_orders(
        wanted, {"BBB": 10}, {"AAA": 50.0, "BBB": 20.0}, nav=10_000, run_id="r", unlisted="close"
    )
    assert planned.set_index("symbol")["algo"].fillna("").to_dict() == {"BBB": "", "AAA": "Twap"}


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"order_type": "STP"}, "aux_price_missing"),
        ({"order_type": "MOC", "tif": "GTC"}, "tif_not_allowed"),
        ({"order_type": "MOC", "limit_price": 50.0}, "limit_on_market"),
        ({"algo": "Adaptive"}, "algo_params_invalid"),
        ({"order_type": "LMT", "limit_price": 50.0, "tif": "GTD"}, "good_till_missing"),
        ({"outside_rth": True, "tif": "OPG"}, "outside_rth_not_allowed"),
    ],
)
def test_a_target_whose_terms_contradict_each_other_is_a_rejected_row(columns, code):
    wanted = pd.DataFrame({"symbol": ["AAA"], "weight": 0.5} | columns)
    planned = plan_orders(wanted, None, {"AAA": 50.0}, nav=10_000, run_id="r", decided_at=NOW)
    assert planned[["status", "reason"]].to_numpy().tolist() == [["REJECTED", code]]


def test_terms_of_a_row_without_values_are_the_defaults():
    row = {"aux_price": NAN, "good_till": pd.NaT, "algo": None, "algo_params": "", "outside_rth": False}
    assert terms_of(row) == terms_of({})
    assert list(term_problems("MKT", NAN, "DAY", "BUY", OrderTerms())) == []


def test_a_cap_that_cannot_be_computed_is_missing_and_not_left_out():
    columns = {"symbol": ["SPY", "TLT", "KO"], "order_type": ["REL", "MIDPRICE", "LMT"]}
    terms = pd.DataFrame(columns).assign(aux_price=[0.01, NAN, NAN], limit_offset_bps=5.0, limit_reference="far")
    orders = terms.assign(run_id="r", side="BUY", quantity=10.0)
    when = pd.Timestamp("2026-11-23 15:00", tz="UTC")
    quotes = pd.DataFrame({"symbol": columns["symbol"], "last": 50.0, "quoted_at": when})  # no far side
    plan = sx.plan_orders(terms.assign(weight=0.1), None, quotes, nav=1e5, run_id="r")
    checked = sx.check_orders(orders, sx.Limits(max_adv_ratio=None), quotes=quotes, cash=1e6)
    for frame in (parse_orders(orders), plan, checked):
        assert frame["reason"].tolist() == ["limit_missing"] * 3
    both = quotes.assign(bid=49.0, ask=51.0)
    plan = sx.plan_orders(terms.assign(weight=0.1), None, both, nav=1e5, run_id="r")
    assert plan[["status", "limit_price"]].drop_duplicates().to_numpy().tolist() == [["NEW", 51.02]]  # 51.0255
