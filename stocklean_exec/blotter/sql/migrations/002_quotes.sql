-- The market as it was when a run began: the arrival quotes of its symbols.

CREATE TABLE recorded_quotes (
    run_id       VARCHAR,
    symbol       VARCHAR,
    quoted_at    TIMESTAMPTZ,
    bid          DOUBLE,
    ask          DOUBLE,
    last         DOUBLE,
    close        DOUBLE,
    bid_size     DOUBLE,
    ask_size     DOUBLE,
    currency     VARCHAR,
    recorded_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (run_id, symbol, recorded_at)
);
