"""The command line: ``stocklean demo``, ``rebalance``, ``resume``, ``status``, ``report``, ``halt`` and more.

Exit codes: 0 done, 2 bad input, 3 blocked (nothing was sent), 4 partial or failed, 5 unresolved orders. The choice
between 3, 4 and 5 depends on the orders in the blotter, not on the kind of error.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklean_exec._version import __version__
from stocklean_exec.blotter.order_state import UNFINISHED_STATES, UNSENT_STATES
from stocklean_exec.commands.exit_codes import BAD_INPUT, BLOCKED, DONE, NOT_COMPLETE, UNRESOLVED
from stocklean_exec.commands.work_options import add_work_options, work_of
from stocklean_exec.errors import (
    ApprovalError,
    BlotterError,
    BrokerError,
    HaltedError,
    InputError,
    Problem,
    StockleanError,
)
from stocklean_exec.simulator.__main__ import add_arguments
from stocklean_exec.simulator.__main__ import run as run_simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from stocklean_exec.review.model import OrderReview

__all__ = ["main"]

_UNANSWERED = "sent; no answer of the broker is on record"

_PLAN_COLUMNS = [
    "client_order_id",
    "side",
    "quantity",
    "order_type",
    "limit_price",
    "notional",
    "verdict",
    "reasons",
]
_RUNS_NAMED = 5  # in an error (a choice)
_RUN_COLUMNS = ["run_id", "mode", "status", "started_at", "ended_at", "approved_by", "message"]
_STATE_COLUMNS = [
    "client_order_id",
    "side",
    "quantity",
    "status",
    "filled_quantity",
    "avg_fill_price",
    "commission",
    "reason",
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    if not (getattr(options, "notify", False) or getattr(options, "notify_detail", False)):
        return _run(options)
    from stocklean_exec.commands.notification import notifier_of_user, report_outcome  # noqa: PLC0415 - heavy

    notifier = notifier_of_user()
    code = _run(options)
    if notifier is not None and not getattr(options, "dry_run", False):
        report_outcome(notifier, options.run_id, options.blotter, code, detail=options.notify_detail)
    return code


def _run(options: argparse.Namespace) -> int:
    """Run the chosen command; its errors are printed, and its exit code is returned."""
    try:
        code: int = options.run(options)
    except (HaltedError, BlotterError, BrokerError, ApprovalError) as error:
        print(f"{'halted' if isinstance(error, HaltedError) else 'error'}: {error}", file=sys.stderr)
        return _code_on_record(options)
    except StockleanError as error:
        print(f"error: {_worded(error, options)}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted; see stocklean status for what was sent", file=sys.stderr)
        return max(_code_on_record(options), NOT_COMPLETE)
    return code


_FX_ADVICE = {
    "currency_mixed": "give what one unit of each is worth in the base currency, such as --fx EUR=1.1 USD=1, or "
    "--fx local to leave each order in its own",
    "fx_missing": "add it to --fx; the base currency itself is 1, such as USD=1",
    "commission_currency": "give both in --fx",
}


def _worded(error: StockleanError, options: argparse.Namespace) -> str:
    """Return the text of an error, with advice for the command line in place of that for Python."""
    codes = error.codes if isinstance(error, InputError) else ()
    if "run_unknown" in codes:
        return _no_run(options.run_id, options.blotter)
    if not isinstance(error, InputError) or not set(codes) & set(_FX_ADVICE):
        return str(error)
    details = (
        f"{problem.detail.partition(';')[0]}; {_FX_ADVICE[problem.code]}"
        for problem in error.problems
        if problem.code in _FX_ADVICE
    )
    return "\n  ".join(details)


def _no_run(run_id: str, path: str) -> str:
    """Say that there is no such run, and name the latest that are on record."""
    from stocklean_exec.blotter.blotter import read_blotter  # noqa: PLC0415 - heavy; other commands do without

    try:
        with read_blotter(path) as blotter:
            known = ", ".join(blotter.runs()["run_id"].tolist()[-_RUNS_NAMED:]) or "none"
    except StockleanError as error:
        known = f"unknown: {error}"
    return f"there is no run {run_id!r}: it is not on record in {path}; the latest runs are {known}"


def _code_on_record(options: argparse.Namespace) -> int:
    """Exit code of a stopped command from the recorded orders of its run; prints how to continue."""
    from stocklean_exec.blotter.blotter import read_blotter  # noqa: PLC0415 - heavy; other commands do without

    run_id, path = getattr(options, "run_id", None), getattr(options, "blotter", None)
    if run_id is None or path is None or not Path(path).exists():
        return BLOCKED
    try:
        with read_blotter(path) as blotter:
            states = blotter.orders(run_id)
    except StockleanError as error:
        print(f"the blotter cannot be read, so it is unknown what was sent: {error}", file=sys.stderr)
        return UNRESOLVED
    if states["state"].isin(UNFINISHED_STATES).any():
        print(f"{_how_to_resume(run_id, path, getattr(options, 'broker', None))} continues it", file=sys.stderr)
    return _code_of(states) if len(states) else BLOCKED


def _code_of(states: pd.DataFrame) -> int:
    """Exit code of a run from its orders."""
    if (states["status"] == "UNKNOWN").any():
        return UNRESOLVED
    if len(states) and states["state"].isin(UNSENT_STATES).all():  # without rows there was nothing to trade
        return BLOCKED
    from stocklean_exec.execution.residuals import are_filled  # noqa: PLC0415 - heavy; other commands do without

    return DONE if are_filled(states) else NOT_COMPLETE


def _how_to_resume(run_id: str, path: str, broker: str | None = None) -> str:
    address = "ADDRESS" if broker is None else shlex.quote(broker)
    return f"stocklean resume {run_id} --broker {address} --blotter {shlex.quote(str(path))}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stocklean", description="From target weights to executed, recorded and analysed trades."
    )
    parser.add_argument("--version", action="version", version=f"stocklean_exec {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the complete workflow on sample prices")
    demo.add_argument("--out", type=Path, help="keep the blotter and its tables in this folder")
    demo.set_defaults(run=_demo)

    _add_rebalance(commands)

    resume = commands.add_parser("resume", help="continue a run after a crash or a lost connection")
    resume.add_argument("run_id", help="id of a recorded run")
    resume.add_argument("--broker", required=True, help="address, such as ib://127.0.0.1:4002?client_id=7")
    resume.add_argument("--blotter", required=True, help="file of the record")
    resume.add_argument("--limits", help="TOML or JSON file of limits to enforce when sending")
    resume.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for unfinished orders")
    resume.add_argument(
        "--send-overtaken",
        action="store_true",
        help="send unsent orders even if a later run has orders in the same symbols",
    )
    _add_notify(resume)
    resume.set_defaults(run=_resume)

    status = commands.add_parser("status", help="runs, or the orders of one run")
    status.add_argument("run_id", nargs="?", help="one run; all runs by default")
    status.add_argument("--blotter", required=True, help="file of the record")
    status.set_defaults(run=_status)

    report = commands.add_parser("report", help="costs and completion of a run, as one HTML file")
    report.add_argument("run_id", help="the run")
    report.add_argument("--blotter", required=True, help="file of the record")
    report.add_argument("--out", required=True, type=Path, help="the HTML file to write")
    report.add_argument(
        "--final-prices", help="CSV or Parquet file of closing quotes, used to value the unfilled quantity"
    )
    report.add_argument(
        "--fx",
        nargs="+",
        metavar="CUR=RATE",
        help="what one unit of CUR is worth in the base currency, of which the rate is 1; or local: leave each "
        "order in its own currency",
    )
    report.set_defaults(run=_report)

    simulator = commands.add_parser("simulator", help="the TWS wire simulator as a server")
    add_arguments(simulator)
    simulator.set_defaults(run=run_simulator)

    for name, run, text in (
        ("halt", _halt, "stop sending orders, in every process"),
        ("clear-halt", _clear_halt, "allow sending again"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--blotter", required=True, help="file of the record")
        command.add_argument("--reason", required=True, help="reason; it is recorded")
        command.set_defaults(run=run)
        if name == "halt":
            command.add_argument("--cancel", action="store_true", help="then cancel all working orders on record")
            command.add_argument("--broker", help="address, for --cancel")
            command.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for cancels")

    cancel = commands.add_parser("cancel", help="cancel working orders, from any process")
    which = cancel.add_mutually_exclusive_group(required=True)
    which.add_argument("run_id", nargs="?", help="the run")
    which.add_argument("--all", action="store_true", help="all runs on record")
    cancel.add_argument("--broker", required=True, help="address, such as ib://127.0.0.1:4002?client_id=7")
    cancel.add_argument("--blotter", required=True, help="file of the record")
    cancel.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for the confirmations")
    cancel.set_defaults(run=_cancel)
    return parser


def _show(title: str, frame: pd.DataFrame, columns: list[str] | None = None) -> None:
    shown = frame if columns is None else frame[columns]
    print(f"\n{title}")
    if len(shown):
        print(shown.to_string(index=shown.index.name is not None, na_rep="", float_format=_number))
    else:
        print("  (none)")


def _print_warnings(frame: pd.DataFrame) -> None:
    """Print the input warnings of a plan before it is confirmed."""
    from stocklean_exec.schema.frame_validator import input_warnings  # noqa: PLC0415 - heavy; other commands do without

    for warning in input_warnings(frame).to_dict("records"):
        symbol = "" if warning["symbol"] is None else f"{warning['symbol']}: "
        print(f"warning: {symbol}{warning['detail']} [{warning['code']}]")


def _print_margin(review: OrderReview) -> None:
    """Print the margin of the account, and at most after the plan."""
    covered = review.plan.margin.coverage_text(review.decision_status)
    figures = review.margins()[["now", "passing"]].rename(columns={"passing": "bound"}).rename_axis("margin")
    _show(f"Margin now, and at most after the plan (previews: {covered})", figures)


def _print_held_back(frame: pd.DataFrame) -> int:
    """Print how many trades the plan has left out, by reason; return how many."""
    from stocklean_exec.portfolio.held_back import held_back  # noqa: PLC0415 - heavy; other commands do without

    counts = held_back(frame)["reason"].value_counts(sort=False)
    if len(counts):
        print("left out: " + ", ".join(f"{count} {reason}" for reason, count in counts.items()))
    return int(counts.sum())


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".") if value == value else ""  # noqa: PLR0124 - NaN


# -- commands ----------------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> int:
    from stocklean_exec.blotter.blotter import open_blotter  # noqa: PLC0415 - heavy; other commands do without
    from stocklean_exec.demo import run_demo  # noqa: PLC0415 - heavy
    from stocklean_exec.schema.paths import local_path  # noqa: PLC0415 - heavy
    from stocklean_exec.tca.report import write_report  # noqa: PLC0415 - heavy

    with tempfile.TemporaryDirectory(prefix="stocklean-demo-") as scratch:
        folder = Path(scratch) if options.out is None else local_path(options.out, "out")
        folder.mkdir(parents=True, exist_ok=True)
        shown = folder if options.out is not None else Path(tempfile.mkdtemp(prefix="stocklean-report-"))
        file = folder / "demo.duckdb"
        if file.exists():
            print(f"error: {file} exists; give another --out, or delete it", file=sys.stderr)
            return BAD_INPUT
        with open_blotter(file) as blotter:
            result = run_demo(blotter, say=print)
            report = write_report("demo", blotter, shown / "report.html")
            if options.out is not None:
                blotter.export(folder / "tables")
    _show("Orders", result.states, _STATE_COLUMNS)
    _show(
        "Slippage against arrival (positive is a cost)",
        result.slippage.drop(columns=["symbol", "commissions_due"]),
    )
    _show("Completion", result.completion.drop(columns=["symbol", "side"]))
    summary, total = result.summary, result.slippage_total
    print(
        f"\nPlan: {summary['orders']:.0f} orders, turnover {summary['turnover']:.1%} of NAV; "
        f"active share {summary['active_share_before_bp']:,.1f} -> {summary['active_share_after_bp']:,.1f} bp, "
        f"{summary['gap_bp']:.3f} bp above the proved lower bound"
        f"\nRun:  slippage {total['slippage_bps']:.2f} bp = {total['slippage_cost']:,.2f} USD, "
        f"commission {total['commission']:,.2f} USD"
    )
    print(f"\nReport:  {report}")
    if options.out is not None:
        print(f"Blotter: {file}\nTables:  {folder / 'tables'}")
    return DONE


def _add_rebalance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``rebalance`` with its options, which are those of :func:`stocklean_exec.rebalance`."""
    rebalance = commands.add_parser("rebalance", help="plan, check, confirm, and send")
    rebalance.add_argument("targets", help="CSV or Parquet file with symbol and weight")
    rebalance.add_argument("--broker", required=True, help="address, such as mock://?seed=7")
    rebalance.add_argument("--blotter", required=True, help="file of the record")
    rebalance.add_argument("--run-id", required=True, help="id of the run; using it again sends nothing twice")
    rebalance.add_argument("--nav", type=float, help="net asset value; by default the broker's")
    rebalance.add_argument("--limits", help="TOML or JSON file of limits")
    rebalance.add_argument("--quotes", help="CSV or Parquet file of quotes, for the mock broker")
    rebalance.add_argument("--positions", help="CSV or Parquet file of positions, for the mock broker")
    rebalance.add_argument("--cash-buffer", type=float, default=0.0, help="fraction of NAV that stays in cash")
    rebalance.add_argument(
        "--unlisted",
        choices=("keep", "close", "error"),
        default="error",
        help="holdings that are not in the targets",
    )
    rebalance.add_argument("--allow-short", action="store_true", help="accept negative weights")
    rebalance.add_argument("--max-gross", type=float, default=1.0, help="maximum gross exposure of the targets")
    rebalance.add_argument("--fractional", action="store_true", help="trade parts of a share")
    rebalance.add_argument(
        "--reserve",
        type=_reserve,
        default="auto",
        help="money to reserve for the costs of the orders; by default what the plan itself costs",
    )
    _add_trade_rules(rebalance)
    rebalance.add_argument(
        "--order-type", choices=("MKT", "LMT", "MOC", "LOC", "MIDPRICE"), help="for all symbols"
    )
    rebalance.add_argument("--limit-offset-bps", type=float, help="limits this far from the decision price")
    rebalance.add_argument("--base-currency", help="fail unless the account has this base currency")
    rebalance.add_argument(
        "--fx",
        type=_exchange_rate,
        action="append",
        default=[],
        metavar="CUR=RATE",
        help="base currency per unit of another one, where the account has no rate or the mock broker needs one",
    )
    rebalance.add_argument(
        "--tif", help="time in force for all symbols, such as GTC; by default each row's own, else DAY"
    )
    rebalance.add_argument("--tick-size", type=float, help="tick size of all limits; by default that of US stocks")
    rebalance.add_argument(
        "--allow-liquidation", action="store_true", help="accept targets that sell everything that is held"
    )
    rebalance.add_argument(
        "--at",
        metavar="TIME",
        help="wait until then, such as '15:45 America/New_York', and only then read account, quotes and limits; "
        "refused on a day on which no market of the targets trades",
    )
    rebalance.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for unfinished orders")
    rebalance.add_argument(
        "--on-open-orders",
        choices=("net", "reject", "cancel"),
        default="net",
        help="working orders of this record: count the plain ones as filled, reject their symbols, or cancel all "
        "of them one by one before planning",
    )
    rebalance.add_argument(
        "--foreign-orders",
        choices=("reject", "ignore", "net"),
        default="reject",
        help="stops, and working orders of others: reject their symbols, ignore them, or count them as filled",
    )
    rebalance.add_argument(
        "--one-sided",
        action="store_true",
        help="send the sells also where the buys they fund are blocked for lack of cash",
    )
    rebalance.add_argument(
        "--funding",
        choices=("fills", "margin"),
        default="fills",
        help="send buys once the cash for them is there, or everything at once",
    )
    rebalance.add_argument("--funding-timeout", type=float, help="seconds that buys wait for cash")
    rebalance.add_argument("--account-kind", choices=("cash", "margin"), help="by default what the broker reports")
    rebalance.add_argument(
        "--unsettled",
        choices=("wait", "allow"),
        default="wait",
        help="in a cash account, whether the proceeds of unsettled sales may buy",
    )
    rebalance.add_argument(
        "--previews",
        type=int,
        default=0,
        metavar="N",
        help="ask the broker what the N largest orders would do to margin; TWS is asked once a minute",
    )
    add_work_options(rebalance)
    rebalance.add_argument("--yes", action="store_true", help="send without asking, in an open market")
    rebalance.add_argument("--dry-run", action="store_true", help="show the plan and send nothing")
    _add_notify(rebalance)
    rebalance.set_defaults(run=_rebalance)


