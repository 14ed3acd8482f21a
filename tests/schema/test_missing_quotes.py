"""Why symbols have no quote travels with the quotes table."""

import pandas as pd

import stocklean_exec as sx
from stocklean_exec.schema.inputs import parse_quotes
from stocklean_exec.schema.missing_quotes import MissingQuote, missing_quotes, with_missing_quotes

SAID = {"VOD": MissingQuote("ambiguous_instrument", "VOD is ambiguous at TWS: LSE 1, NASDAQ 2")}


def quotes():
    frame = pd.DataFrame({"symbol": ["SPY", "TLT"], "last": 1.0, "quoted_at": pd.Timestamp("2026", tz="UTC")})
    return with_missing_quotes(frame, SAID)


def test_copies_selections_validation_and_a_state_keep_it():
    frame = quotes()
    state = sx.AccountState.of(None, frame, nav=1_000)
    for kept in (frame.copy(), frame[frame["symbol"] == "SPY"], parse_quotes(frame), state.quotes):
        assert missing_quotes(kept) == SAID


def test_a_mapping_or_a_table_of_the_users_own_says_nothing():
    assert missing_quotes({"SPY": 1.0}) == {}
    assert missing_quotes(parse_quotes({"SPY": 1.0})) == {}
