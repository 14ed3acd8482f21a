import pytest

from stocklean_exec.simulator import Settings, Venue


def test_a_venue_starts_with_default_settings():
    venue = Venue(Settings())
    assert list(venue.ledger.accounts) == ["DU0000001"]
    assert venue.server_version == 176
    assert "SPY" in venue.market.symbols()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"server_version": 156}, "156"),
        ({"server_version": 179}, "179"),
        ({"accounts": ()}, "at least one account"),
        ({"quotes": {"SPY": -1}}, "SPY"),
        ({"start": "noon"}, "noon"),
    ],
)
def test_invalid_settings_are_reported_with_the_reason(options, words):
    with pytest.raises(ValueError, match=words):
        Venue(Settings(**options))
