"""Several processes on one machine and on two: they train together, and end together."""

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack

import pytest
import tiny
import torch
from distributed import TIMEOUT, train, write_config
from PIL import Image
from processes import alive, children, wait_for


@pytest.fixture(scope="module")
def crops(tmp_path_factory, photo_folder):
    """24 crops of photographs, 64x64."""
    folder = tmp_path_factory.mktemp("crops")
    photos = [Image.open(photo_folder / name) for name in ("china.jpg", "coffee.png", "horse.png")]
    for number in range(24):
        left, top = number // 3 * 30, number // 3 * 25
        box = (left, top, left + 64, top + 64)
        photos[number % 3].convert("RGB").crop(box).save(folder / f"{number:02}.png")
    return folder


def fixed_config(work, data_root, batch, accumulated) -> None:
    """Three encoders, the same masks, images and order in any layout; three steps an epoch."""
    models = dict(vit=tiny.localmim(), swin=tiny.localmim_swin(), convnext=tiny.localmim_convnext())
    for model in models.values():
        model["mask_generator"] |= dict(type="MaskingByContent", shared=False)
    cfg = write_config(work, data_root, ["SaveWeights"], batch)
    for setting in ("image_size", "optim_wrapper", "param_scheduler"):
        cfg.pop(setting)
    cfg.model = dict(type="SideBySide", models=models)
    cfg.data_preprocessor.type = "DoublePreprocessor"
    cfg.train_dataloader.sampler.shuffle = False
    cfg.train_dataloader.dataset.pipeline = [
        dict(type="LoadImageFromFile", imdecode_backend="pillow"),
        dict(type="PackInputs"),
    ]
    sgd = dict(type="SGD", lr=0.2, momentum=0.9)
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=sgd, accumulative_counts=accumulated)
    cfg.dump(work / "config.py")


def load(work, name, processes) -> list:
    """What each process has saved, as soon as it has."""
    files = [work / f"{name}.{rank}" for rank in range(processes)]
    wait_for(lambda: all(file.exists() for file in files), 120)
    return [torch.load(file) for file in files]


def end(run: subprocess.Popen) -> str:
    """Make sure that a run ends with an error, in bounded time, and return its output."""
    output, _ = run.communicate(timeout=TIMEOUT + 60)
    assert run.returncode not in (0, None), output[-3000:]
    return output


def assert_timed_out(output: str) -> None:
    """A transfer waited too long, or another one had when it began."""
    waited = f"Timed out waiting {TIMEOUT}000ms"
    assert waited in output or "timeout caused pair closure" in output, output[-5000:]


@pytest.fixture
def launch():
    """`train`, for runs that are ended with the test."""
    with ExitStack() as stack:

        def launched(*args, **environment):
            run = train(*args, **environment)
            stack.callback(run.wait, 60)
            stack.callback(run.kill)
            return run

        yield launched


def learning_rate(work) -> str:
    (log,) = work.rglob("*.log")
    (line,) = [line for line in log.read_text().splitlines() if "Total batch" in line]
    return line.partition("Total batch ")[2]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, crops):
    """The weights after three steps of 8 images of one process."""
    work = tmp_path_factory.mktemp("alone") / "work"
    fixed_config(work, crops, batch=8, accumulated=1)
    run = train(work, 1)
    (weights,) = load(work, "weights", 1)
    run.kill()
    run.wait(60)
    assert "8 = 1 process(es) x 8 images x 1 accumulated" in learning_rate(work)
    return weights


def assert_same_training(processes: list, alone: list) -> None:
    """All processes have the weights of a single one, to rounding, and each other's exactly."""
    start, end = alone
    moved = [name for name, value in end.items() if (value - start[name]).abs().max() > 1e-4]
    assert len(moved) > len(end) / 2
    for before, after in processes:
        for name, value in end.items():
            assert before[name].equal(start[name]), name
            assert after[name].equal(processes[0][1][name]), name
            torch.testing.assert_close(after[name], value, rtol=1e-9, atol=1e-10)


def ranks(run: subprocess.Popen) -> list[int]:
    """The training processes of a run of tools/dist_train.sh, in the order of their ranks."""
    (agent,) = children(run.pid)
    return children(agent)


