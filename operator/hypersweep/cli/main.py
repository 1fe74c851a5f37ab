"""hypersweep: run, plan, analyze, tensorboard, rerun, validate, crd, operator.

Owns arguments and exit codes; the work is done elsewhere.

Exit codes: 0 done, 1 the sweep failed or the manifest is refused, 2 wrong usage, 130 interrupted.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypersweep import __version__
from hypersweep.cli.shorthand import GRAMMAR, manifest
from hypersweep.core.errors import HyperSweepError, SpecError
from hypersweep.core.spec import BUILT_IN, Strategy

DEFAULT_TRACKING = "sqlite:///hypersweep.db"
EXAMPLE = """\
  hypersweep run --param lr=1e-5..1e-1:log --param opt=sgd,adam --maximize accuracy --trials 20 -- python train.py"""
DEFAULT_FOLDER = Path("hypersweep-runs")
_OF_A_BARE_COMMAND = ("param", "maximize", "minimize", "strategy", "seed", "arguments", "name", "image")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options, command = _split(given)
    parsed = _parser().parse_args(options)
    parsed.command_line = command
    try:
        return int(parsed.call(parsed))
    except SpecError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1
    except HyperSweepError as error:
        print(f"hypersweep: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:  # no file or folder of the user's
            raise
        print(f"hypersweep: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hypersweep", description="Hyperparameter sweeps on Kubernetes, or on this machine."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_analyze(commands)
    _add_tensorboard(commands)
    _add_rerun(commands)

    validate = commands.add_parser("validate", help="say what is wrong with manifests, before any cluster does")
    validate.add_argument("paths", nargs="+", metavar="FILE", help="manifests; - reads standard input")
    validate.set_defaults(call=_validate)

    _add_plan(commands)

    crd = commands.add_parser("crd", help="print the CustomResourceDefinition, for kubectl apply -f -")
    crd.set_defaults(call=_crd)

    operator = commands.add_parser("operator", help="run the operator (the chart does)")
    operator.add_argument("--config", type=Path, required=True, metavar="FILE", help="the operator's configuration")
    operator.set_defaults(call=_operator)
    return parser


def _tracked() -> argparse.ArgumentParser:
    """What commands have in common that read or write results."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--tracking-uri",
        default=DEFAULT_TRACKING,
        metavar="URI",
        help="where MLflow keeps the results (default: %(default)s)",
    )
    return parent


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        parents=[_tracked()],
        help="run a sweep on this machine",
        description="Run a sweep on this machine: the file that a cluster would get, or a bare command after `--`.",
        epilog=f"parameters:\n{GRAMMAR}\n\nexample:\n{EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("file", nargs="?", metavar="FILE", help="a HyperparameterSweep; - reads standard input")
    run.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUES", help="a parameter (see below); may be repeated"
    )
    goal = run.add_mutually_exclusive_group()
    goal.add_argument("--maximize", metavar="METRIC", help="the MLflow metric to maximize")
    goal.add_argument("--minimize", metavar="METRIC", help="the MLflow metric to minimize")
    run.add_argument(
        "--strategy",
        metavar="NAME",
        help=f"what proposes: {', '.join(BUILT_IN)}, or package/Name of one that is installed (default: {Strategy().name})",
    )
    run.add_argument("--seed", type=int, help="of the strategy (default: 0)")
    run.add_argument("--trials", type=int, metavar="N", help="trials in all (default: the file's, or 20)")
    run.add_argument("--parallel", type=int, metavar="N", help="trials at a time (default: the file's, or 1)")
    run.add_argument(
        "--arguments",
        choices=["None", "Flags", "Hydra"],
        help="how a bare command gets its parameters (default: --name=value)",
    )
    run.add_argument("--name", help="the sweep's name (default: the command's)")
    run.add_argument("--image", help="the image that --export writes (default: IMAGE)")
    run.add_argument("--export", action="store_true", help="print the manifest for the cluster instead of running it")
    run.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help="for logs and checkpoints (default: %(default)s)"
    )
    run.set_defaults(call=_run)


