"""The shape of the package, held by the build: names, files, documents."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import stocklean_exec as sx
from stocklean_exec.brokers.mock import FILL_PLAN
from stocklean_exec.schema.tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "stocklean_exec"
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if not path.stem.startswith("_")
)
PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
MOST_AT_THE_TOP = 12  # modules beside the packages; a newcomer reads them in one look


def _test_file(module):
    """Tests mirror the tree: ``risk.limits`` is tested by ``tests/risk/test_limits.py``."""
    *folders, name = module.split(".")
    return ROOT.joinpath("tests", *folders, f"test_{name}.py")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_test_file_of_its_name(module):
    assert _test_file(module).exists()


def test_every_package_describes_its_contents():
    for folder in PACKAGES:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))), folder


@pytest.mark.parametrize("module", MODULES)
def test_every_name_that_a_module_exports_exists_and_is_documented(module):
    loaded = import_module(f"stocklean_exec.{module}")
    assert loaded.__doc__
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if callable(value) and getattr(value, "__module__", "").startswith("stocklean_exec"):
            assert value.__doc__, f"{module}.{name} has no docstring"


def test_every_public_name_can_be_loaded():
    for name in sx.__all__:
        assert getattr(sx, name) is not None


def _exports():
    """The exported names, and where each comes from for a type checker and at run time, as written in the file."""
    listed, home, typed = [], {}, {}
    for node in ast.parse((PACKAGE / "__init__.py").read_text("utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name("__all__")], value=value):
                listed = ast.literal_eval(value)
            case ast.Assign(targets=[ast.Name("_HOME")], value=value):
                home = {name: module for module, names in ast.literal_eval(value).items() for name in names}
            case ast.If(test=ast.Name("TYPE_CHECKING"), body=body):
                for line in body:
                    assert isinstance(line, ast.ImportFrom)
                    module = line.module.removeprefix("stocklean_exec.")
                    typed |= {alias.asname or alias.name: module for alias in line.names}
    return listed, home, typed


def test_the_three_lists_of_public_names_agree():
    listed, home, typed = _exports()
    assert {"plan_orders", "open_blotter", "IBKR_US_FIXED"} <= set(listed)
    assert typed == home
    assert set(listed) == {"__version__", *home}


def test_no_public_name_is_listed_twice():
    listed, _, _ = _exports()
    assert len(listed) == len(set(listed))


def test_public_names_are_exported_by_the_module_they_come_from():
    for module, names in sx._HOME.items():
        assert set(names) <= set(import_module(f"stocklean_exec.{module}").__all__)


def test_no_public_name_is_shadowed_by_a_module_of_the_same_name():
    assert not set(sx.__all__) & set(MODULES)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sx.nonsense


def test_dir_lists_the_public_names():
    assert {"plan_orders", "open_blotter", "connect"} <= set(dir(sx))


def test_import_loads_nothing_heavier_than_pandas():
    code = (
        "import sys, stocklean_exec; heavy = {'duckdb', 'ib_async', 'IPython', 'highspy', 'exchange_calendars'};"
        "print(sorted(heavy & {*sys.modules}))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"


@pytest.mark.slow
def test_planning_and_checking_by_hand_load_neither_duckdb_nor_ib_async_nor_a_calendar():
    code = (
        "import sys, stocklean_exec as sx;"
        "orders = sx.plan_orders({'A': 0.5}, None, {'A': 9.0}, nav=1e4, run_id='r');"
        "sx.check_orders(orders, None, quotes={'A': 9.0}, cash=1e4);"
        "print(sorted(set(sys.modules) & {'duckdb', 'ib_async', 'exchange_calendars'}))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"


def test_the_readme_shows_every_table_as_it_is_declared():
    for table in (*TABLES.values(), FILL_PLAN):
        assert table.markdown() in README


@pytest.mark.slow
def test_the_readme_shows_every_command():
    shown = subprocess.run(
        [sys.executable, "-m", "stocklean_exec", "--help"], check=False, capture_output=True, text=True
    )
    commands = re.findall(r"^    ([a-z-]+)  ", shown.stdout, re.MULTILINE)
    assert commands
    for command in commands:
        assert f"`stocklean {command}" in README


def test_ci_runs_the_test_command_of_the_readme():
    commands = re.findall(r"^python3 -m venv .* && pytest$", README, re.MULTILINE)
    assert len(commands) == 1
    assert "README.md" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_dependency_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = PROJECT["project"]["optional-dependencies"]
    dependencies = [*PROJECT["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]
    for dependency in dependencies:
        line = next(line for line in text.splitlines() if f'"{dependency}"' in line)
        assert "#" in line, dependency


_FRONT_END = tuple(
    f"{folder}/{path.name}" for folder in ("static", "templates") for path in sorted((PACKAGE / folder).iterdir())
)


@pytest.mark.parametrize("name", _FRONT_END)
def test_the_front_end_contacts_no_other_host(name):
    text = (PACKAGE / name).read_text("utf-8").replace('"http://www.w3.org/2000/svg"', "")  # a name, no address
    assert not re.search(r"https?:|//cdn|@import|url\(", text)


@pytest.mark.parametrize("name", [name for name in _FRONT_END if name.endswith(".js")])
def test_the_front_end_never_inserts_data_as_html(name):
    script = (PACKAGE / name).read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_style_is_written_in_python(path):
    declaration = r"\b(margin|padding|color|background|border|display|width|font-[a-z]+): ?[#\w%. ]+[;\"]"
    assert not re.search(declaration, path.read_text("utf-8"))


def test_the_package_ships_its_marker_sql_and_data():
    assert {"static/common.js", "static/live.js", "static/review.js", "templates/report.html"} < set(_FRONT_END)
    for name in (
        "py.typed",
        "blotter/sql/schema.sql",
        "blotter/sql/views.sql",
        "data/sample_closes.csv",
        "data/README.md",
        *_FRONT_END,
    ):
        assert (PACKAGE / name).is_file()


def test_notebooks_contain_no_stale_widget_state():
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert "application/vnd.jupyter.widget" not in notebook.read_text("utf-8")


def test_notebooks_contain_no_account_numbers():
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert not re.search(r"\bD?[UF]\d{5,}\b", notebook.read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("address", ["mock://?seed=7", "sim://?seed=7"])
def test_the_readmes_main_job_runs_at_default_settings_and_does_not_overdraw(address, tmp_path, monkeypatch):
    (job,) = re.findall(r"## The main job\n\n```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(job.replace("mock://?seed=7", address), names)  # noqa: S102 - our own README
    with names["broker"] as broker, names["blotter"]:
        assert names["states"]["status"].tolist() == ["FILLED", "FILLED", "FILLED"]
        # 0.4 % of the smallest of three buys is kept free for what it may cost beyond its quote: 0.13 % of NAV.
        assert 0 <= broker.cash() < 0.0014 * broker.nav()