def _add_notify(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--notify",
        action="store_true",
        help="send how the run went, through the Apprise addresses in STOCKLEAN_NOTIFY or in the private file "
        "~/.config/stocklean_exec/notify",
    )
    command.add_argument(
        "--notify-detail",
        action="store_true",
        help="as --notify, and the message also has the account (masked) and the orders that are not filled",
    )


def _add_trade_rules(rebalance: argparse.ArgumentParser) -> None:
    """Add the options that leave out trades which are not worth making."""
    rebalance.add_argument(
        "--band",
        type=float,
        help="do not trade a symbol whose weight differs from its target by no more than this",
    )
    rebalance.add_argument(
        "--band-kind",
        choices=("absolute", "relative"),
        default="absolute",
        help="whether --band is a weight, or a part of each target",
    )
    rebalance.add_argument(
        "--band-to",
        type=_band_to,
        default="target",
        help="trade what is outside its band to the target, to the edge, or to a point between: 0 (target) to 1",
    )
    rebalance.add_argument("--min-notional", type=float, help="make no order of less than this, base currency")
    rebalance.add_argument(
        "--max-turnover", type=float, help="the most that buys and sells together may be worth, fraction of NAV"
    )


def _band_to(text: str) -> str | float:
    """Read ``--band-to``: ``edge``, ``target``, or a number."""
    return text if text in ("edge", "target") else float(text)