def _add_plan(commands: Any) -> None:
    plan = commands.add_parser(
        "plan",
        help="say what a sweep will do, before anything is spent",
        description="Say what a sweep will do, without a cluster: its space, its strategy and why, its first trials, what is "
        "probably not meant, and what it may cost.",
    )
    plan.add_argument("file", metavar="FILE", help="a HyperparameterSweep; - reads standard input")
    plan.add_argument("--first", type=_count, default=5, metavar="N", help="trials to show (default: %(default)s)")
    plan.add_argument("--trial-hours", type=_amount, metavar="HOURS", help="how long a trial takes")
    plan.add_argument("--price", type=_amount, metavar="PRICE", help="of an hour of one trial, in your currency")
    plan.add_argument("--output", choices=["text", "json"], default="text", help="(default: %(default)s)")
    plan.set_defaults(call=_plan)


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= 100:
        raise argparse.ArgumentTypeError(f"found {text}; allowed: 0 to 100")
    return count


def _amount(text: str) -> float:
    amount = float(text)
    if not 0 < amount < 1e9:
        raise argparse.ArgumentTypeError(f"found {text}; allowed: more than 0, below 1e9")
    return amount


def _plan(given: argparse.Namespace) -> int:
    from hypersweep.cli.plan import plan

    if given.price is not None and given.trial_hours is None:
        raise HyperSweepError("--price is of an hour of one trial: say with --trial-hours how many a trial takes")
    return plan(given.file, first=given.first, trial_hours=given.trial_hours, price=given.price, form=given.output)


def _add_analyze(commands: Any) -> None:
    parser = commands.add_parser(
        "analyze",
        parents=[_tracked()],
        help="say what a sweep taught: importance, effects, failures, and where nobody looked",
        description="Say what a sweep taught so far, from what MLflow holds of it; also while it runs.",
    )
    parser.add_argument("sweep", nargs="?", metavar="SWEEP|FILE", help="a sweep's name in the ledger, or its manifest")
    parser.add_argument("--experiment", metavar="NAME", help="all sweeps of that MLflow experiment together")
    parser.add_argument(
        "--output", choices=["text", "markdown", "json"], default="text", help="what to print (default: %(default)s)"
    )
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write plots there, as PNG")
    parser.set_defaults(call=_analyze)


def _add_tensorboard(commands: Any) -> None:
    parser = commands.add_parser(
        "tensorboard",
        parents=[_tracked()],
        help="open all trials of a sweep in TensorBoard, side by side",
        description="Fetch the event files of a sweep's trials from MLflow, a folder for each, and open them in TensorBoard. "
        "Trials that end meanwhile are added.",
    )
    parser.add_argument("sweep", metavar="SWEEP|FILE", help="a sweep's name in the ledger, or its manifest")
    parser.add_argument("--experiment", metavar="NAME", help="the MLflow experiment to look in first")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="where the files go (default: hypersweep-tensorboard/SWEEP)"
    )
    parser.add_argument("--no-serve", action="store_true", help="only fetch the files")
    parser.add_argument("--port", type=int, default=6006, help="of TensorBoard's pages (default: %(default)s)")
    parser.add_argument("--host", default="localhost", help="to listen at (default: %(default)s)")
    parser.set_defaults(call=_tensorboard)


def _add_rerun(commands: Any) -> None:
    parser = commands.add_parser(
        "rerun",
        parents=[_tracked()],
        help="repeat one trial exactly, and say whether it came out the same",
        description="Repeat the trial of an MLflow run with its template, parameters and seed, here or in the cluster. "
        "Exit code: 0 the same, 1 not the same, 2 it could not be repeated.",
    )
    parser.add_argument("run", metavar="RUN", help="id of the trial's run in MLflow")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, help="how far a value may be off (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="another seed, to see what it changes")
    parser.add_argument(
        "--set-env",
        type=_variable,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value that MLflow does not hold since it is secret; else your shell's variable of that name",
    )
    parser.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help="for the log and checkpoints (default: %(default)s)"
    )
    parser.add_argument("--cluster", action="store_true", help="as a Job of the cluster that kubectl talks to")
    parser.add_argument("--namespace", metavar="NAME", help="of the Job (default: the sweep's)")
    parser.add_argument(
        "--trial-tracking-uri", metavar="URI", help="MLflow as the Job reaches it (default: as --tracking-uri)"
    )
    parser.add_argument(
        "--timeout", type=float, default=86400.0, metavar="SECONDS", help="for the Job (default: a day)"
    )
    parser.set_defaults(call=_rerun)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"found {text}; allowed: NAME=VALUE")
    return name, value


