-- State derived from the recorded events. Views only, created again each time its owner opens a blotter.
-- order_state.py has the same rules in Python, and a test compares the two.

-- name: executions
-- Every execution ever reported that has an id and a usable quantity, with the number of its correction: TWS
-- repeats a corrected execution with an id that differs only in the digits after the last of four dotted parts.
-- A number is usable if it is finite and below a billion: nine digits before the point, eight after it.
CREATE OR REPLACE VIEW executions AS
SELECT
    * REPLACE (TRY_CAST(quantity AS DECIMAL(17, 8)) AS quantity),
    regexp_full_match(exec_id, '[^.]+\.[^.]+\.[^.]+\.[0-9]{1,9}') AS correctable,
    CASE WHEN correctable THEN regexp_extract(exec_id, '^([^.]+\.[^.]+\.[^.]+)\.[0-9]{1,9}$', 1) ELSE exec_id END
        AS family,
    CASE WHEN correctable THEN CAST(regexp_extract(exec_id, '\.([0-9]{1,9})$', 1) AS INTEGER) ELSE 0 END AS revision
FROM facts
WHERE kind = 'execution' AND exec_id IS NOT NULL AND TRY_CAST(quantity AS DECIMAL(17, 8)) >= 0;

-- name: fills
-- The latest correction of each execution, with its commission once that is reported. A bust is a correction to
-- zero shares: it removes the fill.
CREATE OR REPLACE VIEW fills AS
WITH latest AS (
    SELECT *
    FROM executions
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(client_order_id, ''), family ORDER BY revision DESC, exec_id DESC
    ) = 1
),
-- A commission belongs to the execution of its order, or of any order if it names none: two sessions of a simulator
-- may use the same execution id.
charged AS (
    SELECT
        latest.client_order_id,
        latest.exec_id,
        max(fee.commission) AS commission,
        arg_max(fee.commission_currency, fee.commission) AS commission_currency
    FROM facts AS fee
    JOIN latest USING (exec_id)
    WHERE fee.kind = 'commission'
        AND TRY_CAST(fee.commission AS DECIMAL(17, 8)) IS NOT NULL
        AND (fee.client_order_id IS NULL OR fee.client_order_id IS NOT DISTINCT FROM latest.client_order_id)
    GROUP BY latest.client_order_id, latest.exec_id
)
SELECT
    latest.exec_id,
    latest.client_order_id,
    latest.run_id,
    latest.symbol,
    latest.side,
    latest.quantity,
    latest.price,
    latest.occurred_at AS filled_at,
    charged.commission,
    charged.commission_currency,
    latest.exchange,
    latest.liquidity,
    latest.perm_id,
    latest.account,
    -- Dated by its report, as the broker's time of it cannot be read.
    coalesce(latest.code, '') = 'time_unreliable' AS time_unreliable
FROM latest
LEFT JOIN charged
    ON charged.exec_id = latest.exec_id AND charged.client_order_id IS NOT DISTINCT FROM latest.client_order_id
WHERE latest.quantity > 0;