def test_two_processes_that_accumulate_train_as_one_and_a_stopped_one_ends_them(
    tmp_path, crops, alone, launch
):
    work = tmp_path / "work"
    fixed_config(work, crops, batch=2, accumulated=2)
    run = launch(work, 2)
    assert_same_training(load(work, "weights", 2), alone)
    total, rate = learning_rate(work).split(". ")
    assert total == "8 = 2 process(es) x 2 images x 2 accumulated"
    assert rate == "Learning rate 0.2 of batch 16 becomes 0.1"

    first, second = ranks(run)
    os.kill(second, signal.SIGSTOP)
    wait_for(lambda: not alive(first), TIMEOUT + 60)
    # The agent would kill it, 30 seconds after it asked it to end.
    os.kill(second, signal.SIGCONT)
    assert_timed_out(end(run))


def test_four_processes_train_as_one_and_end_with_the_first(tmp_path, crops, alone, launch):
    work = tmp_path / "work"
    fixed_config(work, crops, batch=2, accumulated=1)
    run = launch(work, 4)
    assert_same_training(load(work, "weights", 4), alone)
    assert "8 = 4 process(es) x 2 images x 1 accumulated" in learning_rate(work)

    processes = ranks(run)
    os.kill(processes[0], signal.SIGKILL)
    assert "Signal 9 (SIGKILL) received" in end(run)
    assert not any(map(alive, processes))


@pytest.fixture
def machines():
    """Two network namespaces that see each other, as prefixes of commands."""
    names = [f"localmim-{os.getpid()}-{number}" for number in (0, 1)]
    commands = [
        *(f"netns add {name}" for name in names),
        f"link add eth9 netns {names[0]} type veth peer name eth9 netns {names[1]}",
        *(f"-n {name} addr add 10.9.9.{n}/24 dev eth9" for n, name in enumerate(names, 1)),
        *(f"-n {name} link set {link} up" for name in names for link in ("lo", "eth9")),
    ]
    try:
        for command in commands:
            try:
                subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True)
            except FileNotFoundError:
                pytest.skip("needs iproute2")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces are not allowed: {error.stderr.strip()}")
        yield [("ip", "netns", "exec", name) for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_two_machines_train_as_one_and_the_loss_of_one_ends_the_other(
    tmp_path, crops, alone, machines, launch
):
    work = tmp_path / "work"
    fixed_config(work, crops, batch=4, accumulated=1)
    shared = dict(NNODES="2", MASTER_ADDR="10.9.9.1", PORT="29500", GLOO_SOCKET_IFNAME="eth9")
    runs = [
        launch(work, 1, machine=machine, NODE_RANK=str(number), **shared)
        for number, machine in enumerate(machines)
    ]
    assert_same_training(load(work, "weights", 2), alone)
    assert "8 = 2 process(es) x 4 images x 1 accumulated" in learning_rate(work)

    # As if without power: nothing says goodbye.
    subprocess.run([*machines[1], "ip", "link", "set", "eth9", "down"], check=True)
    for process in (*ranks(runs[1]), runs[1].pid):
        os.kill(process, signal.SIGKILL)
    assert_timed_out(end(runs[0]))


def test_processes_draw_masks_and_crops_of_their_own_and_end_with_any(
    tmp_path, photo_folder, launch
):
    """The same picture everywhere, so that equal random numbers would give equal crops."""
    data, work = tmp_path / "data", tmp_path / "work"
    data.mkdir()
    for number in range(64):
        shutil.copy(photo_folder / "china.jpg", data / f"{number}.jpg")
    write_config(work, data, ["SaveMasksAndCrops"], batch=8)
    run = launch(work, 2)
    masks, crops = zip(*load(work, "seen", 2), strict=True)
    assert [len(x) for x in masks + crops] == [32, 32, 32, 32]
    assert len(torch.cat(crops).unique()) == 64
    assert len(torch.cat(masks).flatten(1).unique(dim=0)) > 60  # of 1820 possible ones
    for drawn in (torch.stack(masks).flatten(1), torch.stack(crops)):
        # Four deviations of what independent draws give.
        assert torch.corrcoef(drawn.double())[0, 1].abs() < 4 / drawn.shape[1] ** 0.5

    os.kill(ranks(run)[1], signal.SIGKILL)
    assert "Signal 9 (SIGKILL) received" in end(run)
