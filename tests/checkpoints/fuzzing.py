"""Mutated checkpoints by the thousand: nothing of them may run, crash or hang.

python tests/checkpoints/fuzzing.py 50000 --seed 1
"""

import argparse
import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections import Counter, OrderedDict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save
from tqdm import tqdm

from localmim.checkpoints import load_from_file
from localmim.checkpoints.pickle_calls import NAMES

SECONDS = 20  # that one file may take
CHUNK = 2500  # files to a process
FORBIDDEN = ("posix.system", "os.system", "subprocess.Popen", "builtins.eval", "builtins.exec")
OTHERS = (
    "builtins.__import__",
    "builtins.getattr",
    "builtins.bytearray",
    "torch.storage.UntypedStorage",
    "torch.load",
    "torch.Tensor",
    "torch._utils._rebuild_wrapper_subclass",
    "numpy.load",
    "os.remove",
    "pathlib.Path",
)
VALUES = (
    0,
    1,
    -1,
    255,
    2**31 - 1,
    2**62,
    "cpu",
    "latin1",
    "touch executed",
    "hex",
    b"b",
    None,
    (),
    (),
)
OPCODES = bytes(range(256))


def seeds() -> dict[str, bytes]:
    """Small real checkpoints of the three formats."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    content = dict(
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
        meta=dict(epoch=3, iter=12, seed=np.int64(3), cfg="model = dict(type='LocalMIM')"),
        message_hub=dict(
            log_scalars=OrderedDict(loss=HistoryBuffer([1.0, 2.0], [1, 1])),
            runtime_info=OrderedDict(best_score=np.float32(0.5)),
            resumed_keys=OrderedDict(loss=True),
        ),
        param_schedulers=[dict(milestones=Counter([3, 4]), last_step=2)],
        args=argparse.Namespace(lr=0.1, names=["a"]),
    )
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save(content, zipped)
    torch.save(content, legacy, _use_new_zipfile_serialization=False)
    tensors = {name: x.contiguous() for name, x in model.state_dict().items()}
    return {
        "a.pth": zipped.getvalue(),
        "b.pth": legacy.getvalue(),
        "c.safetensors": save(tensors, {"epochs": "3"}),
    }


def records(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def rezipped(content: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return buffer.getvalue()


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return rng.choice((data[:start], data[:start] + data[end:], data[:end] + data[start:]))


def literal(value) -> bytes:
    """The operations that push a value."""
    return pickle.dumps(value, 2)[2:-1]


def gadget(rng: random.Random) -> bytes:
    """Operations that name something and call it, make one, or give it a state."""
    name = rng.choice((*FORBIDDEN, *OTHERS, *rng.sample(sorted(NAMES), 5)))
    module, _, attribute = name.rpartition(".")
    arguments = tuple(rng.choice(VALUES) for _ in range(rng.randrange(4)))
    named = f"{module}\n{attribute}\n".encode()
    end = b"" if rng.random() < 0.5 else b"0"
    if (kind := rng.randrange(5)) == 0:
        return b"(" + literal("touch executed") + b"i" + named + end  # INST
    if kind == 1:
        return b"(c" + named + literal("touch executed") + b"o" + end  # OBJ
    pushed = literal(module) + literal(attribute) + b"\x93" if kind == 2 else b"c" + named
    state = literal(rng.choice(({"update": 1}, (3, "<"), [1], {"__class__": 1})))
    last = rng.choice((b"R", b"R", b"\x81", b"R" + state + b"b", b"\x81" + state + b"b"))
    return pushed + literal(arguments) + last + end


def spliced(program: bytes, rng: random.Random) -> bytes:
    place = rng.choice((2, rng.randrange(2, len(program)), len(program) - 1))
    return program[:place] + gadget(rng) + program[place:]


def random_program(program: bytes, rng: random.Random) -> bytes:
    usual = b"NKX}]()tqhcRbusae\x85\x86\x87\x88\x89\x81Q.0J"
    body = b"".join(
        gadget(rng) if rng.random() < 0.1 else bytes([rng.choice(rng.choice((usual, OPCODES)))])
        for _ in range(rng.randrange(1, 60))
    )
    return b"\x80\x02" + body + b"."


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One mutation of a file; those of a record keep the archive around it sound."""
    if data[:2] != b"PK" or rng.random() < 0.3:
        change = spliced if data[:2] == b"\x80\x02" and rng.random() < 0.5 else None
        return (change or rng.choice((flipped, cut)))(data, rng)
    content = records(data)
    program = next(name for name in content if name.endswith("data.pkl"))
    kind = rng.randrange(8)
    if kind < 6:
        change = (spliced, spliced, random_program, flipped, cut, spliced)[kind]
        content[program] = change(content[program], rng)
    elif kind == 6:
        one, other = rng.sample(sorted(content), 2)
        content[one], content[other] = content[other], content[one]
    else:
        content[rng.choice(sorted(content))] = bytes(rng.randrange(200))
    return rezipped(content, rng.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,)))