-- name: order_standing
-- One row per order with events: what was executed, and which kinds of events are on record.
CREATE OR REPLACE VIEW order_standing AS
WITH executed AS (
    SELECT
        client_order_id,
        sum(quantity) AS filled_quantity,
        -- Exact: both factors have eight decimals, so the sum does not depend on the sequence. NULL if a price is
        -- unknown.
        CASE WHEN count(TRY_CAST(price AS DECIMAL(17, 8))) = count(*) THEN
            sum(CAST(quantity AS DECIMAL(38, 8)) * CAST(TRY_CAST(price AS DECIMAL(17, 8)) AS DECIMAL(38, 8)))
        END AS filled_value,
        sum(TRY_CAST(commission AS DECIMAL(17, 8))) AS commission
    FROM fills
    GROUP BY client_order_id
),
-- Shares that were on record in any correction of their execution: shares that a bust removed were known too.
seen AS (
    SELECT client_order_id, sum(shares) AS seen_quantity, max(last) > 1 AS corrected
    FROM (
        SELECT client_order_id, family, max(quantity) AS shares, max(revision) AS last
        FROM executions
        GROUP BY client_order_id, family
    )
    GROUP BY client_order_id
),
-- The rank of events of one kind: by their own time, not by when they were recorded; ties are broken by text.
ranked AS (
    SELECT
        *,
        coalesce(attempt, 0) AS try,
        row(
            coalesce(epoch_us(occurred_at), -4611686018427387904),
            coalesce(code, ''),
            coalesce(message, ''),
            coalesce(status, '')
        ) AS rank
    FROM facts
    WHERE client_order_id IS NOT NULL
),
-- Attempts that provably did not reach the broker.
failed AS (
    SELECT DISTINCT client_order_id, try, true AS not_sent FROM ranked WHERE kind = 'not_sent'
),
-- An order that was missing and was found again is not missing.
refound AS (
    SELECT client_order_id, max(try) AS last_found FROM ranked WHERE kind = 'found' GROUP BY client_order_id
),
evidence AS (
    SELECT
        client_order_id,
        bool_or(kind = 'intent') AS intended,
        bool_or(kind = 'status') AS any_status,
        bool_or(kind = 'status' AND coalesce(status, '') = 'SUBMITTED') AS shown_live,
        bool_or(kind = 'status' AND coalesce(status, '') = 'CANCELLED') AS cancelled,
        bool_or(kind = 'status' AND coalesce(status, '') = 'FILLED') AS reported_filled,
        -- Some rejects count only as long as the broker has not reported the order.
        bool_or(kind = 'rejected' AND coalesce(status, '') <> 'UNSEEN') AS rejected_for_good,
        bool_or(kind = 'rejected') AS rejected_if_unseen,
        bool_or(kind = 'refused') AS refused,
        bool_or(kind = 'not_approved') AS not_approved,
        bool_or(kind = 'withdrawn') AS withdrawn,
        bool_or(kind = 'resolved') AS resolved,
        bool_or(kind = 'cancel_requested') AS cancel_requested,
        bool_or(kind = 'sending' AND not_sent IS NULL) AS is_sent,
        arg_max_null(client_id, try) FILTER (kind = 'sending' AND not_sent IS NULL) AS sender,
        -- Fewer shares than approved, where there was not the cash for all.
        arg_max_null(
            CASE WHEN TRY_CAST(quantity AS DECIMAL(17, 8)) > 0 THEN TRY_CAST(quantity AS DECIMAL(17, 8)) END, try
        ) FILTER (kind = 'sending' AND not_sent IS NULL) AS sent_quantity,
        max(nullif(code, '')) FILTER (kind = 'sending') AS sending_code,
        max(TRY_CAST(filled AS DECIMAL(17, 8))) FILTER (kind IN ('status', 'message', 'rejected')) AS reported,
        -- Whether a report of the end counts the fills: without that, the end of the order is not known.
        bool_or(kind = 'status' AND status = 'CANCELLED' AND TRY_CAST(filled AS DECIMAL(17, 8)) >= 0) AS cancel_counted,
        bool_or(
            (kind = 'rejected' OR (kind = 'message' AND code IN ('Inactive', 'Cancelled', 'ApiCancelled')))
            AND TRY_CAST(filled AS DECIMAL(17, 8)) >= 0
        ) AS reject_counted,
        -- Filled according to a status that calls the order filled with nothing remaining.
        max(TRY_CAST(filled AS DECIMAL(17, 8))) FILTER (
            kind = 'status' AND status = 'FILLED' AND coalesce(TRY_CAST(remaining AS DECIMAL(17, 8)), 0) = 0
        ) AS completed,
        -- Filled quantities of completed orders: only these count without saying what remains.
        list(DISTINCT CAST(TRY_CAST(filled AS DECIMAL(17, 8)) AS DECIMAL(38, 8))) FILTER (
            kind = 'status' AND status IN ('CANCELLED', 'FILLED') AND remaining IS NULL
            AND TRY_CAST(filled AS DECIMAL(17, 8)) IS NOT NULL
        ) AS end_counts,
        bool_or(kind = 'unknown' AND not_sent IS NULL) AS unknown,
        bool_or(kind = 'missing' AND try > coalesce(last_found, -1)) AS missing,
        max(nullif(code, '')) FILTER (kind = 'status' AND status = 'CANCELLED') AS cancel_code,
        max(nullif(code, '')) FILTER (kind = 'rejected') AS rejected_code,
        max(nullif(code, '')) FILTER (kind = 'refused') AS refused_code,
        max(nullif(code, '')) FILTER (kind = 'not_approved') AS not_approved_code,
        max(nullif(code, '')) FILTER (kind = 'withdrawn') AS withdrawn_code,
        arg_max_null(message, rank) FILTER (kind = 'unknown' AND not_sent IS NULL) AS unknown_message,
        arg_max_null(message, rank) FILTER (kind = 'missing' AND try > coalesce(last_found, -1)) AS missing_message,
        arg_max_null(message, rank) FILTER (kind = 'held_back') AS held_back_message,
        arg_max_null(CASE status WHEN 'WAITING' THEN message END, rank)
            FILTER (kind = 'message' AND status IN ('WAITING', 'RESUMED')) AS waiting_message,
        arg_max_null(CASE status WHEN 'WAITING' THEN code END, rank)
            FILTER (kind = 'message' AND status IN ('WAITING', 'RESUMED')) AS waiting_code,
        arg_max_null(status, rank) FILTER (kind = 'resolved') AS resolved_status,
        arg_max_null(message, rank) FILTER (kind = 'resolved') AS resolved_message
    FROM ranked
    LEFT JOIN failed USING (client_order_id, try)
    LEFT JOIN refound USING (client_order_id)
    GROUP BY client_order_id
),
arrival AS (
    SELECT
        client_order_id,
        arg_max(struct_pack(bid, ask, last, quoted_at, data_type, arrived_at := occurred_at), try) AS quote
    FROM ranked
    WHERE kind = 'sending'
    GROUP BY client_order_id
)
SELECT
    evidence.*,
    rejected_for_good OR (
        rejected_if_unseen AND NOT shown_live AND coalesce(executed.filled_quantity, 0) = 0
    ) AS rejected,
    coalesce(cancel_counted, false) OR (
        coalesce(rejected_for_good, false)
        OR coalesce(rejected_if_unseen AND NOT shown_live AND coalesce(executed.filled_quantity, 0) = 0, false)
    ) AND (
        coalesce(reject_counted, false) OR NOT (shown_live OR coalesce(executed.filled_quantity, 0) > 0)
    ) AS counted,
    -- Whether there are corrections on record, and a completed order counts what is filled with them.
    coalesce(seen.corrected, false) AND coalesce(
        list_contains(end_counts, CAST(coalesce(executed.filled_quantity, 0) AS DECIMAL(38, 8))), false
    ) AS settled,
    coalesce(executed.filled_quantity, 0) AS filled_quantity,
    coalesce(seen.seen_quantity, 0) AS seen_quantity,
    -- Shares that the broker's statuses report as filled, and of which no execution was ever on record.
    greatest(coalesce(reported, 0) - coalesce(seen.seen_quantity, 0), 0) AS unseen_quantity,
    executed.filled_value,
    executed.commission,
    arrival.quote AS arrival
