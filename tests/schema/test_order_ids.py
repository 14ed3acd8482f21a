"""Client order ids and fingerprints."""

import re
from hashlib import sha256

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stocklean_exec.schema.order_ids import (
    MAX_LENGTH,
    are_valid_client_order_ids,
    client_order_id,
    client_order_ids,
    is_valid_client_order_id,
    is_valid_run_id,
    payload_hashes,
    plan_hash,
)

runs = st.from_regex(r"[A-Za-z0-9._-]{1,60}", fullmatch=True)
symbols = st.from_regex(r"[A-Z0-9][A-Z0-9 .\-/]{0,31}", fullmatch=True)
plain_symbols = st.from_regex(r"[A-Z0-9][A-Z0-9.]{0,11}", fullmatch=True)  # none with a "-", which also separates
sides = st.sampled_from(["BUY", "SELL"])


def steadily(examples):
    return settings(deadline=None, derandomize=True, max_examples=examples)


def test_an_id_is_run_symbol_and_side():
    assert client_order_id("run-1", "SPY", "BUY") == "run-1-SPY-BUY"


def test_a_later_order_of_the_same_symbol_and_side_is_numbered():
    assert [client_order_id("r", "SPY", "SELL", n) for n in (1, 2, 3)] == [
        "r-SPY-SELL",
        "r-SPY-SELL-2",
        "r-SPY-SELL-3",
    ]


@pytest.mark.parametrize(("symbol", "written"), [("BRK B", "BRK_B"), ("BF/B", "BF_B"), ("A.B-C", "A.B-C")])
def test_unsafe_characters_of_a_symbol_become_underscores(symbol, written):
    assert client_order_id("r", symbol, "BUY") == f"r-{written}-BUY"


def test_forty_characters_stay_and_forty_one_end_in_a_hash():
    run = "r" * (40 - len("-SPY-BUY"))
    assert client_order_id(run, "SPY", "BUY") == f"{run}-SPY-BUY"
    long = f"{run}r-SPY-BUY"
    digest = sha256(long.encode()).hexdigest()[:8]
    assert client_order_id(f"{run}r", "SPY", "BUY") == f"{long[:31]}-{digest}"


@pytest.mark.parametrize("name", ["", "a b", "a\n", "é", None, 5, "x" * 41])
def test_ids_are_valid_together_if_each_of_them_is(name):
    assert are_valid_client_order_ids([])
    assert are_valid_client_order_ids(["x" * 40, "run-1_A.B"])
    assert not is_valid_client_order_id(name)
    assert not are_valid_client_order_ids(["x" * 40, name, "run-1_A.B"])


@pytest.mark.parametrize("run", ["", "a b", "a/b", "é", "a\n", None, 5])
def test_a_run_id_with_other_characters_is_refused(run):
    assert not is_valid_run_id(run)
    with pytest.raises(ValueError, match="run_id"):
        client_order_id(run, "SPY", "BUY")
    with pytest.raises(ValueError, match="run_id"):
        client_order_ids(run, ["SPY"], ["BUY"])


def test_sequences_count_from_one():
    with pytest.raises(ValueError, match="sequence"):
        client_order_id("r", "SPY", "BUY", 0)


@pytest.mark.parametrize("value", ["", "x" * 41, "a b", "a'b", "a\0", "é", None, 1])
def test_a_text_that_is_unsafe_in_a_tws_message_is_not_a_valid_id(value):
    assert not is_valid_client_order_id(value)


@pytest.mark.slow
@given(runs, symbols, sides, st.integers(1, 99))
@steadily(200)
def test_an_id_is_deterministic_and_safe_to_send(run, symbol, side, sequence):
    name = client_order_id(run, symbol, side, sequence)
    assert name == client_order_id(run, symbol, side, sequence)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,40}", name)
    assert is_valid_client_order_id(name)
    assert len(name) <= MAX_LENGTH


orders = st.tuples(runs, plain_symbols, sides, st.integers(1, 12))


@pytest.mark.slow
@given(orders, orders)
@steadily(300)
def test_different_runs_symbols_sides_or_sequences_have_different_ids(one, other):
    assert (client_order_id(*one) == client_order_id(*other)) == (one == other)


@pytest.mark.slow
@given(runs, plain_symbols, plain_symbols)
@steadily(100)
def test_within_a_run_each_symbol_and_side_has_its_own_id(run, one, other):
    names = {client_order_id(run, symbol, side) for symbol in (one, other) for side in ("BUY", "SELL")}
    assert len(names) == (2 if one == other else 4)


