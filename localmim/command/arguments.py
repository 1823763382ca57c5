"""What the command ``localmim`` takes."""

import argparse
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from localmim.recipes import ENCODERS, METHODS, encoder_kind
from localmim.version import __version__

EPILOG = """\
example:
  localmim pretrain photos --minutes 60
  localmim embed photos work_dirs/photos/encoder_timm.safetensors features.npy

All commands say more with --help. The same in Python: import localmim; localmim.pretrain("photos")
"""
TIMM = "timm:"  # begins names of its models
# Commands that are tools of the repository: file, in words.
TOOLS = {
    "convert": ("convert.py", "convert weights for timm, transformers, mmseg, mmdet, ..."),
    "onnx": ("export_onnx.py", "write an encoder as ONNX, pixels in and features out"),
    "show": ("visualize.py", "draw what a pre-trained model reconstructs"),
    "analyze": ("analyze.py", "attention, layers, nearest images of an encoder, as pictures"),
}


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} ({self.prog} --help says more)\n")


def parser(runs: Mapping[str, Callable[[argparse.Namespace], int | None]]) -> Parser:
    """The arguments of all commands.

    Args:
        runs: what runs each of them, by its name.
    """
    top = Parser(
        prog="localmim",
        description="Masked-image pre-training: from a folder of images to an encoder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"localmim {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, words: str, **kwargs) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name,
            help=words,
            description=f"{words[0].upper()}{words[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )
        one.add_argument("--debug", action="store_true", help="show where an error comes from")
        one.set_defaults(run=runs[name])
        return one

    one = add("pretrain", "pre-train an encoder on a folder of images")
    _add_pretraining(one)
    one.add_argument("--out", metavar="DIR", help="(default: work_dirs/DATA)")
    one = add("finetune", "train a classifier from an encoder and labelled images")
    _add_labelled(one)
    one.add_argument("--out", metavar="DIR", help="(default: work_dirs/DATA_finetune)")
    one.add_argument("--epochs", type=positive(int), metavar="N", help="how long")
    one.add_argument("--image-size", type=positive(int), metavar="PIXELS")
    one.add_argument("--batch", type=positive(int), metavar="N", help="images a step")
    one.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    _add_settings(one)
    one = add("knn", "classify by frozen features: nearest neighbours and a linear probe")
    _add_labelled(one)
    one = add("embed", "write a vector of each image of a folder to a file")
    one.add_argument("data", type=folder, metavar="DATA", help="folder of images, of any depth")
    _add_weights(one)
    one.add_argument("out", metavar="OUT", help="file to be written: .npy or .parquet")
    one.add_argument(
        "--image-size", type=positive(int), metavar="PIXELS", help="side of the images"
    )
    one.add_argument("--batch", type=positive(int), default=64, metavar="N", help="(default: 64)")
    one.add_argument("--patches", action="store_true", help="a vector of each position, as .npy")
    for name, (_, words) in TOOLS.items():
        commands.add_parser(name, help=words)  # which run by themselves
    one = add("config", "print the config that pretrain would run")
    _add_pretraining(one)
    one = add("doctor", "look at the installation and the machine, and say what to mend")
    one.add_argument("data", nargs="?", type=folder, metavar="DATA", help="a folder of images")
    return top


def _add_labelled(one: argparse.ArgumentParser) -> None:
    words = "folder with a subfolder for each class, or with train and val of such"
    one.add_argument("data", type=folder, metavar="DATA", help=words)
    _add_weights(one)


def _add_weights(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "weights", type=weights, metavar="WEIGHTS",
        help="file of a pre-training, timm's, ..., or the folder of a pretrain",
    )  # fmt: skip


def _add_settings(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--set", dest="settings", nargs="+", default=[], metavar="KEY=VALUE", action="extend",
        help="settings of the config, e.g. optim_wrapper.optimizer.lr=1e-3",
    )  # fmt: skip


def _add_pretraining(one: argparse.ArgumentParser) -> None:
    archs = ", ".join(ENCODERS)
    one.add_argument("data", type=folder, metavar="DATA", help="folder of images, of any depth")
    one.add_argument("--arch", type=arch, help=f"encoder: {archs} (default: by the machine)")
    one.add_argument(
        "--method", type=method, default="localmim", metavar="NAME",
        help=f"{', '.join(METHODS)} (default: localmim)",
    )  # fmt: skip
    length = one.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive(int), metavar="N", help="how long")
    length.add_argument("--minutes", type=positive(float), metavar="N", help="about how long")
    one.add_argument(
        "--from", dest="weights", type=source, metavar="WEIGHTS",
        help="start from a file of weights: timm's, MAE's, this project's, ..., or the folder of a "
        "pretrain; timm:NAME gets one from timm",
    )  # fmt: skip
    one.add_argument(
        "--val", type=folder, metavar="FOLDER", help="labelled folder to measure features on"
    )
    size = positive(int)
    one.add_argument("--image-size", type=size, metavar="PIXELS", help="side of the crops")
    one.add_argument("--channels", type=int, choices=(1, 3), help="1 for grey, 3 for colour")
    one.add_argument("--batch", type=size, metavar="N", help="images a step on each device")
    one.add_argument("--devices", type=size, metavar="N", help="GPUs (default: all)")
    one.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    _add_settings(one)


def positive(kind: type) -> Callable[[str], float]:
    """What reads a number above 0."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
        return value

    return read


def folder(text: str) -> str:
    """An existing folder."""
    path = Path(text).expanduser()
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise argparse.ArgumentTypeError(f"{text} {what}")
    return text


def file(text: str) -> str:
    """An existing file."""
    if not Path(text).expanduser().is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file")
    return text


def weights(text: str) -> str:
    """An existing file; of a folder that ``pretrain`` wrote, the encoder in it."""
    path = Path(text).expanduser()
    if not path.is_dir():
        return file(text)
    found = [str(x) for x in path.glob("encoder_*.safetensors") if x.stem != "encoder_best"]
    if len(found) != 1:
        holds = " and ".join(sorted(found)) or "no encoder_*.safetensors of a finished pretrain"
        raise argparse.ArgumentTypeError(f"{text} is a folder with {holds}; name a file")
    return found[0]


def source(text: str) -> str:
    """What :func:`weights` takes, or the name of a model of timm."""
    return text if text.startswith(TIMM) else weights(text)


def arch(text: str) -> str:
    """The name of an encoder."""
    try:
        encoder_kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--arch ")) from error
    return text


def method(text: str) -> str:
    """The name of a method."""
    if text not in METHODS:
        close = get_close_matches(text, METHODS, n=1)
        instead = f"did you mean {close[0]}?" if close else f"one of {', '.join(METHODS)}"
        raise argparse.ArgumentTypeError(f"{text}: no method has that name; {instead}")
    return text
