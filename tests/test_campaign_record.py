"""The figures in the record of the crash campaign, and that README agrees with them."""

import json

from tests.campaign.chases import FAILURES_OF_CHASES, FAULTS_OF_CHASES
from tests.campaign.checker import FAILURES
from tests.campaign.readme import put_section
from tests.campaign.report import RECORD, never_reached
from tests.campaign.safeguards import SAFEGUARDS


def test_the_record_is_of_a_complete_campaign_without_a_difference():
    total = json.loads(RECORD.read_text("utf-8"))["campaign"]
    assert total["runs"] >= 2_000
    assert never_reached(total) == []
    assert total["found"] == dict.fromkeys(FAILURES, 0)
    assert total["failures"] == []


def test_the_record_is_of_thousands_of_schedules_without_a_difference():
    total = json.loads(RECORD.read_text("utf-8"))["schedules"]
    assert total["schedules"] >= 2_000
    assert never_reached(total) == []
    assert total["found"] == dict.fromkeys(FAILURES, 0)
    assert total["failures"] == []


def test_the_record_is_of_hundreds_of_worked_runs_without_a_difference():
    total = json.loads(RECORD.read_text("utf-8"))["chases"]
    assert total["chases"] >= 500
    assert total["found"] == dict.fromkeys((*FAILURES, *FAILURES_OF_CHASES), 0)
    assert total["failures"] == []
    assert set(total["by_at_deadline"]) == {"marketable", "MKT", "cancel", "leave"}
    assert all(total["faults"][name] for name in FAULTS_OF_CHASES)
    assert min(total["kills"], total["changes"], total["fills"]) > total["chases"] / 2


def test_the_record_shows_that_every_safeguard_is_needed():
    rows = json.loads(RECORD.read_text("utf-8"))["ablation"]
    assert set(rows) == set(SAFEGUARDS)
    assert all(row["bad_runs"] for row in rows.values())


def test_the_readme_agrees_with_the_record():
    assert put_section(json.loads(RECORD.read_text("utf-8")), write=False) == 0