@pytest.mark.slow
@given(runs, st.lists(st.tuples(symbols, sides), max_size=6))
@steadily(100)
def test_ids_built_at_once_equal_ids_built_one_by_one(run, rows):
    assert client_order_ids(run, [s for s, _ in rows], [s for _, s in rows]) == [
        client_order_id(run, *row) for row in rows
    ]


def frame(**columns):
    return pd.DataFrame({"client_order_id": ["r-A-BUY"], "run_id": "r", "symbol": "A", "side": "BUY"} | columns)


def test_the_payload_hash_does_not_depend_on_number_types():
    assert payload_hashes(frame(quantity=[5])) == payload_hashes(frame(quantity=[5.0]))
    missing = [frame(), frame(limit_price=[None]), frame(limit_price=[float("nan")]), frame(limit_price=[pd.NA])]
    assert len({payload_hashes(each)[0] for each in missing}) == 1


@pytest.mark.parametrize(
    "change",
    [{"quantity": [6]}, {"limit_price": [5.01]}, {"tif": ["GTC"]}, {"account": ["DU2"]}, {"side": ["SELL"]}],
)
def test_a_different_payload_has_a_different_hash(change):
    base = {"quantity": [5], "limit_price": [5.0], "tif": ["DAY"], "account": ["DU1"]}
    assert payload_hashes(frame(**base)) != payload_hashes(frame(**(base | change)))


def test_the_payload_hash_excludes_market_prices_by_default():
    assert payload_hashes(frame(decision_price=[5.0])) == payload_hashes(frame(decision_price=[6.0]))
    assert payload_hashes(frame(decision_price=[5.0]), ["decision_price"]) != payload_hashes(
        frame(), ["decision_price"]
    )


def test_a_time_is_hashed_by_its_instant():
    utc = pd.Timestamp("2026-11-23 14:30", tz="UTC")
    one, other = (frame(approved_at=[stamp]) for stamp in (utc, utc.tz_convert("Asia/Tokyo")))
    assert payload_hashes(one, ["approved_at"]) == payload_hashes(other, ["approved_at"])
    later = frame(approved_at=[utc + pd.Timedelta(1, "s")])
    assert payload_hashes(one, ["approved_at"]) != payload_hashes(later, ["approved_at"])


def test_the_hash_of_a_plan_does_not_depend_on_row_sequence():
    assert plan_hash(["a", "b"]) == plan_hash(["b", "a"]) != plan_hash(["a", "b", "b"])


def test_a_primary_exchange_is_sealed_and_its_absence_changes_no_older_fingerprint():
    orders = pd.DataFrame({"client_order_id": ["r-VOD-BUY"], "symbol": ["VOD"], "quantity": [5.0]})
    (without,) = payload_hashes(orders)
    # Computed by the version that had no such column.
    assert without == "ff8411b180ad2ab999324538e8c68547be7654b632c41c263e34fd8fd4b9f62d"
    assert payload_hashes(orders.assign(primary_exchange=None)) == [without]
    assert (
        len(
            {
                *payload_hashes(orders.assign(primary_exchange="LSE")),
                *payload_hashes(orders.assign(primary_exchange="ARCA")),
                without,
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    "term",
    [
        {"aux_price": 4.5},
        {"limit_offset_bps": 0.0},
        {"limit_reference": "mid"},
        {"limit_reference_price": 5.0},
        {"good_till": pd.Timestamp("2026-11-24 21:00", tz="UTC")},
        {"good_after": pd.Timestamp("2026-11-24 21:00", tz="UTC")},
        {"outside_rth": True},
        {"algo": "Twap"},
        {"algo_params": '{"maxPctVol": 0.1}'},
    ],
)
def test_each_term_is_sealed_and_its_absence_changes_no_older_fingerprint(term):
    orders = pd.DataFrame({"client_order_id": ["r-VOD-BUY"], "symbol": ["VOD"], "quantity": [5.0]})
    # Computed by the version that had no such columns, as above.
    without = "ff8411b180ad2ab999324538e8c68547be7654b632c41c263e34fd8fd4b9f62d"
    (name,) = term
    empty = False if name == "outside_rth" else None
    assert payload_hashes(orders.assign(**{name: empty})) == [without]
    assert payload_hashes(orders.assign(**term)) != [without]


def test_an_order_without_a_term_keeps_its_fingerprint_beside_one_that_has_it():
    alone = pd.DataFrame({"client_order_id": ["r-VOD-BUY"], "symbol": ["VOD"], "quantity": [5.0]})
    both = pd.concat([alone.assign(outside_rth=False), alone.assign(outside_rth=True, aux_price=1.0)])
    assert payload_hashes(both)[0] == payload_hashes(alone)[0] != payload_hashes(both)[1]