@contextmanager
def watched():
    """Notice what is executed, whichever way it was reached."""
    events = []
    active = [True]

    def hook(event, arguments):
        if active[0] and event in ("os.system", "subprocess.Popen", "os.remove", "os.rmdir"):
            events.append(event)

    sys.addaudithook(hook)
    try:
        yield events
    finally:
        active[0] = False


def attempt(path: Path, mmap: bool, verify: bool) -> str:
    """Load a file: what came of it."""

    def too_long(*_):
        raise BaseException("hang")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        load_from_file(str(path), mmap=mmap, verify=verify)
    except ValueError as error:
        return "not allowed" if "can execute code" in str(error) else "damaged"
    except BaseException as error:
        return f"CRASH {type(error).__name__}: {error}"[:200]
    finally:
        signal.alarm(0)
    return "loaded"


def run_chunk(count: int, seed: int) -> dict[str, int]:
    """Try mutations in this process; outcomes that begin with a capital are faults."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    rng, files, outcomes = random.Random(seed), seeds(), Counter()
    with tempfile.TemporaryDirectory() as folder, watched() as events:
        os.chdir(folder)
        for number in range(count):
            name = rng.choices(sorted(files), (6, 3, 1))[0]
            path = Path(folder, name)
            path.write_bytes(mutated(files[name], rng))
            outcome = attempt(path, number % 4 == 0, number % 2 == 0)
            extra = {p.name for p in Path(folder).iterdir()} - {*files}
            if events or extra:
                outcome = f"EXECUTED {events} {extra}"
                events.clear()
            if outcome[:2].isupper():
                outcome += f" (seed {seed}, number {number})"
            outcomes[outcome] += 1
        os.chdir("/")
    return dict(outcomes)


def fuzz(count: int, seed: int = 0, progress: bool = False) -> dict[str, int]:
    """Try mutations in processes of their own, so that one that dies is noticed.

    Args:
        count: number of files.
        seed: of the mutations.
        progress: show a bar.

    Returns:
        How many files were "loaded", "damaged" and "not allowed"; "CRASH ..." and "EXECUTED ..."
        are faults.
    """
    outcomes: Counter[str] = Counter()
    with tqdm(total=count, unit="file", disable=not progress) as bar:
        for start in range(0, count, CHUNK):
            part = min(CHUNK, count - start)
            command = [sys.executable, __file__, str(part), "--seed", f"{seed + start}", "--chunk"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                outcomes[f"CRASH of the process ({done.returncode}) {done.stderr[-300:]}"] += 1
            else:
                outcomes.update(json.loads(done.stdout.splitlines()[-1]))
            bar.update(part)
    return dict(outcomes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="number of files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chunk", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.chunk:
        print(json.dumps(run_chunk(args.count, args.seed)))
        return
    outcomes = fuzz(args.count, args.seed, progress=True)
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:8d} {outcome}")
    if any(outcome[:2].isupper() for outcome in outcomes):
        raise SystemExit("faults were found")


if __name__ == "__main__":
    main()
