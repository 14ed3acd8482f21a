from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd

from stocklean_exec.risk.findings import BLOCK, PASS, VERDICTS, WARN, Findings, check_results


def test_the_worst_verdict_of_each_order_counts():
    findings = Findings(3)
    findings.warn("wide", np.array([True, True, False]), 200.0, 300.0)
    findings.block("large", np.array([False, True, False]), 5.0, np.array([1.0, 9.0, 2.0]))
    assert findings.worst.tolist() == [WARN, BLOCK, PASS]
    assert np.array(VERDICTS)[findings.worst].tolist() == ["warn", "block", "pass"]


def test_reasons_name_the_blocking_checks_first_and_each_one_once():
    findings = Findings(2)
    findings.warn("wide", np.array([True, False]), 1.0, 2.0)
    findings.block("large", np.array([True, False]), 1.0, 2.0)
    findings.block("large", np.array([True, False]), 1.0, 2.0)
    assert findings.reasons() == ["large, wide", None]


def test_a_check_with_two_findings_reports_the_worse_for_each_order():
    # JSON keeps the last of two equal keys: a row that was blocked first must not seem to pass.
    findings = Findings(3)
    findings.block("price", np.array([True, False, False]), math.nan, math.nan)
    findings.block("price", np.array([False, True, False]), 1.0, np.array([7.0, 8.0, 9.0]))
    assert [json.loads(text)["price"] for text in findings.as_json()] == [
        ["block", 1.0, None],
        ["block", 1.0, 8.0],
        ["pass", 1.0, 9.0],
    ]
    assert findings.reasons() == ["price", "price", None]


def test_every_check_including_passed_ones_is_recorded_with_limit_and_value():
    findings = Findings(2)
    findings.block("large", np.array([False, True]), 5.0, np.array([1.0, 9.0]))
    findings.block("halted", mask=False, limit=math.nan, value=math.inf)
    assert [json.loads(text) for text in findings.as_json()] == [
        {"large": ["pass", 5.0, 1.0], "halted": ["pass", None, None]},
        {"large": ["block", 5.0, 9.0], "halted": ["pass", None, None]},
    ]


def test_a_portfolio_value_applies_to_a_single_order_and_infinity_becomes_null():
    one = Findings(1)
    one.block("nav", mask=True, limit=2.0, value=3.0)
    assert one.as_json() == ['{"nav": ["block", 2.0, 3.0]}']
    two = Findings(2)
    two.warn("wide", np.array([True, False]), 2.0, np.array([-math.inf, math.inf]))
    assert two.as_json() == ['{"wide": ["warn", 2.0, null]}', '{"wide": ["pass", 2.0, null]}']
    three = Findings(3)
    three.block("size", np.array([False, True, False]), 2.0, np.array([-0.0, 3.5, math.inf]))
    assert three.as_json() == [
        '{"size": ["pass", 2.0, 0.0]}',
        '{"size": ["block", 2.0, 3.5]}',
        '{"size": ["pass", 2.0, null]}',
    ]


def test_no_checks_and_no_orders_give_valid_json():
    assert Findings(2).as_json() == ["{}", "{}"]
    nothing = Findings(0)
    nothing.block("large", np.array([], dtype=bool), 1.0, np.array([]))
    assert nothing.as_json() == []
    assert nothing.reasons() == []


def test_the_results_are_a_typed_table_also_without_rows():
    frame = pd.DataFrame({"client_order_id": ["a"], "checks": ['{"large": ["block", 5, null]}']})
    table = check_results(frame)
    assert table.iloc[0].tolist()[:4] == ["a", "large", "block", 5.0]
    assert math.isnan(table["value"].iloc[0])
    empty = check_results(frame.iloc[:0])
    assert len(empty) == 0
    assert [str(empty[name].dtype) for name in ("client_order_id", "limit", "value")] == [
        "str",
        "float64",
        "float64",
    ]


def test_orders_with_a_changed_reason_or_value_are_reported_as_changed():
    one, other = Findings(5), Findings(5)
    one.block("size", [True, True, False, False, True], 10.0, np.array([11.0, 12.0, 5.0, math.nan, math.nan]))
    other.block("size", [True, True, False, True, True], 10.0, np.array([11.0, 13.0, 6.0, 20.0, math.nan]))
    assert one.differ(other).tolist() == [False, True, False, True, False]
    other.warn("wide", [False, False, True, False, False], 1.0, 2.0)
    assert one.differ(other).tolist() == [False, True, True, True, False]
    assert other.differ(one).tolist() == [False, True, True, True, False]


def test_a_negative_zero_is_written_as_zero():
    findings = Findings(2)
    findings.warn("ratio", mask=True, limit=1.0, value=np.array([-0.0, -1.0]))
    assert [json.loads(text)["ratio"][2] for text in findings.as_json()] == [0.0, -1.0]
    assert "-0" not in findings.as_json()[0]
