"""bench."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from hashkernels import _validation as check
from hashkernels.cli.console import emit
from hashkernels.cli.options import Force, Json
from hashkernels.data.files import check_ending, check_output_files, save_text
from hashkernels.report import text_table


def bench(
    only: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Cases whose title contains this; repeatable.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Which cases: those with a goal (targets), or all.")] = "all",
    data_dir: Annotated[
        Path | None, typer.Option(help="Also search the real codes in the .npz files of this folder.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(metavar="INT", help="Thread counts to time; repeatable [default: 1].")
    ] = None,
    also_threads: Annotated[
        list[int] | None, typer.Option(metavar="INT", help="Then time ours alone on so many threads, too; repeatable.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Time for each contender of a case [default: 1, with --quick 0].")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: a check of the code, no figures to quote.")
    ] = False,
    list_cases: Annotated[bool, typer.Option("--list", help="Print the cases and exit.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also write all figures as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw ratios and rates of top-k by width.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Time the kernels against pure torch and their peers; every result is checked first.

    Peers that are not installed are left out: pip install 'hashkernels[bench]' brings them.

    Examples:

      hashkernels bench --only topk --threads 1 --threads 2

      hashkernels bench --output results.json
    """
    suite: Any = import_module("hashkernels.benchmarks")
    wanted = only or [""]
    check.check_choice("preset", preset, ("targets", "all"))
    if data_dir is not None and not data_dir.is_dir():
        raise ValueError(f"data_dir must be a folder, got {data_dir}")
    known = suite.CASES if preset == "all" else [case for case in suite.CASES if case.target]
    real = () if data_dir is None else suite.data_set_cases(data_dir)
    cases = [case for case in (*known, *real) if any(text in case.title for text in wanted)]
    if not cases:
        raise ValueError(f"only must match the title of a case (see --list), got {', '.join(wanted)}")
    seconds = check.check_real("seconds", float(not quick) if seconds is None else seconds, 0.0, 3600.0)
    counts = [check.check_int("threads", count, 1, check.MAX_THREADS) for count in threads or [1]]
    others = [check.check_int("also_threads", count, 1, check.MAX_THREADS) for count in also_threads or []]
    if list_cases:
        emit(as_json, {"cases": [case.title for case in cases]}, "\n".join(case.title for case in cases))
        return
    if output is not None:
        check_ending("output", output, ".json")
    outputs = [path for path in (output, plot) if path is not None]
    check_output_files(outputs, force=force)
    plots: Any = None if plot is None else import_module("hashkernels.benchmarks.plot")
    if plots is not None:
        plots.check_plot(cases, plot, quick=quick)

    environment = suite.environment()
    limits: dict[int, dict[str, float]] = {}
    measurements: list[dict[str, Any]] = []
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=len(cases) * len(counts))
        for case in cases:
            for count in counts:
                bar.update(task, description=case.title)
                if count not in limits and not quick:
                    with suite.thread_limit(count):
                        limits[count] = suite.machine_limits()
                measurement = suite.measure(
                    case,
                    threads=count,
                    seconds=seconds,
                    quick=quick,
                    limits=limits.get(count),
                    also_threads=others,
                ).to_dict()
                measurements.append(measurement)
                bar.advance(task)
                if not as_json:
                    typer.echo(_table(measurement) + "\n")
                    sys.stdout.flush()
    by_threads = {str(count): values for count, values in limits.items()}
    numbers = {"environment": environment, "limits": by_threads, "quick": quick, "measurements": measurements}
    if output is not None:
        save_text(output, json.dumps(numbers, indent=1))
    if plots is not None:
        plots.plot_topk(measurements, limits, plot)
    if as_json:
        emit(True, numbers, "")


def _table(measurement: dict[str, Any]) -> str:
    """One case: median milliseconds, the range of the rounds, the first call of each, and how many times as long as
    ours."""
    rows = [
        [
            name,
            f"{1e3 * seconds:.3f}",
            f"{1e3 * measurement['fastest'][name]:.3f}..{1e3 * measurement['slowest'][name]:.3f}",
            f"{1e3 * measurement['first'][name]:.3f}",
            f"{measurement['ratio'].get(name, 1.0):.2f}",
        ]
        for name, seconds in measurement["seconds"].items()
    ]
    threads = measurement["threads"]
    title = f"{measurement['case']} ({threads} thread{'s' if threads > 1 else ''})"
    rate = f"{measurement['rate'] / 1e9:.3g} G{measurement['rate_unit']}"
    shares = [f"{share:.0%} of the limit of {name}" for name, share in measurement["share_of_limit"].items()]
    alone, fastest = measurement["on_threads"], measurement["fastest_on_threads"]
    speed_up = [
        f"alone {alone[threads] / seconds:.2f} times as fast on {count} threads "
        f"({fastest[threads] / fastest[count]:.2f} by the fastest turns)"
        for count, seconds in alone.items()
        if count != threads
    ]
    ours = ", ".join([rate, *shares, *speed_up])
    return f"{title}\n{text_table(['', 'median ms', 'range', 'first call', 'ratio'], rows)}\nhashkernels: {ours}"


COMMANDS = (bench,)
