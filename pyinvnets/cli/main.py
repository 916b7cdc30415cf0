"""The command line: `python -m pyinvnets COMMAND`."""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .._version import __version__
from ..engines.choice import ENGINES
from ..storage.expressions import Expression, parse
from ..training.ranks import told_by
from . import places

T = TypeVar("T", int, float)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 where it failed, 2 for a wrong command line, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"{message}\n"
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # Whoever read standard output, such as head, has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, RuntimeError, MemoryError, ImportError) as error:
        said = places.reason(error) if isinstance(error, OSError) else str(error) or "not enough memory"
        if told_by(error) is None:
            print(f"pyinvnets {options.command}: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyinvnets",
        description="Invertible networks and normalising flows of InvertibleNetworks.jl.",
        epilog="Exit status: 0; 1 where a command failed; 2 for a wrong command line; 130 after Ctrl-C.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_tutorial(commands)
    _add_train(commands)
    _add_sample(commands)
    _add_log_prob(commands)
    _add_setup(commands)
    _add_doctor(commands)
    _add_validate(commands)
    return parser


_TUTORIAL = """\
Train GLOW on 60,000 samples of the banana distribution, as in the tutorial
«Normalizing flows in InvertibleNetworks.jl», and write its figures, the course
of the objective and the weights to a folder.

It takes about ten seconds on the NumPy engine. On the Julia engine the start of
Julia comes on top, and, where its packages are new, some minutes for compiling
them once.
"""

_SETUP = """\
Install what the Julia engine needs, with juliapkg: Julia itself, unless one is
found, and InvertibleNetworks.jl with the packages that it stands on, in a
project of its own. Then start the engine and try a network on it.

It needs the internet, some gigabytes of disk, and ten minutes and more on two
cores the first time; what is there already is kept. The NumPy engine needs none
of it.

With --julia and --project it installs nothing, takes a Julia and a project that
are there, and remembers them for this user.
"""

_DOCTOR = """\
Report, a line each, what of the Julia engine is there, in which version, and
whether it starts; what is missing comes with the command that mends it. Nothing
is installed or changed.

The exit status is 0 where the Julia engine can be used, else 1.
"""

_VALIDATE = """\
Run every layer and network on both engines, with the same parameters and random
inputs, in float64 and float32, and print how far outputs, log-determinants,
gradients and inverses differ. Without Julia, the NumPy engine is compared with
vectors that InvertibleNetworks.jl computed and the package brings, and where it
brings none held against mathematics: the inverse undoes forward, the
log-determinant is that of the Jacobian, and Taylor expansions fall as they must.

The exit status is 1 where a difference is above its bound. It takes seconds
without Julia, minutes with it.
"""


_FILES = """\
DATA and CONDITION are .npy files: (n_samples, n_features), or images in
PyTorch's layout, (n_samples, n_channels, ny, nx), with one to three spatial
axes; - stands for standard input. Numbers are converted to the network's type,
float32, in memory; a float32 file is read batch by batch, and may be larger
than memory. So may datasets in HDF5 and Zarr, of any type of numbers, whose
name follows the file's where there are several: FILE.h5:NAME.

Several processes share the work: mpirun -n 4 python -m pyinvnets ...
"""

_TRAIN = f"""\
Train a network by maximum likelihood. The weights that are written are those
with the smallest validation objective, which is the negative log-likelihood in
nats without the Gaussian's constant; after Ctrl-C those so far, beside an older
file of weights and not in its place. A file that exists is kept, and it is an
error to name it as output, unless --overwrite is given.

{_FILES}"""

_TRAIN_EXAMPLES = """\
examples:
  python -m pyinvnets train banana.npy --epochs 3 --seed 1
  python -m pyinvnets train banana.npy --network "NetworkGlow(2, 16, 1, 10)" --epochs 3 \\
      --output banana.safetensors
  python -m pyinvnets train images.npy \\
      --network "NetworkGlow(1, 16, 2, 4, split_scales=True)" --epochs 2 \\
      --noise 0.02 --output images.safetensors
  python -m pyinvnets train x.npy --condition y.npy --epochs 3 --patience 2 \\
      --output conditional.safetensors
  python -m pyinvnets train banana.npy --epochs 2 --seed 1 --checkpoint run.ckpt \\
      --output run.safetensors
  python -m pyinvnets train banana.npy --epochs 4 --seed 1 --resume run.ckpt \\
      --output run.safetensors --overwrite
"""

_SAMPLE = f"""\
Draw samples of a network whose weights `train`, or pyinvnets.save, wrote. They
come in the layout of the data: as rows where an image is one pixel, otherwise
in PyTorch's layout, of the size of the images that were trained on.

{_FILES}"""

_SAMPLE_EXAMPLES = """\
examples:
  python -m pyinvnets sample banana.safetensors -n 1000 --output samples.npy
  python -m pyinvnets sample conditional.safetensors -n 500 --condition one_y.npy --seed 1 \\
      --output posterior.npy
  python -m pyinvnets sample banana.safetensors -n 1000 \\
      | python -m pyinvnets log-prob banana.safetensors -
"""

_LOG_PROB = f"""\
Print the log-density of each sample, in nats, a line each.

{_FILES}"""

_LOG_PROB_EXAMPLES = """\
examples:
  python -m pyinvnets log-prob banana.safetensors banana.npy
  python -m pyinvnets log-prob banana.safetensors - --output log_prob.npy < samples.npy
  python -m pyinvnets log-prob conditional.safetensors x.npy --condition y.npy
"""


def _add_tutorial(commands: argparse._SubParsersAction) -> None:
    tutorial = commands.add_parser(
        "tutorial",
        help="train GLOW on the banana distribution and draw the tutorial's figures",
        description=_TUTORIAL,
        epilog="example: python -m pyinvnets tutorial --engine numpy --iterations 1200 --output banana",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = tutorial.add_argument
    add("--engine", choices=(*ENGINES, "auto"), help=_ENGINE)
    add("--iterations", type=_positive_int, default=400, help="number of updates (default: 400)")
    add("--seed", type=int, default=1234, help="of samples and weights (default: 1234)")
    add("--batch-size", type=_batch_size, default=150, help="samples per update (default: 150)")
    add("--learning-rate", type=_positive_float, default=9e-4, help="of Adam (default: 0.0009)")
    add(
        "--output",
        type=Path,
        help="folder to write to (default: tutorial-output, or with a number behind it where that holds another run)",
    )
    _add_overwrite(tutorial)
    tutorial.set_defaults(run=_tutorial)


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = _on_files(commands, "train", "train a network on samples in a file", _TRAIN, _TRAIN_EXAMPLES)
    add = train.add_argument
    add("data", metavar="DATA", help="the samples")
    add(
        "--network",
        type=_network,
        help="a constructor, as Python prints it, or its name alone, which takes the numbers of channels from the data "
        "and defaults for the rest (default: NetworkGlow, or NetworkConditionalGlow with --condition)",
    )
    add("--condition", metavar="CONDITION", help="what the network takes beside each sample (default: nothing)")
    add("--epochs", type=_positive_int, default=10, help="how many times to go through the samples (default: 10)")
    add("--batch-size", type=_positive_int, default=128, help="samples per update (default: 128)")
    add("--learning-rate", type=_positive_float, default=1e-3, help="of Adam (default: 0.001)")
    add("--validation", type=_part, default=0.1, help="the part of the samples that is held out (default: 0.1)")
    add(
        "--patience",
        type=_positive_int,
        help="stop after so many epochs without a smaller validation objective (default: never)",
    )
    add("--noise", type=_noise, default=0.0, help="standard deviation of noise on the samples (default: 0)")
    add("--seed", type=_seed, help="of weights, batches and noise (default: another one each time)")
    add(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="write all that --resume needs there, after each epoch (default: the file of --resume, else nowhere)",
    )
    add(
        "--resume",
        type=Path,
        metavar="FILE",
        help="go on from this checkpoint, to --epochs in all, and go on writing it (default: begin anew)",
    )
    add("--output", type=Path, default=Path("weights.safetensors"), help="weights (default: weights.safetensors)")
    add(
        "--history",
        type=Path,
        metavar="FILE",
        help="the objective after each update, as JSON if its name ends so, otherwise as CSV (default: "
        "WEIGHTS-history.csv beside the weights)",
    )
    train.set_defaults(run=_command("train"))


def _add_sample(commands: argparse._SubParsersAction) -> None:
    sample = _on_files(commands, "sample", "draw samples of a trained network", _SAMPLE, _SAMPLE_EXAMPLES)
    add = sample.add_argument
    add("weights", metavar="WEIGHTS", help="a file that train wrote")
    add("-n", type=_positive_int, required=True, help="how many samples")
    add("--condition", metavar="CONDITION", help="one for all samples, or one for each (default: none)")
    add(
        "--each",
        action="store_true",
        help="draw N samples for each of M conditions: the file then has the axes (N, M, ...) (default: N in all)",
    )
    add("--seed", type=_seed, help="the same seed gives the same samples (default: others each time)")
    add("--batch-size", type=_positive_int, default=128, help="samples at once, which bounds memory (default: 128)")
    add("--output", default="-", metavar="FILE.npy", help="where to write them (default: standard output)")
    sample.set_defaults(run=_command("sample"))


def _add_log_prob(commands: argparse._SubParsersAction) -> None:
    log_prob = _on_files(
        commands, "log-prob", "print the log-densities of samples in a file", _LOG_PROB, _LOG_PROB_EXAMPLES
    )
    add = log_prob.add_argument
    add("weights", metavar="WEIGHTS", help="a file that train wrote")
    add("data", metavar="DATA", help="the samples")
    add("--condition", metavar="CONDITION", help="one for all samples, or one for each (default: none)")
    add("--batch-size", type=_positive_int, default=128, help="samples at once, which bounds memory (default: 128)")
    add("--output", metavar="FILE.npy", help="write them there (default: print them)")
    log_prob.set_defaults(run=_command("log_prob"))


def _add_setup(commands: argparse._SubParsersAction) -> None:
    setup = commands.add_parser(
        "setup",
        help="install Julia and its packages for the Julia engine, and try them",
        description=_SETUP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = setup.add_argument
    add("--julia", metavar="EXE", help="a Julia that is there, for good; with --project (default: juliapkg's)")
    add("--project", metavar="DIR", help="its project, with the packages that pyinvnets needs (default: juliapkg's)")
    add("--forget", action="store_true", help="no longer use the Julia that --julia named (default: it stays)")
    add(
        "--system-image",
        action="store_true",
        help="build an image to start from, faster: 12 minutes, 600 MB (default: none)",
    )
    setup.set_defaults(run=_setup, refuse=setup.error)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="report what of the Julia engine is there and usable",
        description=_DOCTOR,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doctor.set_defaults(run=_doctor)


def _add_validate(commands: argparse._SubParsersAction) -> None:
    validate = commands.add_parser(
        "validate",
        help="run every layer and network on both engines and compare; without Julia, NumPy with golden vectors",
        description=_VALIDATE,
        epilog="example: python -m pyinvnets validate --only NetworkGlow --json report.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    validate.add_argument(
        "--only", metavar="NAME", help="a layer or network, such as NetworkGlow, or one case of it (default: all)"
    )
    validate.add_argument("--json", type=Path, metavar="FILE", help="write the table there too (default: nowhere)")
    validate.set_defaults(run=_validate)


_ENGINE = "what computes (default: PYINVNETS_ENGINE, else julia where it is ready, else numpy)"


def _on_files(
    commands: argparse._SubParsersAction, name: str, purpose: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """A command with what all that read samples have."""
    parser = commands.add_parser(
        name,
        help=purpose,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", choices=(*ENGINES, "auto"), help=_ENGINE)
    _add_overwrite(parser)
    parser.add_argument(
        "--julia-layout",
        action="store_true",
        help="all files have the axes of arrays in pyinvnets, with samples last: (nx, ny, n_channels, n_samples) "
        "or (n_features, n_samples) (default: PyTorch's)",
    )
    return parser


def _add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that exist (default: they are kept, and it is an error)"
    )


def _command(name: str) -> Callable[[argparse.Namespace], int | None]:
    def run(options: argparse.Namespace) -> int | None:
        from . import commands

        return getattr(commands, name)(options)

    return run


def _tutorial(options: argparse.Namespace) -> None:
    from . import tutorial

    tutorial.run(
        options.output,
        overwrite=options.overwrite,
        engine=options.engine,
        iterations=options.iterations,
        seed=options.seed,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
    )


def _setup(options: argparse.Namespace) -> None:
    from . import setup

    if (options.julia is None) != (options.project is None):
        options.refuse("--julia and --project go together")
    setup.run(options.julia, options.project, forget=options.forget, system_image=options.system_image)


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    return doctor.run()


def _validate(options: argparse.Namespace) -> int:
    from ..validation import report

    return report.run(options.only, options.json)


def _number(kind: type[T], accepted: Callable[[T], bool], expected: str) -> Callable[[str], T]:
    """What argparse converts an option by."""

    def convert(text: str) -> T:
        value = kind(text)
        if not accepted(value):
            raise argparse.ArgumentTypeError(f"must be {expected}, got {text}")
        return value

    convert.__name__ = kind.__name__  # argparse names it where the text is no number at all
    return convert


_positive_int = _number(int, lambda value: value >= 1, "at least 1")

_seed = _number(int, lambda value: value >= 0, "at least 0")

_part = _number(float, lambda value: 0 <= value < 1, "from 0 to below 1")

_noise = _number(float, lambda value: math.isfinite(value) and value >= 0, "a finite number, zero or more")

_positive_float = _number(float, lambda value: math.isfinite(value) and value > 0, "a positive finite number")


def _batch_size(text: str) -> int:
    from .tutorial import N_TRAIN

    value = _positive_int(text)
    if not 2 <= value <= N_TRAIN:
        raise argparse.ArgumentTypeError(f"must be from 2 to {N_TRAIN}, the number of training samples, got {text}")
    return value


def _network(text: str) -> Expression:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