def _run(given: argparse.Namespace) -> int:
    from hypersweep.core.admission import check
    from hypersweep.core.goyaml import dump
    from hypersweep.core.manifest import parse

    document = _document(given)
    if given.export:
        print(dump(document), end="")
        return 0
    metadata, spec = parse(document)
    problems = check(metadata, spec)
    if problems:
        raise SpecError(problems)

    from hypersweep.controller import logs
    from hypersweep.local.display import Display
    from hypersweep.local.run import run
    from hypersweep.local.world import ignored

    logs.configure(form="text", level=30)
    display = Display()
    left_out = ignored(spec)
    if left_out and given.file:
        display.note(f"on this machine these are left aside: {', '.join(left_out)}")
    name = metadata["name"]
    return asyncio.run(run(name=name, spec=spec, uri=given.tracking_uri, folder=given.folder / name, display=display))


def _document(given: argparse.Namespace) -> dict[str, Any]:
    """The manifest that was named, or the one that the arguments describe."""
    from hypersweep.core.manifest import read_one

    if bool(given.file) == bool(given.command_line):
        raise HyperSweepError("name a file, or give --param … and a command after --; see hypersweep run --help")
    if given.file:
        if ignored := [f"--{name}" for name in _OF_A_BARE_COMMAND if getattr(given, name) not in (None, [])]:
            raise HyperSweepError(f"with a file, {', '.join(ignored)} would count for nothing: the file says it")
        return _with_budget(read_one(given.file), max=given.trials, parallel=given.parallel)
    if not (given.maximize or given.minimize):
        raise HyperSweepError("say what is good: --maximize METRIC or --minimize METRIC")
    return manifest(
        name=given.name or _name_of(given.command_line),
        parameters=given.param,
        metric=given.maximize or given.minimize,
        goal="Maximize" if given.maximize else "Minimize",
        strategy=given.strategy or Strategy().name,
        seed=given.seed or 0,
        trials=20 if given.trials is None else given.trials,
        parallel=1 if given.parallel is None else given.parallel,
        arguments=given.arguments or "Flags",
        image=given.image or "IMAGE",
        command=given.command_line,
    )


def _with_budget(document: dict[str, Any], **given: int | None) -> dict[str, Any]:
    """The manifest with these of `spec.trials`, as far as they are given; one of another shape is left to who checks it."""
    said = {key: count for key, count in given.items() if count is not None}
    spec = document.get("spec")
    trials = (spec.get("trials") or {}) if isinstance(spec, dict) else None
    if not said or not isinstance(spec, dict) or not isinstance(trials, dict):
        return document
    return {**document, "spec": {**spec, "trials": {**trials, **said}}}


def _name_of(command: Sequence[str]) -> str:
    """A name for a bare command: its script's, or its program's."""
    script = next((part for part in command if part.endswith(".py")), command[0])
    kept = "".join(c if c.isalnum() else "-" for c in Path(script).stem.lower()).strip("-")
    return kept or "sweep"


def _validate(given: argparse.Namespace) -> int:
    from hypersweep.cli.validate import validate

    return validate(given.paths)


def _analyze(given: argparse.Namespace) -> int:
    from hypersweep.cli.analyze import main as analyze

    return analyze(given)


def _tensorboard(given: argparse.Namespace) -> int:
    from hypersweep.cli.tensorboard import main as tensorboard

    return tensorboard(given)


def _rerun(given: argparse.Namespace) -> int:
    from hypersweep.cli.rerun import main as rerun

    return rerun(given)


def _crd(given: argparse.Namespace) -> int:  # noqa: ARG001
    from hypersweep.cli.validate import crd

    return crd()


def _operator(given: argparse.Namespace) -> int:
    from hypersweep.controller.config import load
    from hypersweep.controller.operator import run

    return run(load(given.config))


if __name__ == "__main__":
    sys.exit(main())