FROM evidence
LEFT JOIN executed USING (client_order_id)
LEFT JOIN seen USING (client_order_id)
LEFT JOIN arrival USING (client_order_id);

-- name: orders
CREATE OR REPLACE VIEW orders AS
WITH standing AS (
    SELECT
        planned.*,
        coalesce(s.filled_quantity, 0) AS filled_quantity,
        coalesce(s.unseen_quantity, 0) AS unseen_quantity,
        s.seen_quantity,
        s.reported,
        s.reported_filled,
        s.sender,
        s.sent_quantity,
        s.sending_code,
        s.filled_value,
        s.commission,
        s.arrival,
        s.rejected,
        s.cancel_code,
        s.cancel_requested,
        s.rejected_code,
        s.refused_code,
        s.not_approved_code,
        s.withdrawn_code,
        s.unknown_message,
        s.missing_message,
        s.held_back_message,
        s.waiting_message,
        s.waiting_code,
        s.resolved_status,
        s.resolved_message,
        CASE
            WHEN s.filled_quantity > 0 AND s.filled_quantity >= coalesce(planned.quantity, 0) THEN 'FILLED'
            WHEN s.resolved THEN 'RESOLVED'
            -- What was not sent of an approved order, for lack of cash, will not be traded.
            WHEN s.filled_quantity > 0 AND s.filled_quantity >= s.sent_quantity AND s.unseen_quantity = 0 THEN 'REDUCED'
            -- Unrecorded fills would be bought twice if the order were taken as ended.
            WHEN (s.cancelled OR s.rejected) AND NOT s.reported_filled AND NOT s.settled
                AND (s.unseen_quantity > 0 OR NOT s.counted)
                THEN 'UNCONFIRMED'
            -- A broker reports an order that it rejects as cancelled. An order that it reports as filled has not
            -- ended until its executions are here, whatever else is reported.
            WHEN s.rejected AND s.filled_quantity = 0 AND NOT s.reported_filled THEN 'REJECTED'
            WHEN (s.cancelled OR s.rejected) AND NOT s.reported_filled THEN 'CANCELLED'
            -- Called filled with fewer shares than were ordered: the rest is not at the broker any more.
            WHEN s.settled AND s.reported_filled THEN 'CANCELLED'
            WHEN s.completed > 0 AND s.unseen_quantity = 0 THEN 'CANCELLED'
            WHEN s.missing THEN 'MISSING'
            WHEN s.filled_quantity > 0 THEN 'PARTIAL'
            WHEN s.reported_filled THEN 'AWAITING_EXECUTIONS'
            WHEN s.any_status THEN 'WORKING'
            -- A sent order may still be working, whatever we refused afterwards.
            WHEN s.unknown THEN 'UNKNOWN'
            WHEN s.is_sent THEN 'SENDING'
            WHEN s.refused THEN 'REFUSED'
            WHEN s.not_approved THEN 'NOT_APPROVED'
            WHEN s.withdrawn THEN 'WITHDRAWN'
            WHEN s.intended THEN 'INTENT'
            ELSE 'PLANNED'
        END AS state
    FROM planned_orders AS planned
    LEFT JOIN order_standing AS s USING (client_order_id)
)
SELECT
    client_order_id,
    run_id,
    symbol,
    side,
    quantity,
    order_type,
    limit_price,
    tif,
    currency,
    sec_type,
    exchange,
    account,
    decision_price,
    decided_at,
    arrival.bid AS arrival_bid,
    arrival.ask AS arrival_ask,
    -- TWS reports a missing bid or ask as a number that is not above zero.
    CASE
        WHEN arrival.bid > 0 AND arrival.bid <= arrival.ask THEN (arrival.bid + arrival.ask) / 2
        WHEN arrival.last > 0 THEN arrival.last
    END AS arrival_price,
    arrival.arrived_at AS arrived_at,
    target_weight,
    current_quantity,
    target_quantity,
    notional,
    CASE state
        WHEN 'RESOLVED' THEN CASE WHEN resolved_status IN ('CANCELLED', 'REJECTED') THEN resolved_status ELSE 'UNKNOWN' END
        WHEN 'PLANNED' THEN 'NEW'
        WHEN 'INTENT' THEN 'NEW'
        WHEN 'SENDING' THEN 'UNKNOWN'
        WHEN 'MISSING' THEN 'UNKNOWN'
        WHEN 'UNCONFIRMED' THEN 'UNKNOWN'
        WHEN 'WORKING' THEN 'SUBMITTED'
        WHEN 'AWAITING_EXECUTIONS' THEN 'SUBMITTED'
        WHEN 'NOT_APPROVED' THEN 'CANCELLED'
        WHEN 'WITHDRAWN' THEN 'CANCELLED'
        WHEN 'REDUCED' THEN 'CANCELLED'
        WHEN 'REFUSED' THEN 'REJECTED'
        ELSE state
    END AS status,
    filled_quantity,
    CASE WHEN filled_quantity > 0 THEN CAST(filled_value AS DOUBLE) / CAST(filled_quantity AS DOUBLE) END
        AS avg_fill_price,
    CAST(commission AS DOUBLE) AS commission,
    CASE state
        WHEN 'RESOLVED' THEN resolved_message
        WHEN 'CANCELLED' THEN CASE
            WHEN reported_filled
                AND (filled_quantity = 0 OR filled_quantity < greatest(seen_quantity, coalesce(reported, 0)))
                THEN 'executions_corrected'
            WHEN reported_filled THEN 'quantity_reduced'
            WHEN rejected THEN rejected_code
            WHEN cancel_code IS NOT NULL THEN cancel_code
            WHEN cancel_requested THEN 'cancel_requested'
            ELSE 'cancelled'
        END
        WHEN 'UNCONFIRMED' THEN CASE
                WHEN unseen_quantity > 0 THEN format(
                    'ended at the broker with {} shares filled, {} of them on record',
                    rtrim(rtrim(CAST(CAST(reported AS DECIMAL(38, 8)) AS VARCHAR), '0'), '.'),
                    rtrim(rtrim(CAST(CAST(seen_quantity AS DECIMAL(38, 8)) AS VARCHAR), '0'), '.')
                )
                ELSE 'ended at the broker, which has not reported how many shares were filled'
            END
            || '; resume with '
            || CASE WHEN sender IS NULL THEN 'the client id that placed it' ELSE 'client id ' || sender || ', which placed it' END
        WHEN 'REJECTED' THEN rejected_code
        WHEN 'REFUSED' THEN refused_code
        WHEN 'NOT_APPROVED' THEN not_approved_code
        WHEN 'WITHDRAWN' THEN withdrawn_code
        WHEN 'REDUCED' THEN sending_code
        WHEN 'UNKNOWN' THEN unknown_message
        WHEN 'MISSING' THEN missing_message
        WHEN 'INTENT' THEN held_back_message
        WHEN 'WORKING' THEN waiting_message
        WHEN 'PARTIAL' THEN CASE waiting_code WHEN 'Inactive' THEN waiting_message END
    END AS reason,
    -- Terms that came after the first version of planned_orders: an order without them has none of these keys.
    TRY_CAST(json_extract_string(extra, '$.limit_offset_bps') AS DOUBLE) AS limit_offset_bps,
    json_extract_string(extra, '$.limit_reference') AS limit_reference,
    TRY_CAST(json_extract_string(extra, '$.aux_price') AS DOUBLE) AS aux_price,
    TRY_CAST(json_extract_string(extra, '$.good_till.time') AS TIMESTAMPTZ) AS good_till,
    TRY_CAST(json_extract_string(extra, '$.good_after.time') AS TIMESTAMPTZ) AS good_after,
    coalesce(TRY_CAST(json_extract_string(extra, '$.outside_rth') AS BOOLEAN), false) AS outside_rth,
    json_extract_string(extra, '$.algo') AS algo,
    json_extract_string(extra, '$.algo_params') AS algo_params,
    state,
    leg,
    row_number,
    approved,
    approved_by,
    approved_at,
    payload_hash,
    arrival.quoted_at AS arrival_quoted_at,
    -- TWS's numbers: 1 live, 2 frozen, 3 delayed, 4 delayed and frozen. NULL: unknown.
    CASE WHEN arrival.data_type IN (3, 4) THEN true WHEN arrival.data_type IN (1, 2) THEN false END
        AS arrival_delayed,
    CAST(filled_quantity + unseen_quantity AS DOUBLE) AS reported_quantity,
    least(coalesce(CAST(sent_quantity AS DOUBLE), quantity), quantity) AS sent_quantity,
    extra
