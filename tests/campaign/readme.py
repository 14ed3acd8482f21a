"""README's section "Reliability", made from the campaign's record and nothing else."""

# ruff: noqa: E501 - the text is as wide as README

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.campaign.conditions import CONDITIONS
from tests.campaign.safeguards import NOT_DRAWN, SAFEGUARDS

__all__ = ["put_section", "section"]

README = Path(__file__).parents[2] / "README.md"
_BEGIN = "<!-- reliability: generated from tests/campaign/record.json by python -m tests.campaign --readme -->"
_END = "<!-- end of reliability -->"
_FIGURES = 9  # columns of the table of safeguards after the first

_TEXT = """\
A run of the campaign is a worker process that plans, approves and submits four to eight orders through the real ib_async
client, over real sockets, to the simulator in a separate process, and records into a real DuckDB file. It is killed with
SIGKILL, at a named point (around each kind of commit, before, within and after the bytes of each order, in each step of
recovery and of closing) or at a random time, with network faults injected; up to two other workers resume the run and may be
killed too; the last one is not killed.{uses} A checker then compares the blotter with the simulator's own journal.

| {runs:,} runs, seeds {first} to {last} | |
|---|--:|
| processes killed | {kills:,} |
| orders accepted by the venue | {orders:,} |
| executions | {fills:,} |
| **orders accepted twice** | **{duplicate_orders}** |
| **fills lost** | **{lost_fills}** |
| **phantom fills** | **{phantom_fills}** |
| positions that differ | {wrong_positions} |
| approved orders neither sent nor `UNKNOWN` nor refused | {never_sent} |
| files that do not open; acknowledged events that are lost | {torn} |
| any other difference | {others} |
| orders sent a second time under their old id, and accepted once | {absorbed:,} |
| orders `UNKNOWN` at the end, each explained by a fault of its run | {unknown} |

{points} crash points, {faults} kinds of fault and {scripts} kinds of orders were drawn by seed, and all of them occurred. {bound}
Python {python}, ib_async {ib_async}, DuckDB {duckdb}; {minutes} minutes.

The same orders, faults and crashes in one process and in virtual time, without sockets and waiting, so that
a seed gives the same schedule to the byte: {schedules:,} schedules, {crashes:,} crashes, {sent:,} orders accepted, {executed:,} executions,
{differences} differences.{chased}

The same campaign with one safeguard disabled at a time, which must fail; on the first seeds whose first worker is killed
around the bytes of an order. Five rows are of the first seeds to which they matter: another client id resumes; the blotter is
replaced overnight by a copy of the evening; an order is still open at the end; the same orders were sent as another run before the resume;
another client id reconciles at the end. The {conditions} rows after them are of runs under a condition that the campaign does not draw by itself
(`--also`, `tests/campaign/conditions.py`), such as an account in another currency or a limit that was changed in TWS. These runs, and those
of the rows without kills, of which no worker is resumed, have no difference with the safeguard. The last rows are what the campaign does
not try, with the reason. An order that is final when a worker ends must have the shares that the venue fills in the end.

| disabled | runs | kills | runs that failed | orders accepted twice | fills lost | phantom fills | commissions lost | orders needlessly `UNKNOWN` | halted without cause |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
{ablation}

**What cannot be known through the API**, and is therefore `UNKNOWN` until a person decides: an order of an earlier day that
left no trace (IB Gateway reports executions and completed orders since midnight only); an order whose id is used up or was
passed by a later one, and which the broker does not report; any doubt after TWS has reset its order ids; and
stale data from TWS. All of this was tested against the simulator, which follows IB's documentation and
captured messages. It was not tested against a real TWS or IB Gateway.

`python -m tests.campaign` runs it, `--seed S` replays one run, `--ablation` disables the safeguards, `--schedules N` runs
schedules in virtual time, `--chases N` those of orders that are worked; `python -m tests.campaign.starts` makes two processes
start the same run by two addresses of one TWS, `--hosts` without any folder in common, as on two computers that use the same `run_client_ids`. `STOCKLEAN_HISTORIES=N pytest tests/execution/test_message_histories.py`
loses, delays, doubles and reorders the messages of N true histories, and compares what is final on record with the venue's journal after each write."""


