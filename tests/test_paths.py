"""Paths and addresses: what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stocklean_exec.errors import InputError
from stocklean_exec.paths import is_address, local_path, refuse_addresses

ADDRESSES = [
    "https://example.com/t.parquet",
    "HTTP://EXAMPLE.COM/t.csv",
    "s3://bucket/t.parquet",
    "hf://datasets/x/t.parquet",
    "md://paper",
    "file:///tmp/t.parquet",
    "file:t.parquet",
    "s3:bucket/t.parquet",
    "sqlite:t.db",
    "made-up+scheme://x",
    "/data/https://example.com/t.csv",
    Path("https://example.com/t.csv"),  # which is https:/example.com/t.csv
    Path("s3://bucket/t.parquet"),
    Path("unknown://x"),
]
PATHS = [
    "t.csv",
    "/data/t.csv",
    "../t[1].parquet",
    "quotes/**/*.parquet",
    "fills 2026-11-23T10:00.csv",
    "a:b.csv",
    "c:/t.csv",
    "x: y/z.csv",
    "~/t.csv",
    "",
    "10:/t",
]


@pytest.mark.parametrize("text", ADDRESSES, ids=str)
def test_an_address_is_refused(text):
    with pytest.raises(InputError, match="is an address, not a path; nothing is fetched") as caught:
        local_path(text, "targets")
    assert caught.value.codes == ("path_is_address",)
    assert caught.value.table == "targets"


@pytest.mark.parametrize("text", PATHS)
def test_a_name_with_a_colon_in_it_is_a_path(text):
    assert not is_address(text)
    assert local_path(text, "targets") == Path(text)


def test_every_address_of_a_call_is_named_at_once():
    given = {"orders": "https://a/o", "fills": None, "quotes": "q.parquet", "trades": Path("s3://b/t")}
    with pytest.raises(InputError) as caught:
        refuse_addresses(given)
    assert [problem.detail.split()[0] for problem in caught.value.problems] == ["orders", "trades"]
