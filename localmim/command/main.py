"""The command ``localmim``: it runs, and tells what went wrong."""

import argparse
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from localmim.recipes import config_of, encoder_kind, image_size

from .arguments import TOOLS, parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in TOOLS:
        args = argparse.Namespace(debug=False, run=lambda _: _run_tool(*arguments))
    else:
        args = parser(RUNS).parse_args(arguments)
        args.again = shlex.join(["localmim", *arguments])
    try:
        return args.run(args) or 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if args.debug:
            raise
        what = str(error).strip() or type(error).__name__
        if not isinstance(error, (OSError, ValueError, ImportError)):
            what = f"{type(error).__name__}: {what} (--debug shows where)"
        print(f"error: {' '.join(what.split())}", file=sys.stderr)
        return 1


def _settings(pairs: list[str]) -> dict:
    from mmengine.config import DictAction

    found = {}
    for pair in pairs:
        if "=" not in pair:
            raise ValueError(f"--set {pair}: give KEY=VALUE")
        key, value = pair.split("=", 1)
        found[key] = DictAction._parse_iterable(value)
    return found


def _wishes(args: argparse.Namespace) -> dict:
    names = (
        *("method", "arch", "image_size", "channels", "epochs", "minutes", "batch", "devices"),
        *("weights", "val", "seed"),
    )
    return {name: getattr(args, name) for name in names} | {"settings": _settings(args.settings)}


def _run_tool(name: str, *arguments: str) -> int:
    """Run a tool of the repository in this process."""
    from .places import brought

    tool = runpy.run_path(str(brought(f"tools/{TOOLS[name][0]}")))
    sys.argv = [f"localmim {name}", *arguments]
    return tool["main"]() or 0


def _resumable(run: Callable[[], object], again: str) -> int:
    """Run what saves when it is asked to stop, and goes on when it is called again."""
    from localmim import parts  # noqa: F401
    from localmim.engine.preemption import Preempted

    try:
        run()
    except Preempted as stopped:
        print(f"Saved. The same again goes on: {again}")
        return stopped.code if isinstance(stopped.code, int) else 1
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what no data can change, before anything large is imported."""
    if args.arch is None:
        return
    kind = encoder_kind(args.arch)
    config_of(args.method, kind.family)
    if args.image_size is not None and args.weights is None:  # whose patches may be others
        image_size(args.method, kind, side=args.image_size, gpus=0, given=args.image_size)


def _pretrain(args: argparse.Namespace) -> int:
    _check(args)
    from localmim import pretrain

    return _resumable(lambda: pretrain(args.data, args.out, **_wishes(args)), args.again)


def _finetune(args: argparse.Namespace) -> int:
    from localmim import finetune

    names = ("image_size", "epochs", "batch", "seed")
    given = {name: getattr(args, name) for name in names}
    settings = _settings(args.settings)
    return _resumable(
        lambda: finetune(args.data, args.weights, args.out, settings=settings, **given), args.again
    )


def _knn(args: argparse.Namespace) -> None:
    from localmim import knn

    knn(args.data, args.weights)


def _embed(args: argparse.Namespace) -> None:
    from localmim import embed

    given = dict(image_size=args.image_size, batch=args.batch, patches=args.patches)
    done = embed(args.data, args.weights, args.out, **given)
    print(f"{done.shape[0]} rows of {'x'.join(map(str, done.shape[1:]))} in {args.out}")
    for path, why in done.unusable.items():
        print(f"  no image, a row without values: {path}: {why}")


def _doctor(args: argparse.Namespace) -> int:
    from localmim import doctor

    return int(any(x.fix and not x.optional for x in doctor(args.data)))


def _config(args: argparse.Namespace) -> None:
    _check(args)
    import tempfile

    from .pretrain import prepare
    from .wishes import Wishes

    wishes = Wishes(args.data, **_wishes(args))
    wishes.check()
    with tempfile.TemporaryDirectory() as aside:
        planned = prepare(wishes, Path(aside), lambda text: print(text, file=sys.stderr))
    planned.cfg.pop("work_dir")
    print(planned.cfg.pretty_text)


RUNS = {
    "pretrain": _pretrain,
    "finetune": _finetune,
    "knn": _knn,
    "embed": _embed,
    "config": _config,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
