-- The complete schema after all migrations; a new blotter is created from this file.
-- Rows are only ever inserted: there is no UPDATE and no DELETE in this package.
-- Primary keys only: they make a repeated event harmless. No secondary index, no foreign key.

CREATE TABLE planned_runs (
    run_id        VARCHAR,
    leg           INTEGER,        -- number of the batch: 1 for the plan, 2 and up for residual orders
    mode          VARCHAR NOT NULL,
    account       VARCHAR,
    nav           DOUBLE,
    planned_at    TIMESTAMPTZ NOT NULL,
    parameters    VARCHAR,
    plan_hash     VARCHAR NOT NULL,
    approved_by   VARCHAR,
    approved_at   TIMESTAMPTZ,
    code_version  VARCHAR NOT NULL,
    PRIMARY KEY (run_id, leg)
);

CREATE TABLE planned_orders (
    client_order_id   VARCHAR PRIMARY KEY,
    run_id            VARCHAR NOT NULL,
    leg               INTEGER NOT NULL,
    row_number        INTEGER NOT NULL,
    symbol            VARCHAR NOT NULL,
    side              VARCHAR NOT NULL,
    quantity          DECIMAL(18, 8),   -- NULL where no price allowed one
    order_type        VARCHAR NOT NULL,
    limit_price       DOUBLE,
    tif               VARCHAR,
    currency          VARCHAR,
    sec_type          VARCHAR,
    exchange          VARCHAR,
    account           VARCHAR,
    decision_price    DOUBLE,
    decided_at        TIMESTAMPTZ,
    target_weight     DOUBLE,
    current_quantity  DOUBLE,
    target_quantity   DOUBLE,
    notional          DOUBLE,
    approved          BOOLEAN,
    approved_by       VARCHAR,
    approved_at       TIMESTAMPTZ,
    payload_hash      VARCHAR NOT NULL,
    extra             VARCHAR           -- JSON: verdicts, and the caller's own columns
);

CREATE TABLE facts (
    number               BIGINT NOT NULL,
    key                  VARCHAR PRIMARY KEY,
    recorded_at          TIMESTAMPTZ NOT NULL,
    kind                 VARCHAR NOT NULL,
    run_id               VARCHAR,
    client_order_id      VARCHAR,
    occurred_at          TIMESTAMPTZ,
    status               VARCHAR,
    order_id             BIGINT,
    perm_id              BIGINT,
    client_id            BIGINT,
    filled               DOUBLE,
    remaining            DOUBLE,
    code                 VARCHAR,
    message              VARCHAR,
    attempt              INTEGER,
    exec_id              VARCHAR,
    symbol               VARCHAR,
    side                 VARCHAR,
    quantity             DOUBLE,            -- as reported, plausible or not; the views add up exact decimals
    price                DOUBLE,
    exchange             VARCHAR,
    liquidity            VARCHAR,
    account              VARCHAR,
    commission           DOUBLE,
    commission_currency  VARCHAR,
    bid                  DOUBLE,
    ask                  DOUBLE,
    last                 DOUBLE,
    quoted_at            TIMESTAMPTZ,       -- of the arrival quote
    data_type            INTEGER            -- of it: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen
);

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
    data_type    INTEGER,
    PRIMARY KEY (run_id, symbol, recorded_at)
);

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
