"""What DuckDB does that the blotter relies on, or guards against.

Each test pins one behaviour of the installed library and names the module that leans on it: when an upgrade
makes one fail, that module is to be looked at again, and the README where it says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import duckdb
import pandas as pd
import pytest

from stocklean_exec.blotter_file import connect, migrate

SOLD_NOTHING = """
SELECT coalesce(total, 0) > 0, total
FROM (SELECT sum(x) AS total FROM g LEFT JOIN (SELECT x FROM g WHERE kind = 'none of these') USING (x) GROUP BY k)
"""


def with_ten(connection):
    connection.execute("CREATE TABLE g (k VARCHAR, kind VARCHAR, x DECIMAL(17, 8))")
    connection.execute("INSERT INTO g VALUES ('a', 'e', 4), ('a', 'e', 6)")
    return connection


def test_trap_a_sum_over_a_join_with_nothing_is_not_above_zero():
    """blotter_file switches ``statistics_propagation`` off for this; once this fails, it may be switched on."""
    ((is_positive, total),) = with_ten(duckdb.connect()).execute(SOLD_NOTHING).fetchall()
    assert (is_positive, float(total)) == (False, 10.0)


def test_a_blotters_connection_is_free_of_that_trap():
    """blotter_file: the views decide what is filled by such a sum."""
    ((is_positive, total),) = with_ten(connect(None)).execute(SOLD_NOTHING).fetchall()
    assert (is_positive, float(total)) == (True, 10.0)
