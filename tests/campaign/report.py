"""The campaign's command line: runs it, adds it up, prints a table, keeps the record, writes README's section."""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import platform
import re
import resource
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.campaign.chases import FAILURES_OF_CHASES, FAULTS_OF_CHASES
from tests.campaign.checker import EXPLAINED_BY, FAILURES, HELD_BY
from tests.campaign.conditions import CONDITIONS
from tests.campaign.lanes import chase_in_virtual_time, run_campaign, run_in_virtual_time, run_seed
from tests.campaign.plans import FAULTS, MORE, POINTS, USES, make_plan
from tests.campaign.readme import put_section
from tests.campaign.safeguards import SAFEGUARDS
from tests.campaign.schedules import FAULTS_HERE, STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.campaign.plans import Plan

__all__ = ["RECORD", "add_up", "add_up_chases", "add_up_schedules", "main", "never_reached"]

RECORD = Path(__file__).with_name("record.json")
LEFT_STATES = ("INTENT", "SENDING", "WORKING", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "UNKNOWN")
END_STATES = ("FILLED", "CANCELLED", "REJECTED", "UNKNOWN")
_SHOWN = {
    "drop_before_read": r"drop_before_read ",
    "drop_after_read": r"drop_after_read ",
    "drop_after_accept": r"drop_after_accept ",
    "drop_after_answer": r"drop_after_answer ",
    "swallowed_order": r"swallow ",
    "late_order": r"delay placeOrder",
    "held_order": r"hold ",
    "refused_request": r"error ",
    "half_open": r"deaf ",
    "stalled": r"stall ",
    "omitted": r"omit ",
    "duplicated": r"duplicate ",
    "delayed": r"delay (?!placeOrder)",
    "reordered": r"reorder ",
    "cut": r"cut ",
    "split": r"split ",
    "closed_before": r"close_before ",
    "closed_after": r"close_after ",
    "garbage": r"garbage ",
    "link_1102": r"event link_up 1102",
    "link_1101": r"event link_up 1101",
    "link_lost_news": r"event link_up 1102",
    "disconnect": r"event disconnect",
    "pacing": r"event pacing",
    "ids_reset": r"event reset_ids",
    "venue_restarts": r"event restart",
    "restored_copy": r"restored",
    "night": r"night",
    "held_bytes": r"deaf ",
    "stopped": r"stopped",
    "unanswered_completed": r"swallow reqCompletedOrders",
}
"""What the venue notes when a fault happens; a fault without a line here is a way it is set up."""


