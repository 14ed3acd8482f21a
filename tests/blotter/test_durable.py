"""A name in a folder is durable once the folder is synced."""

import os

import pytest

from stocklean_exec.blotter.durable import sync_folder


def test_only_file_names_that_were_synced_survive_a_power_cut(tmp_path, power):
    (tmp_path / "kept.duckdb").touch()
    sync_folder(tmp_path)
    (tmp_path / "late.duckdb").touch()
    power.cut()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.duckdb"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")


def test_the_folder_is_not_kept_open(tmp_path):
    lowest = os.dup(0)
    os.close(lowest)
    sync_folder(tmp_path)
    again = os.dup(0)
    os.close(again)
    assert again == lowest