def section(record: dict[str, Any]) -> str:
    """The section as Markdown."""
    total, versions = record["campaign"], record["versions"]
    found, virtual = total["found"], record["schedules"]
    named = ("duplicate_orders", "lost_fills", "phantom_fills", "wrong_positions", "never_sent")
    torn = found["torn_files"] + found["lost_events"]
    rows = [
        f"| {SAFEGUARDS[name].title} | {row['runs']} | {row['kills']} | {row['bad_runs']} | "
        f"{row['found']['duplicate_orders']} | {row['found']['lost_fills']} | {row['found']['phantom_fills']} | "
        f"{row['found']['lost_commissions']} | {row['found']['unexplained_unknowns']} | {row['found']['halted']} |"
        for name, row in record["ablation"].items()
    ]
    rows += [f"| not tried: {what} ({why}) |{' - |' * _FIGURES}" for what, why in NOT_DRAWN.items()]
    bound = (
        f"None in {total['runs']:,} bounds the share of bad runs to less than {300 / total['runs']:.2f} % (95 %, rule of "
        "three)."
        if not total["bad_runs"]
        else f"{total['bad_runs']} runs failed."
    )
    return _TEXT.format(
        runs=total["runs"],
        first=total["seeds"][0],
        last=total["seeds"][1],
        kills=total["kills"],
        orders=total["orders"],
        fills=total["fills"],
        absorbed=total["absorbed"],
        torn=torn,
        others=sum(found.values()) - sum(found[name] for name in named) - torn,
        unknown=sum(total["states_at_the_end"].get(one, 0) for one in ("UNKNOWN", "MISSING", "UNCONFIRMED")),
        uses=_uses(total) + _nights(total) + _worked(total),
        points=len(total["points"]),
        faults=len(total["faults"]),
        scripts=len(total["orders_by_script"]),
        bound=bound,
        schedules=virtual["schedules"],
        crashes=virtual["kills"],
        sent=virtual["orders"],
        executed=virtual["fills"],
        differences=sum(virtual["found"].values()) or "no",
        chased=_chased(record),
        minutes=round(total["seconds"] / 60),
        ablation="\n".join(rows),
        conditions=sum(not CONDITIONS.keys().isdisjoint(one.also) for one in SAFEGUARDS.values()),
        **{name: found[name] for name in named},
        **versions,
    )


def _chased(record: dict[str, Any]) -> str:
    """Runs with work policies; empty for an older record without them."""
    total = record.get("chases")
    if not total:
        return ""
    repeated = len(total.get("repeated", ()))
    again = (
        f" {repeated} seeds were repeated after corrections that they led to, the others were not."
        if repeated
        else ""
    )
    return (
        f"\n\nOrders that are worked by a drawn `WorkPolicy` while the market moves, in virtual time too: {total['chases']:,} runs, "
        f"{total['kills']:,} crashes,\n{total['orders']:,} orders, {total['changes']:,} changes of limits, {total['fills']:,} executions, "
        f"{sum(total['found'].values()) or 'no'} differences: no approved order was filled with more shares, no\nlimit reached the venue "
        f"that was not recorded before, no quantity was changed, and each order ended as its policy says.{again}"
    )


def _nights(total: dict[str, Any]) -> str:
    """Nights of a campaign; empty for an older record without them."""
    nights = total["faults"].get("night")
    return f" In {nights} a night passed between two workers." if nights else ""


def _worked(total: dict[str, Any]) -> str:
    """Runs of a campaign with worked orders; empty for an older record without them."""
    runs = total["faults"].get("worked")
    return f" In {runs} some orders rested at the near touch, and were finished at a deadline." if runs else ""


def _uses(total: dict[str, Any]) -> str:
    """Further faults of a campaign; empty for an older record without them."""
    if not total["faults"].get("restored_copy"):
        return ""
    faults, held = total["faults"], sum(total.get("reasons_of_held_back", {}).values())
    return (
        f" In {faults['other_client']} runs one of them had another client id, in {faults['restored_copy']} the blotter was "
        f"replaced by an older copy of it, and in {faults['two_addresses']} the address was spelt in two ways; {held} orders that were "
        "missing in such a copy, or overtaken by a later run, were held back, each with its reason."
    ) + _ends(faults)


def _ends(faults: dict[str, int]) -> str:
    """Later runs and reconciliations of a campaign; empty for an older record without them."""
    if not faults.get("later_run"):
        return ""
    return (
        f" In {faults['later_run']} the same orders were sent as another run before the first was resumed, and {faults['reconciled']} were "
        "reconciled at the end, two in three of them by another client id."
    )


def put_section(record: dict[str, Any], *, write: bool) -> int:
    """Write README's section from the record; without ``write`` only compare it: 0 if it is up to date."""
    text = README.read_text("utf-8")
    head, _, rest = text.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    wanted = f"{head}{_BEGIN}\n\n{section(record)}\n\n{_END}{tail}"
    if write:
        README.write_text(wanted, "utf-8")
    return 0 if write else int(wanted != text)
