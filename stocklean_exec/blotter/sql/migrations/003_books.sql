-- What an account held when a run began: where the comparison of positions and cash starts from.

CREATE TABLE recorded_books (
    run_id       VARCHAR NOT NULL,
    account      VARCHAR NOT NULL,
    taken_at     TIMESTAMPTZ NOT NULL,
    what         VARCHAR NOT NULL,      -- 'position' (shares of a symbol) or 'cash' (in the base currency)
    symbol       VARCHAR NOT NULL,      -- '' for cash
    quantity     DOUBLE,
    recorded_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account, taken_at, what, symbol)
);
