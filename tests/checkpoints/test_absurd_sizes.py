"""Files that claim more than they hold are refused before memory is taken."""

import io
import json
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hostile import Call

from localmim.checkpoints import load_from_file

LIMIT_MB = 300  # of memory beyond what the imports take
LOAD = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from localmim.checkpoints import load_from_file
for line in sys.stdin.read().splitlines():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + {limit} * 2**20, -1))
    try:
        load_from_file(line, verify=False)
        print("loaded")
    except ValueError as error:
        print("memory" if "memory" in str(error) else "refused")
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
"""


def program(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


def saved(**content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def with_pickle(data: bytes, compression=zipfile.ZIP_STORED, **records: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("a/data.pkl", data)
        file.writestr("a/version", b"3\n")
        for name, content in records.items():
            file.writestr(f"a/data/{name}", content)
    return buffer.getvalue()


def storage(numel: int) -> bytes:
    kind = b"ctorch\nFloatStorage\n"
    key = pickle.dumps("0", 2)[2:-1] + pickle.dumps("cpu", 2)[2:-1]
    return (
        b"("
        + pickle.dumps("storage", 2)[2:-1]
        + kind
        + key
        + b"\x8a\x08"
        + (struct.pack("<q", numel))
        + b"tQ"
    )


def doubled(levels: int) -> bytes:
    """A tuple of twice a tuple of twice ..."""
    return b")" + b"".join(b"q\x01h\x01h\x01\x86" for _ in range(levels))


def doubled_bytes(levels: int) -> bytes:
    word = pickle.dumps("hex", 2)[2:-1]
    start = pickle.dumps("x" * 100, 2)[2:-1]
    return b"c_codecs\nencode\n" * levels + start + (word + b"\x86R") * levels


def array(shape) -> bytes:
    state = pickle.dumps(np.zeros(3, np.uint8), 2)
    return state.replace(b"K\x03\x85", pickle.dumps(shape, 2)[2:-1])


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


def safetensors(header: dict, size: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text


def float_tensor(shape: list[int], nbytes: int) -> bytes:
    return safetensors({"x": dict(dtype="F32", shape=shape, data_offsets=[0, nbytes])})


def legacy(keys: bytes) -> bytes:
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(4)}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue().replace(b"K\x04", keys)


HUGE = 2**40
ABSURD = {
    "compressed.pth": with_pickle(program(b"}"), zipfile.ZIP_DEFLATED, x=bytes(1 << 28)),
    "storage.pth": with_pickle(program(storage(HUGE)), **{"0": b"1234"}),
    "no_record.pth": with_pickle(program(storage(4))),
    "bytearray.pth": saved(x=Call(bytearray, HUGE)),
    "tensor.pth": saved(x=Call(torch.Tensor, 2**20, 2**20)),
    "untyped.pth": saved(x=Call(torch.UntypedStorage, HUGE)),
    "encode.pth": with_pickle(program(doubled_bytes(30))),
    "expanded.pth": saved(x=torch.zeros(1).expand(2**20, 2**20)),
    "array.pth": with_pickle(program(array((HUGE,))[2:-1])),
    "copies.pth": with_pickle(program(b"]q\x01" * 3_000_000)),
    "laughs.pth": with_pickle(program(doubled(60))),
    "key.pth": with_pickle(program(b"}", doubled(60), b"Ns")),
    "deep.pth": with_pickle(program(b"]" + b"]" * 100_000 + b"a" * 100_000)),
    "circle.pth": with_pickle(program(b"]q\x01h\x01a")),
    "legacy.pth": legacy(b"\x8a\x06" + struct.pack("<q", HUGE)[:6]),
    "tar.pth": tar(),
    "header.safetensors": safetensors({}, HUGE),
    "offset.safetensors": safetensors(
        {"x": dict(dtype="F32", shape=[HUGE], data_offsets=[0, HUGE * 4])}
    ),
    "shape.safetensors": safetensors(
        {"x": dict(dtype="F32", shape=[HUGE, HUGE], data_offsets=[0, 0])}
    ),
}


def test_absurd_sizes_are_refused_within_little_memory(tmp_path):
    for name, content in ABSURD.items():
        (tmp_path / name).write_bytes(content)
    names = "\n".join(str(tmp_path / name) for name in ABSURD)
    command = [sys.executable, "-c", LOAD.format(limit=LIMIT_MB)]
    done = subprocess.run(command, input=names, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    results = dict(zip(ABSURD, done.stdout.splitlines()[-len(ABSURD) :], strict=True))
    assert set(results.values()) == {"refused"}, results


def test_what_is_large_with_reason_loads(tmp_path):
    shared = torch.zeros(1000)
    state = OrderedDict((f"{n}", shared[n:]) for n in range(7))
    state["expanded"] = torch.zeros(1).expand(1000)
    torch.save({"state_dict": state, "again": state, "n": list(range(100_000))}, tmp_path / "a.pth")
    loaded = load_from_file(str(tmp_path / "a.pth"))
    assert loaded["again"]["expanded"].shape == (1000,) and len(loaded["n"]) == 100_000


@pytest.mark.parametrize("mmap", [False, True])
def test_a_flipped_bit_in_a_weight_is_noticed(tmp_path, mmap):
    content = bytearray(saved(state_dict={"x": torch.zeros(10_000)}))
    content[len(content) // 2] ^= 1
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert torch.load(path)["state_dict"]["x"].abs().sum() > 0  # torch by itself does not
    with pytest.raises(ValueError, match="checksum of its record archive/data/0 is wrong"):
        load_from_file(str(path), mmap=mmap)
    assert (
        load_from_file(str(path), mmap=mmap, verify=False)["state_dict"]["x"].count_nonzero() == 1
    )


def test_two_readers_find_the_same_records(tmp_path):
    good, evil = with_pickle(program(b"}")), with_pickle(program(b"]"))
    upper = io.BytesIO()
    with zipfile.ZipFile(upper, "w") as file:
        file.writestr("a/data.pkl", program(b"}"))
        file.writestr("a/DATA.PKL", program(b"]"))
    ambiguous = {"two": good + evil, "comment": good[:-2] + b"\x02\x00hi", "case": upper.getvalue()}
    for name, content in ambiguous.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no checkpoint or is damaged"):
            load_from_file(str(path))
