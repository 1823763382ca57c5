"""From file to file."""

from pathlib import Path
from typing import Any

from localmim.version import __version__

from .convert import Conversion, convert
from .files import check_destination, file_hash, read_checkpoint, write_checkpoint
from .origin import SEEN
from .resize import Size


def convert_file(
    source: str | Path,
    destination: str | Path,
    target: str,
    source_dialect: str = "auto",
    *,
    image_size: Size | None = None,
    window: int | None = None,
    source_size: Size | None = None,
    merge_order: str | None = None,
    ema: bool = False,
    strict: bool = True,
    unsafe: bool = False,
    overwrite: bool = False,
) -> tuple[Conversion, dict[str, Any]]:
    """Convert a checkpoint file.

    Args:
        source: a file of torch or of safetensors.
        destination: the file to be written; .pth and .pt are torch's, .safetensors is safetensors'.
        target, source_dialect, image_size, window, merge_order, strict: as in :func:`convert`.
        source_size: (height, width) of the images for which the source's positions are laid out,
            where they are not square and the file does not say it.
        ema, unsafe: as in :func:`read_checkpoint`.
        overwrite: replace an existing destination.

    Returns:
        The conversion and the metadata that was written: architecture, image size, windows,
        targets, epochs, versions, and the source with its SHA-256.

    Raises:
        OSError: the source cannot be read, or the destination not be written. Nothing is left
            half-written.
        ValueError: see :func:`convert`.
    """
    source, destination = Path(source).expanduser(), Path(destination).expanduser()
    if not source.is_file():
        raise FileNotFoundError(f"checkpoint {source} can not be found")
    if destination.exists() and destination.samefile(source):
        raise FileExistsError(f"{destination} is the source itself")
    check_destination(destination, 0, overwrite)
    checkpoint = read_checkpoint(source, ema=ema, unsafe=unsafe)
    hints = checkpoint.hints | ({"image_size": source_size} if source_size else {})
    try:
        conversion = convert(
            checkpoint.state_dict,
            target,
            source_dialect,
            image_size=image_size,
            window=window,
            merge_order=merge_order,
            hints=hints,
            strict=strict,
        )
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    conversion.report.dropped |= {
        f"{name} (entry of the file)": "not weights of the model" for name in checkpoint.left_out
    }
    size = sum(tensor.nbytes for tensor in conversion.state_dict.values())
    check_destination(destination, size, overwrite)
    meta = conversion.architecture.metadata()
    meta |= {name: hints[name] for name in ("epochs", *SEEN) if name in hints}
    meta |= {
        "dialect": conversion.table.dialect,
        "source": source.name,
        "source_dialect": conversion.report.source,
        "source_sha256": file_hash(source),
        "localmim_version": __version__,
    }
    write_checkpoint(destination, conversion.state_dict, meta, conversion.table.container)
    return conversion, meta
