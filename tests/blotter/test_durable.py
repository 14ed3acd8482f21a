"""A name in a folder is durable once the folder is synced."""

import os
import stat

import pytest

from stocklean_exec.blotter.durable import replacing, sync_folder


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


def test_a_file_is_in_place_only_if_the_block_succeeds(tmp_path):
    file = tmp_path / "b.csv"
    with pytest.raises(RuntimeError, match="not recorded"), replacing(file, "new"):
        raise RuntimeError("not recorded")
    assert list(tmp_path.iterdir()) == []
    file.write_text("old")
    with replacing(file, "new\n"):
        assert file.read_text() == "old"
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new\n", 0o600)


def test_what_a_killed_process_left_is_replaced(tmp_path):
    (tmp_path / ".b.csv.new").symlink_to(tmp_path / "other")
    with replacing(tmp_path / "b.csv", "new"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]


def test_a_replaced_file_survives_a_power_cut(tmp_path, power):
    with replacing(tmp_path / "b.csv", "new"):
        pass
    power.cut()
    assert (tmp_path / "b.csv").read_text() == "new"
