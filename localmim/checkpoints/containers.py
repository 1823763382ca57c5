"""The two file formats of torch, looked at before torch reads them.

Since torch 1.6 a checkpoint is a zip archive of a pickle and the bytes of every storage; before,
it was a row of pickles with the bytes behind them. torch's readers believe what a file says of its
own sizes, and do not compare checksums.
"""

import io
import struct
import tarfile
import zipfile
from typing import BinaryIO

from .pickle_calls import Storage
from .pickle_scan import Scan, scan_pickle

LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
MAX_COPIES = 8  # how often a file's tensors may take its size: shared storages, averaged weights
_LOCAL_HEADER = 30


def is_archive(file: BinaryIO) -> bool:
    """Whether torch will read it as a zip archive."""
    file.seek(0)
    return file.read(4) == b"PK\x03\x04"


def check_container(file: BinaryIO, verify: bool) -> None:
    """Refuse a file that is damaged, or whose loading would do more than make tensors.

    Args:
        file: open for reading, in whatever position.
        verify: compare the checksums of an archive's records, which reads all of it.

    Raises:
        pickle.UnpicklingError: its pickle is no checkpoint's, see :mod:`pickle_scan`.
        ValueError: it is damaged, or its sizes contradict each other.
        OSError: it cannot be read.
    """
    if is_archive(file):
        scan = _check_archive(file, verify)
    elif _is_tar(file):
        raise ValueError("it is in the format of torch before 0.2; save it anew with torch < 2.6")
    else:
        scan = _check_legacy(file)
    size = file.seek(0, io.SEEK_END)
    if scan.tensor_bytes > MAX_COPIES * size + (1 << 20):
        raise ValueError(
            f"its tensors would take {scan.tensor_bytes / 1e6:.0f} MB, the file has "
            f"{size / 1e6:.0f} MB"
        )


def _check_archive(file: BinaryIO, verify: bool) -> Scan:
    with zipfile.ZipFile(file) as archive:
        records = _check_layout(archive, file)
        pickles = [name for name in records if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError("it is a zip archive, but not of torch")
        prefix = pickles[0].removesuffix("data.pkl")
        if not all(name.startswith(prefix) for name in records):
            raise ValueError("its records are in several folders")
        if f"{prefix}constants.pkl" in records:
            raise ValueError("it is a TorchScript program, not a checkpoint")
        if verify and (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of its record {damaged} is wrong")
        scan = scan_pickle(io.BytesIO(archive.read(pickles[0])))
    for storage in scan.storages.values():
        record = records.get(f"{prefix}data/{storage.key}")
        if record is None or record.file_size != storage.nbytes:
            has = "none" if record is None else f"{record.file_size} bytes"
            raise ValueError(f"storage {storage.key} should have {storage.nbytes} bytes, has {has}")
    return scan


def _check_layout(archive: zipfile.ZipFile, file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    """Make sure that every reader finds the same plain records; return them by name.

    A first record at 0 and no comment at the end leave no room for a second archive.
    """
    records = {info.filename: info for info in archive.infolist()}
    # torch's reader takes names without regard to case.
    if len({name.lower() for name in records}) != len(archive.infolist()):
        raise ValueError("it has several records of one name")
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"its record {info.filename} is compressed")
        if info.flag_bits & 0x1 or info.header_offset < end or (end == 0 and info.header_offset):
            raise ValueError(f"its record {info.filename} is encrypted or overlaps another")
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise ValueError(f"its record {info.filename} is not where it should be")
        name_length, extra_length = struct.unpack("<HH", header[26:])
        if file.read(name_length) != info.orig_filename.encode("utf-8"):
            raise ValueError(f"its record {info.filename} has another name elsewhere")
        end = info.header_offset + _LOCAL_HEADER + name_length + extra_length + info.file_size
        if end > archive.start_dir:
            raise ValueError(f"its record {info.filename} is longer than the file")
    if archive.comment:
        raise ValueError("it goes on after its end")
    return records


def _is_tar(file: BinaryIO) -> bool:
    """Whether torch will read it as a tar archive."""
    file.seek(0)
    try:
        tarfile.open(fileobj=file, mode="r:").close()
    except tarfile.TarError:
        return False
    return True


def _check_legacy(file: BinaryIO) -> Scan:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = [scan_pickle(file).root for _ in range(2)]
    if head != [LEGACY_MAGIC, LEGACY_VERSION]:
        raise ValueError("it is not of torch")
    scan_pickle(file)  # of the machine that wrote it
    scan = scan_pickle(file)
    keys = scan_pickle(file).root
    if type(keys) is not list or sorted(keys) != sorted(scan.storages):
        raise ValueError("its list of storages is not that of its tensors")
    for key in keys:
        _skip_storage(file, scan.storages[key], size)
    return scan


def _skip_storage(file: BinaryIO, storage: Storage, size: int) -> None:
    written = file.read(8)
    if len(written) < 8 or struct.unpack("<q", written)[0] != storage.numel:
        raise ValueError(f"storage {storage.key} should have {storage.numel} numbers")
    if file.tell() + storage.nbytes > size:
        raise ValueError("it is cut off")
    file.seek(storage.nbytes, io.SEEK_CUR)
