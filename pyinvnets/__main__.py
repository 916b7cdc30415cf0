"""The command line: `python -m pyinvnets COMMAND`."""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from pathlib import Path

from . import __version__
from .engines import ENGINES


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 where it failed, 2 for a wrong command line."""
    options = _parser().parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"{message}\n"
    try:
        return options.run(options) or 0
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        print(f"pyinvnets {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyinvnets", description="Invertible networks and normalising flows of InvertibleNetworks.jl."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    tutorial = commands.add_parser(
        "tutorial",
        help="train GLOW on the banana distribution and draw the tutorial's figures",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="example: python -m pyinvnets tutorial --engine numpy --iterations 1200 --output banana",
    )
    tutorial.add_argument("--engine", choices=(*ENGINES, "auto"), help="the engine; julia where it is ready")
    tutorial.add_argument("--iterations", type=_positive_int, default=400, help="number of updates")
    tutorial.add_argument("--seed", type=int, default=1234, help="seed of samples and weights")
    tutorial.add_argument("--batch-size", type=_batch_size, default=150, help="samples per update")
    tutorial.add_argument("--learning-rate", type=_positive_float, default=9e-4, help="of Adam")
    tutorial.add_argument("--output", type=Path, default=Path("tutorial-output"), help="folder to write to")
    tutorial.set_defaults(run=_tutorial)

    setup = commands.add_parser("setup", help="install Julia and its packages for the Julia engine, and try them")
    setup.set_defaults(run=_setup)
    doctor = commands.add_parser("doctor", help="report what of the Julia engine is there and usable")
    doctor.set_defaults(run=_doctor)

    validate = commands.add_parser(
        "validate",
        help="run every layer and network on both engines and compare; without Julia, NumPy with golden vectors",
        epilog="example: python -m pyinvnets validate --only NetworkGlow --json report.json",
    )
    validate.add_argument("--only", metavar="NAME", help="a layer or network, such as NetworkGlow, or one case of it")
    validate.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    validate.set_defaults(run=_validate)
    return parser


def _tutorial(options: argparse.Namespace) -> None:
    from . import tutorial

    tutorial.run(
        options.output,
        engine=options.engine,
        iterations=options.iterations,
        seed=options.seed,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
    )


def _setup(options: argparse.Namespace) -> None:
    from .engines.julia import setup

    setup.run()


def _doctor(options: argparse.Namespace) -> int:
    from .engines.julia import doctor

    return doctor.run()


def _validate(options: argparse.Namespace) -> int:
    from . import validate

    return validate.run(options.only, options.json)


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _batch_size(text: str) -> int:
    from .tutorial import N_TRAIN

    value = _positive_int(text)
    if not 2 <= value <= N_TRAIN:
        raise argparse.ArgumentTypeError(f"must be from 2 to {N_TRAIN}, the number of training samples, got {text}")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a positive finite number, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