def add_up(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of many runs, and every failure with the line that replays it."""
    counts: dict[str, Counter[str]] = {
        name: Counter()
        for name in ("found", "points", "faults", "scripts", "states", "left", "unknown", "held", "sums")
    }
    failures, seeds = [], []
    for one in results:
        seeds.append(one["seed"])
        counts["found"].update(one["found"])
        counts["points"].update(one.get("kills", ()))
        counts["scripts"].update(one.get("scripts", ()))
        counts["states"].update(one.get("states", {}))
        counts["left"].update(one.get("found_states", {}))
        counts["unknown"].update(map(_class_of, one.get("unknown", ())))
        counts["held"].update(map(_class_of, one.get("held", ())))
        counts["sums"].update(
            runs=1,
            kills=len(one.get("kills", ())),
            runs_with_a_kill=bool(one.get("kills")),
            orders=one.get("accepted", 0),
            fills=one.get("fills", 0),
            absorbed=one.get("absorbed", 0),
        )
        counts["faults"].update(_faults_of(one))
        if one["found"]:
            failures.append({"seed": one["seed"], "found": one["found"], "words": one["words"][:5]})
    return {
        "seeds": [min(seeds), max(seeds)] if seeds else [],
        **counts["sums"],
        "bad_runs": len(failures),
        "found": {name: counts["found"][name] for name in FAILURES},
        "points": {name: counts["points"][name] for name in (*POINTS, "random time")},
        "faults": {name: counts["faults"][name] for name in (*FAULTS, *USES, *MORE)},
        "orders_by_script": dict(sorted(counts["scripts"].items())),
        "states_that_a_kill_left": dict(sorted(counts["left"].items())),
        "states_at_the_end": dict(sorted(counts["states"].items())),
        "reasons_of_unknown": dict(sorted(counts["unknown"].items())),
        "reasons_of_held_back": dict(sorted(counts["held"].items())),
        "failures": sorted(failures, key=lambda one: one["seed"]),
    }


def _class_of(reason: str) -> str:
    for words, _ in (*EXPLAINED_BY, *HELD_BY):
        found = re.search(words, reason)
        if found:
            return found.group()
    return reason


def _faults_of(one: dict[str, Any]) -> list[str]:
    """Faults that a run had and that happened, as far as the venue knows."""
    happened = list(one.get("happened", {}))
    return [
        name
        for name in one.get("faults", ())
        if name not in _SHOWN or any(re.match(_SHOWN[name], line) for line in happened)
    ]


def never_reached(total: dict[str, Any]) -> list[str]:
    """Crash points, faults and states that a campaign has not reached: then it does not count.

    Examples
    --------
    >>> len(never_reached(add_up([]))) > 80
    True
    """
    return [
        *(f"point {name}" for name, count in total["points"].items() if not count),
        *(f"fault {name}" for name, count in total["faults"].items() if not count),
        *(f"left in {name}" for name in LEFT_STATES if not total["states_that_a_kill_left"].get(name)),
        *(f"ended as {name}" for name in END_STATES if not total["states_at_the_end"].get(name)),
    ]


# -- the command line ----------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if anything failed that must not."""
    options = _parser().parse_args(argv)
    gc.collect()
    gc.freeze()  # what is here now is shared with every fork
    if options.readme:
        return put_section(json.loads(RECORD.read_text("utf-8")), write=True)
    if options.seed is not None:
        return _replay(options)
    if options.schedules:
        return _schedule(options)
    if options.chases:
        return _chase(options)
    if options.ablation:
        return _ablate(options)
    total = _measure(options, off=options.off, also=options.also, alone=options.alone)
    print(table(total))
    if options.record and not options.off:
        _keep("campaign", total)
    return int(bool(total["failures"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--wide", type=int, default=4, help="runs side by side; most of a run is waiting")
    parser.add_argument("--seed", type=int, help="replay one run, and print all about it")
    parser.add_argument("--keep", type=Path, help="with --seed: a folder for what the run leaves")
    asked = [*FAULTS, *CONDITIONS]
    parser.add_argument("--also", nargs="*", default=(), choices=asked, help="what every run has as well")
    parser.add_argument(
        "--alone", action="store_true", help="one worker, no kills, and no faults but those of --also"
    )
    parser.add_argument("--off", default="", choices=["", *SAFEGUARDS], help="a safeguard to switch off")
    parser.add_argument("--rotations", action="store_true", help="only runs whose buys wait for sells")
    parser.add_argument("--worked", action="store_true", help="only runs with orders that are worked")
    parser.add_argument("--ablation", action="store_true", help="--runs seeds with each safeguard off in turn")
    parser.add_argument("--schedules", type=int, default=0, help="this many schedules in virtual time instead")
    parser.add_argument("--chases", type=int, default=0, help="this many runs with work policies in virtual time")
    parser.add_argument("--results", type=Path, help="a file to keep results in; what it has is not run again")
    parser.add_argument("--record", action="store_true", help="keep the result in record.json")
    parser.add_argument("--readme", action="store_true", help="write README's section from record.json")
    return parser


def _replay(options: argparse.Namespace) -> int:
    print(json.dumps(vars(make_plan(options.seed, also=options.also, alone=options.alone)), indent=1))
    result = run_seed(options.seed, off=options.off, also=options.also, alone=options.alone, keep=options.keep)
    print(json.dumps(result, indent=1))
    return int(bool(result["found"]))


def _schedule(options: argparse.Namespace) -> int:
    started, results = time.monotonic(), []
    seeds = range(options.first, options.first + options.schedules)
    for one in run_in_virtual_time(seeds, wide=options.wide, off=options.off, also=options.also):
        results.append(one)
        if one["found"]:
            print(f"{one['found']}: {' / '.join(one['words'][:3])}")
            print(f"  python -m tests.campaign{_with(options.also)} --schedules 1 --first {one['seed']}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the lanes, however busy the computer is
    total = {
        "seconds": round(time.monotonic() - started),
        "cpu_seconds": round(used.ru_utime + used.ru_stime),
        "load": round(os.getloadavg()[1], 1),
        "wide": options.wide,
        **add_up_schedules(results),
    }
    print(json.dumps(total))
    if options.record and not options.off:
        _keep("schedules", total)
    return int(bool(total["failures"]))


def add_up_schedules(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum of many schedules, as of a campaign's runs, with the steps and faults that one process has."""
    total = add_up(results)
    steps = Counter(step for one in results for step in one.get("kills", ()))
    return {
        "schedules": len(results),
        "virtual_seconds": round(sum(one.get("virtual_seconds", 0.0) for one in results)),
        **total,
        "points": {name: steps[name] for name in STEPS},
        "faults": {name: total["faults"][name] for name in FAULTS_HERE},
    }


def _chase(options: argparse.Namespace) -> int:
    results = _earlier(options.results)
    done = {one["seed"] for one in results}
    seeds = [seed for seed in range(options.first, options.first + options.chases) if seed not in done]
    for one in chase_in_virtual_time(seeds, wide=options.wide):
        results.append(one)
        _append(options.results, one)
        if one["found"]:
            print(f"{one['found']}: {' / '.join(one['words'][:3])}")
            print(f"  python -m tests.campaign --chases 1 --first {one['seed']}", flush=True)
    total = {"load": round(os.getloadavg()[1], 1), "wide": options.wide, **add_up_chases(results)}
    print(json.dumps(total))
    if options.record:
        _keep("chases", total)
    return int(bool(total["failures"]))


def add_up_chases(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum of many runs whose orders are worked by a policy.

    Examples
    --------
    >>> one = {"seed": 7, "found": {}, "kills": ["random time"], "orders": 2, "changes": 3, "at_deadline": "MKT"}
    >>> total = add_up_chases([one])
    >>> [total[name] for name in ("chases", "seeds", "kills", "changes", "bad_runs", "by_at_deadline")]
    [1, [7, 7], 1, 3, 0, {'MKT': 1}]
    """
    seeds = [one["seed"] for one in results]
    found = sum((Counter(one["found"]) for one in results), Counter[str]())
    faults = Counter(name for one in results for name in one.get("faults", ()))
    scripts = Counter(name for one in results for name in one.get("scripts", ()))
    ends = Counter(one["at_deadline"] for one in results if "at_deadline" in one)
    sums = {name: sum(one.get(name, 0) for one in results) for name in ("orders", "fills", "changes", "unknown")}
    seconds = {
        name: round(sum(one.get(name, 0.0) for one in results)) for name in ("cpu_seconds", "virtual_seconds")
    }
    failures = [{name: one[name] for name in ("seed", "found", "words")} for one in results if one["found"]]
    return {
        "chases": len(results),
        "seeds": [min(seeds), max(seeds)] if seeds else [],
        **seconds,
        "kills": sum(len(one.get("kills", ())) for one in results),
        **sums,
        "bad_runs": len(failures),
        "found": {name: found[name] for name in (*FAILURES, *FAILURES_OF_CHASES)},
        "by_at_deadline": dict(sorted(ends.items())),
        "faults": {name: faults[name] for name in FAULTS_OF_CHASES},
        "orders_by_answer": dict(sorted(scripts.items())),
        "failures": sorted(failures, key=lambda one: one["seed"]),
    }


def _seeds(options: argparse.Namespace) -> Sequence[int]:
    if options.rotations:
        rotations = (seed for seed in itertools.count(options.first) if make_plan(seed).cash is not None)
        return list(itertools.islice(rotations, options.runs))
    if options.worked:
        return _fitting(lambda plan: plan.work is not None, options.first, options.runs)
    return range(options.first, options.first + options.runs)


def _is_near_the_wire(plan: Plan) -> bool:
    """Whether the first worker dies around the bytes of an order, where safeguards matter."""
    return plan.workers[0].get("at", "").startswith("order.")


def _fitting(fits: Callable[[Plan], bool], first: int, count: int, also: Sequence[str] = ()) -> list[int]:
    """The first seeds whose plan is of a kind."""
    seeds = (seed for seed in itertools.count(first) if fits(make_plan(seed, also=also)))
    return list(itertools.islice(seeds, count))


def _measure(
    options: argparse.Namespace, *, off: str, also: Sequence[str], alone: bool = False, seeds: Sequence[int] = ()
) -> dict[str, Any]:
    results_file = None if off or alone else options.results
    started, results = time.monotonic(), _earlier(results_file)
    done = {one["seed"] for one in results}
    wanted = seeds or _seeds(options)
    left = [seed for seed in wanted if seed not in done]
    for one in run_campaign(left, wide=options.wide, off=off, also=also, alone=alone):
        one["elapsed"] = round(time.monotonic() - started, 1)
        results.append(one)
        _append(results_file, one)
        if one["found"] and not off:
            print(f"{one['found']}: {' / '.join(one['words'][:3])}")
            print(f"  python -m tests.campaign{_with(also)} --seed {one['seed']}", flush=True)
    return {"seconds": round(_time_of(results)), "wide": options.wide, **add_up(results)}


def _time_of(results: list[dict[str, Any]]) -> float:
    """Seconds that all took, in however many pieces: each piece begins at zero."""
    elapsed = [one["elapsed"] for one in results]
    return sum(here for here, after in zip(elapsed, [*elapsed[1:], 0.0], strict=True) if after < here or not after)


def _earlier(path: Path | None) -> list[dict[str, Any]]:
    """Results of a campaign that was interrupted."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _append(path: Path | None, result: dict[str, Any]) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(result) + "\n")


def _with(also: Sequence[str]) -> str:
    return f" --also {' '.join(also)}" if also else ""


def _ablate(options: argparse.Namespace) -> int:
    rows = {}
    for name, safeguard in SAFEGUARDS.items():
        if options.off not in ("", name):
            continue
        also, alone = safeguard.also, safeguard.is_alone
        if alone:
            seeds = _seeds(options)
        elif safeguard.fits is None:
            seeds = _fitting(_is_near_the_wire, options.first, options.runs)
        else:
            seeds = _fitting(safeguard.fits, options.first, options.runs, also)
        has_control = alone or not CONDITIONS.keys().isdisjoint(also)
        if has_control and _measure(options, off="", also=also, alone=alone, seeds=seeds)["bad_runs"]:
            print(f"{name}: these runs fail with the safeguard on too")
            continue
        total = _measure(options, off=name, also=also, alone=alone, seeds=seeds)
        rows[name] = {key: total[key] for key in ("seeds", "runs", "kills", "bad_runs", "found", "seconds")}
        found = {kind: count for kind, count in total["found"].items() if count}
        print(
            f"{name}: {total['runs']} runs, {total['kills']} kills, {total['bad_runs']} bad: {found}", flush=True
        )
    if options.record:
        earlier = json.loads(RECORD.read_text("utf-8")).get("ablation", {}) if RECORD.exists() else {}
        _keep("ablation", {name: (earlier | rows)[name] for name in SAFEGUARDS if name in earlier | rows})
    harmless = [name for name, row in rows.items() if not row["bad_runs"]]
    if harmless:
        print(f"switched off without harm: {', '.join(harmless)}; the campaign cannot see these safeguards")
    return int(bool(harmless))


def table(total: dict[str, Any]) -> str:
    """The campaign in one table."""
    pace = 60 * total["runs"] / max(total["seconds"], 1)
    counts = (f"{total[name]} {name}" for name in ("runs", "kills", "orders", "fills", "seconds"))
    lines = [f"{', '.join(counts)}, {pace:.0f} runs/min"]
    lines += [f"  {name.replace('_', ' '):32}{count:8}" for name, count in total["found"].items()]
    lines.append(f"  {'second submissions absorbed':32}{total['absorbed']:8}")
    for title, counts in (
        ("killed at", total["points"]),
        ("runs with fault", total["faults"]),
        ("orders left by a kill in state", total["states_that_a_kill_left"]),
        ("orders at the end", total["states_at_the_end"]),
        ("UNKNOWN at the end because", total["reasons_of_unknown"]),
        ("held back at the end because", total["reasons_of_held_back"]),
    ):
        lines += [f"{title}:", *(f"  {name:48}{count:8}" for name, count in counts.items())]
    missing = never_reached(total)
    if missing:
        lines.append(f"This does not count as a campaign; it never reached: {', '.join(missing)}")
    return "\n".join(lines)


def _keep(name: str, content: dict[str, Any]) -> None:
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    packages = ("stocklean_exec", "ib_async", "duckdb", "pandas")
    record["versions"] = {"python": platform.python_version(), **{one: version(one) for one in packages}}
    record[name] = content
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
