"""Exit codes are public: those of the README and of the page about cron, and no others."""

import re
from pathlib import Path

from stocklean_exec.commands import exit_codes

ROOT = Path(__file__).parents[2]


def test_the_codes_are_those_that_the_documents_name():
    codes = {name: getattr(exit_codes, name) for name in exit_codes.__all__}
    assert codes == {"DONE": 0, "BAD_INPUT": 2, "BLOCKED": 3, "NOT_COMPLETE": 4, "UNRESOLVED": 5}
    text = (ROOT / "README.md").read_text("utf-8")
    line = re.search(r"^Exit codes: (.*) 3 to 5 are", text, re.MULTILINE)
    assert {int(code) for code in re.findall(r"\d", line[1])} == set(codes.values())
    rows = re.findall(r"^\| (\d) \|", (ROOT / "docs" / "cron.md").read_text("utf-8"), re.MULTILINE)
    assert [int(code) for code in rows] == sorted(codes.values())
