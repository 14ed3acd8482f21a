from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest

from stocklean_exec.brokers.evidence import Evidence

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def test_empty_evidence_is_complete_and_does_not_prove_that_an_order_is_unknown():
    evidence = Evidence(NOW)
    assert not evidence.open_orders | evidence.refs | evidence.executions
    assert evidence.is_complete
    assert evidence.forgets  # an order may be gone without a trace until the broker proves otherwise
    assert evidence.next_id is None


def test_evidence_does_not_change_after_it_was_collected():
    with pytest.raises(FrozenInstanceError):
        Evidence(NOW).next_id = 7