FROM standing;

-- name: order_events
CREATE OR REPLACE VIEW order_events AS
SELECT
    number AS event_number,
    client_order_id,
    occurred_at,
    recorded_at,
    kind,
    status,
    order_id,
    perm_id,
    client_id,
    filled,
    remaining,
    code,
    message,
    run_id,
    attempt,
    exec_id
FROM facts;

-- name: runs
CREATE OR REPLACE VIEW runs AS
WITH reported AS (
    SELECT
        run_id,
        min(occurred_at) FILTER (kind = 'run_started') AS started_at,
        max(coalesce(attempt, 0)) FILTER (kind = 'run_started') AS starts,
        max(occurred_at) FILTER (kind = 'run_ended') AS ended_at,
        max(coalesce(attempt, 0)) FILTER (kind = 'run_ended') AS ends,
        bool_or(kind = 'run_blocked') AS blocked,
        bool_or(kind = 'run_cancelled') AS cancelled,
        arg_max(message, number) FILTER (kind IN ('run_blocked', 'run_ended', 'run_cancelled')) AS message
    FROM facts
    WHERE run_id IS NOT NULL
    GROUP BY run_id
),
-- Orders whose rest is ordered again: by a person, or as a market order at the deadline of a work policy. Such a rest
-- is filled once the order for it is.
ordered_again AS (
    SELECT json_extract_string(extra, '$.replaces') AS client_order_id, max(quantity) AS rest
    FROM planned_orders
    WHERE leg > 1 AND approved
    GROUP BY ALL
),
standing AS (
    SELECT
        run_id,
        bool_and(
            status = 'FILLED'
            OR coalesce(quantity - greatest(filled_quantity, reported_quantity) <= rest, false)
        ) AS all_filled,
        bool_or(filled_quantity > 0) AS any_filled,
        bool_and(status = 'CANCELLED') AS all_left_out,
        bool_and(status IN ('CANCELLED', 'REJECTED')) AS none_to_send
    FROM orders
    LEFT JOIN ordered_again USING (client_order_id)
    GROUP BY run_id
)
SELECT
    planned.run_id,
    planned.mode,
    CASE
        WHEN starts IS NULL AND (cancelled OR all_left_out) THEN 'cancelled'
        WHEN starts IS NULL AND (blocked OR none_to_send) THEN 'blocked'
        WHEN starts IS NULL THEN 'queued'
        WHEN ends IS NULL OR ends < starts THEN 'running'
        WHEN coalesce(all_filled, true) THEN 'done'
        WHEN any_filled THEN 'partial'
        WHEN cancelled THEN 'cancelled'
        ELSE 'failed'
    END AS status,
    planned.account,
    planned.nav,
    reported.started_at,
    CASE WHEN ends >= starts THEN reported.ended_at END AS ended_at,
    reported.message,
    planned.parameters,
    planned.plan_hash,
    planned.approved_by,
    planned.approved_at,
    planned.code_version
FROM planned_runs AS planned
LEFT JOIN reported USING (run_id)
LEFT JOIN standing USING (run_id)
WHERE planned.leg = 1;

-- name: quotes
CREATE OR REPLACE VIEW quotes AS
SELECT
    symbol,
    bid,
    ask,
    last,
    close,
    bid_size,
    ask_size,
    currency,
    quoted_at,
    run_id,
    recorded_at,
    CASE WHEN data_type IN (3, 4) THEN true WHEN data_type IN (1, 2) THEN false END AS delayed
FROM recorded_quotes;