def _reserve(text: str) -> str | float:
    """Read ``--reserve``: ``auto``, or an amount."""
    return text if text == "auto" else float(text)


def _exchange_rate(text: str) -> tuple[str, float]:
    """Read one ``--fx``, such as ``EUR=1.1``."""
    currency, mark, rate = text.partition("=")
    if not (currency and mark):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form EUR=1.1")
    try:
        return currency, float(rate)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{rate!r} in {text!r} is not a number") from None


def _report_rates(texts: Sequence[str] | None) -> object:
    """Read ``--fx`` of a report: rates, or ``local``."""
    if texts is None:
        return None
    if list(texts) == ["local"]:
        return "local"
    try:
        return _rates([_exchange_rate(text) for text in texts])
    except argparse.ArgumentTypeError as error:
        raise InputError("--fx", [Problem("option_invalid", str(error))]) from None


def _rates(given: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Rates by currency; a currency that is given twice is refused."""
    names = [name for name, _ in given]
    twice = dict.fromkeys(name for name in names if names.count(name) > 1)
    if twice:
        raise InputError("--fx", [Problem("duplicate_rate", f"{name} is given several times") for name in twice])
    return dict(given)


def _rebalance(options: argparse.Namespace) -> int:
    from stocklean_exec import background  # noqa: PLC0415 - heavy; other commands do without
    from stocklean_exec.blotter.blotter import open_blotter  # noqa: PLC0415 - heavy; other commands do without
    from stocklean_exec.brokers.factory import connect  # noqa: PLC0415 - heavy
    from stocklean_exec.execution.cancellation import own_working_orders  # noqa: PLC0415 - heavy
    from stocklean_exec.execution.run_lock import account_lock  # noqa: PLC0415 - heavy
    from stocklean_exec.execution.submission import submit_orders  # noqa: PLC0415 - heavy
    from stocklean_exec.rebalancing import cancel_first, prepare_async  # noqa: PLC0415 - heavy
    from stocklean_exec.risk.limits_file import read_limits  # noqa: PLC0415 - heavy
    from stocklean_exec.risk.pre_trade_checks import Limits  # noqa: PLC0415 - heavy
    from stocklean_exec.schema.files import read_positions, read_quotes, read_targets  # noqa: PLC0415 - heavy

    if options.at is not None and not _wait_for_start(options):
        return BLOCKED
    targets = read_targets(options.targets)
    limits = Limits() if options.limits is None else read_limits(options.limits)
    work = work_of(options)
    quotes = None if options.quotes is None else read_quotes(options.quotes)
    held = None if options.positions is None else read_positions(options.positions)
    rates = _rates(options.fx) or None
    own_rates = rates if options.broker.startswith("mock:") else None
    with (
        connect(options.broker, quotes=quotes, positions=held, fx=own_rates) as broker,
        account_lock(None if options.dry_run else broker.lock_account),
        open_blotter(options.blotter) as blotter,
    ):
        cancelled = None
        if options.on_open_orders == "cancel" and not options.dry_run:
            count = len(own_working_orders(broker, blotter, options.run_id))
            if count and not options.yes and not _confirmed(count, "CANCEL", "to cancel {} working orders first"):
                print("\nnot confirmed: nothing was cancelled or sent", file=sys.stderr)
                return BLOCKED
            cancelled = background.blocking(cancel_first)(
                targets, broker, blotter, run_id=options.run_id, timeout=options.timeout
            )
        review = background.blocking(prepare_async)(
            targets,
            broker,
            blotter,
            previews=options.previews,
            run_id=options.run_id,
            limits=limits,
            nav=options.nav,
            sending=not options.dry_run,
            unattended=options.yes,
            cancelled=cancelled,
            work=work,
            cash_buffer=options.cash_buffer,
            unlisted=options.unlisted,
            allow_short=options.allow_short,
            on_open_orders=options.on_open_orders,
            foreign_orders=options.foreign_orders,
            max_gross=options.max_gross,
            fractional=options.fractional,
            reserve=options.reserve,
            band=options.band,
            band_kind=options.band_kind,
            band_to=options.band_to,
            min_notional=options.min_notional,
            max_turnover=options.max_turnover,
            order_type=options.order_type,
            limit_offset_bps=options.limit_offset_bps,
            base_currency=options.base_currency,
            tif=options.tif,
            tick_size=options.tick_size,
            allow_liquidation=options.allow_liquidation,
            fx=rates,
        )
        _show(f"Plan of {options.run_id} for {broker}", review.orders, _PLAN_COLUMNS)
        _print_warnings(review.orders)
        if options.previews and len(review):
            _print_margin(review)
        left_out = _print_held_back(review.orders)
        if review.work_text:
            print(f"\nworked: {review.work_text}")
        if options.dry_run:
            print("\ndry run: nothing was sent")
            return DONE
        if not len(review):
            why = "every trade is left out" if left_out else "positions match the targets"
            print(f"\nnothing to do: {why}")
        count = review.approve_all(by=None, one_sided=options.one_sided)
        if not options.yes and len(review):
            blotter.check_halt()  # do not ask for a confirmation if nothing can be sent
            if not _confirmed(count):
                print("\nnot confirmed: nothing was sent", file=sys.stderr)
                return BLOCKED
        age = limits.max_approval_age
        states = submit_orders(
            review.result(),
            broker,
            blotter,
            timeout=options.timeout,
            max_approval_age=age,
            limits=limits,
            funding=options.funding,
            funding_timeout=options.funding_timeout,
            account_kind=options.account_kind,
            unsettled=options.unsettled,
            work=work,
        )
        run = blotter.runs().set_index("run_id").loc[options.run_id]
    return _print_outcome(run, states)


def _wait_for_start(options: argparse.Namespace) -> bool:
    """Wait for the time of ``--at``; False, and why, on a day on which no market of the targets trades."""
    from stocklean_exec import clock  # noqa: PLC0415 - heavy, as below
    from stocklean_exec.brokers.factory import connect  # noqa: PLC0415 - heavy
    from stocklean_exec.calendars.hours import market_hours  # noqa: PLC0415 - heavy
    from stocklean_exec.calendars.start_time import closed_day, parse_start  # noqa: PLC0415 - heavy
    from stocklean_exec.schema.files import read_targets  # noqa: PLC0415 - heavy

    start, targets = parse_start(options.at, clock.now()), read_targets(options.targets)
    try:
        with connect(options.broker) as broker:  # its own hours count; all else is read at the time
            hours = market_hours(targets, broker, at=start.day_begins)
    except BrokerError:  # such as a TWS that is started later
        hours = market_hours(targets, at=start.day_begins)
    reason = closed_day(hours, start)
    if reason:
        print(f"{reason}; nothing was sent", file=sys.stderr)
        return False
    print(f"waiting until {start.moment:%Y-%m-%d %H:%M:%S} UTC", flush=True)
    clock.wait_until(start.moment)
    return True


def _print_outcome(run: pd.Series[Any], states: pd.DataFrame) -> int:
    """Print the outcome of a run, and return its exit code."""
    _show(f"Run {run.name}: {run['status']}", states, _STATE_COLUMNS)
    code = _code_of(states)
    if code != DONE and isinstance(run["message"], str):
        print(f"\n{run['message']}")
    return code


def _resume(options: argparse.Namespace) -> int:
    from stocklean_exec.blotter.blotter import open_blotter  # noqa: PLC0415 - heavy; other commands do without
    from stocklean_exec.blotter.database_file import check_path  # noqa: PLC0415 - heavy
    from stocklean_exec.brokers.factory import connect  # noqa: PLC0415 - heavy
    from stocklean_exec.execution.resumption import resume  # noqa: PLC0415 - heavy
    from stocklean_exec.risk.limits_file import read_limits  # noqa: PLC0415 - heavy

    if not check_path(options.blotter).exists():
        print(f"error: there is no blotter {options.blotter!r}", file=sys.stderr)
        return BAD_INPUT
    limits = None if options.limits is None else read_limits(options.limits)
    # Open the blotter first: without it there is nothing to recover at the broker.
    with (
        open_blotter(options.blotter) as blotter,
        connect(options.broker, wait=options.timeout, on_wait=_say) as broker,
    ):
        states = resume(
            options.run_id,
            broker,
            blotter,
            timeout=options.timeout,
            limits=limits,
            send_overtaken=options.send_overtaken,
        )
        run = blotter.runs().set_index("run_id").loc[options.run_id]
    return _print_outcome(run, states)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _confirmed(count: int, word: str = "SUBMIT", what: str = "to send {} orders") -> bool:
    """Ask for a confirmation, unless nothing is to be sent; no answer (cron, a closed terminal) means no."""
    if not count:
        return True
    try:
        answer = input(f"\nType {word} {count} {what.format(count)}: ")
    except (EOFError, RuntimeError):  # RuntimeError: there is no standard input
        return False
    return answer.strip() == f"{word} {count}"


def _status(options: argparse.Namespace) -> int:
    from stocklean_exec.blotter.blotter import read_blotter  # noqa: PLC0415 - heavy; other commands do without

    with read_blotter(options.blotter) as blotter:
        if options.run_id is None:
            _show("Runs", blotter.runs(), _RUN_COLUMNS)
            orders = blotter.orders()
        else:
            runs = blotter.runs()
            runs = runs[runs["run_id"] == options.run_id]
            if runs.empty:
                print(f"error: {_no_run(options.run_id, options.blotter)}", file=sys.stderr)
                return BAD_INPUT
            orders = blotter.orders(options.run_id)
            _show("Run", runs, _RUN_COLUMNS)
            unanswered = orders["reason"].mask(orders["state"] == "SENDING", _UNANSWERED)
            _show(f"Orders of {options.run_id}", orders.assign(reason=unanswered), _STATE_COLUMNS)
            fills = ["exec_id", "client_order_id", "quantity", "price", "commission", "filled_at"]
            _show("Fills", blotter.fills(options.run_id), fills)
    unresolved = orders[orders["status"] == "UNKNOWN"]
    waiting = list(dict.fromkeys(orders.loc[orders["state"].isin(UNFINISHED_STATES), "run_id"]))
    if waiting:
        print("\nunfinished:")
    for run_id in waiting:
        print(f"  {_how_to_resume(run_id, options.blotter)}")
    if len(unresolved):
        print(f"\n{len(unresolved)} orders are unresolved; stocklean resume asks the broker for their status")
        return UNRESOLVED
    return DONE


def _report(options: argparse.Namespace) -> int:
    from stocklean_exec.schema.files import read_quotes  # noqa: PLC0415 - heavy
    from stocklean_exec.schema.prices import usable_prices  # noqa: PLC0415 - heavy
    from stocklean_exec.tca.report import report  # noqa: PLC0415 - heavy; other commands do without

    final = None if options.final_prices is None else usable_prices(read_quotes(options.final_prices))["price"]
    page = report(options.run_id, options.blotter, options.out, final_prices=final, fx=_report_rates(options.fx))
    print(f"{options.out}: {page.summary.headline_text}")
    return DONE


def _halt(options: argparse.Namespace) -> int:
    if options.cancel and options.broker is None:
        raise InputError("--cancel", [Problem("option_missing", "--cancel needs --broker ADDRESS")])
    code = _append_halt(options, "halt")
    if code != DONE or not options.cancel:
        return code
    from stocklean_exec.commands.cancellation import cancel  # noqa: PLC0415 - heavy; other commands do without

    return cancel(options.broker, options.blotter, None, options.timeout)


def _cancel(options: argparse.Namespace) -> int:
    from stocklean_exec.commands.cancellation import cancel  # noqa: PLC0415 - heavy; other commands do without

    return cancel(options.broker, options.blotter, options.run_id, options.timeout)


def _clear_halt(options: argparse.Namespace) -> int:
    return _append_halt(options, "clear")


def _append_halt(options: argparse.Namespace, action: str) -> int:
    from stocklean_exec.blotter.database_file import check_path  # noqa: PLC0415 - heavy; other commands do without
    from stocklean_exec.blotter.kill_switch import HaltJournal  # noqa: PLC0415 - heavy

    file = check_path(options.blotter)
    if not file.exists():
        print(f"error: there is no blotter {options.blotter!r}", file=sys.stderr)
        return BAD_INPUT
    journal = HaltJournal(file)
    entry = journal.halt(options.reason) if action == "halt" else journal.clear(options.reason)
    print(f"{entry.kind.replace('_', ' ')} at {entry.at:%Y-%m-%d %H:%M:%S} UTC: {entry.reason}")
    return DONE
