"""tools/dist_train.sh with a stand-in for train.py: signals, restarts, and who outlives whom."""

import os
import shutil
import signal

import pytest
from processes import ROOT, alive, children, free_port, start, wait_for

# Writes down its number and the signals it gets; ends with 0 after SIGTERM, or as a file tells.
STAND_IN = """
import os, pathlib, signal, sys, time

folder = pathlib.Path(sys.argv[1])
name = f"{os.environ['TORCHELASTIC_RESTART_COUNT']}.{os.environ['RANK']}"
notes = open(folder / name, "a", buffering=1)

def note(number, _):
    notes.write(signal.Signals(number).name + " ")
    notes.flush()
    if number == signal.SIGTERM:
        time.sleep(0.5)  # saving
        notes.write("saved ")
        sys.exit()

for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    signal.signal(number, note)
notes.write(f"{os.getpid()} ")
notes.flush()
while not (order := folder / f"exit.{name}").exists():
    time.sleep(0.05)
sys.exit(int(order.read_text()))
"""


@pytest.fixture
def script(tmp_path):
    """The script, which hears of a hang-up even if the tests run under nohup."""
    (tmp_path / "train.py").write_text(STAND_IN)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield shutil.copy(ROOT / "tools/dist_train.sh", tmp_path)
    signal.signal(signal.SIGHUP, before)


def notes(tmp_path, attempt=0) -> list[list[str]]:
    """What each of two processes has written, once both have begun."""
    files = [tmp_path / f"{attempt}.{rank}" for rank in (0, 1)]
    return wait_for(lambda: all(f.exists() and f.read_text() for f in files)) and [
        file.read_text().split() for file in files
    ]


def processes(tmp_path, attempt=0) -> list[int]:
    return [int(words[0]) for words in notes(tmp_path, attempt)]


def test_signals_reach_the_training_processes_and_their_exit_codes_come_back(tmp_path, script):
    run = start(script, tmp_path, 2, PORT=free_port())
    processes(tmp_path)
    for sent, got in (("USR1", "SIGUSR1"), ("INT", "SIGINT"), ("HUP", "SIGTERM")):
        run.send_signal(signal.Signals[f"SIG{sent}"])
        wait_for(lambda got=got: all(got in words for words in notes(tmp_path)))
    assert run.wait(60) == 0, run.stdout.read()
    for words in notes(tmp_path):
        assert words[1:] == ["SIGUSR1", "SIGINT", "SIGTERM", "saved"]


def test_a_second_interrupt_kills_everything(tmp_path, script):
    run = start(script, tmp_path, 2, PORT=free_port(), MAX_RESTARTS="1")
    started = processes(tmp_path)
    run.send_signal(signal.SIGINT)
    wait_for(lambda: all("SIGINT" in words for words in notes(tmp_path)))
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 128 + signal.SIGKILL
    assert not any(map(alive, started))
    assert all("saved" not in words for words in notes(tmp_path))
    assert not list(tmp_path.glob("1.*"))


@pytest.mark.parametrize("killed", ["script", "agent"])
def test_nothing_trains_on_without_the_script_or_the_agent(tmp_path, script, killed):
    run = start(script, tmp_path, 2, PORT=free_port())
    started = processes(tmp_path)
    (agent,) = children(run.pid)
    os.kill({"script": run.pid, "agent": agent}[killed], signal.SIGKILL)
    assert run.wait(60) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    wait_for(lambda: not any(map(alive, [agent, *started])))
    # Linux sends the signal once for each of the agent's threads that ends.
    for words in notes(tmp_path):
        assert words[-1] == "saved" and set(words[1:-1]) == {"SIGTERM"}


def test_all_start_again_after_one_has_failed_as_often_as_allowed(tmp_path, script):
    run = start(script, tmp_path, 2, PORT=free_port(), MAX_RESTARTS="1")
    processes(tmp_path)
    (tmp_path / "exit.0.1").write_text("3")
    processes(tmp_path, attempt=1)
    assert notes(tmp_path)[0][1:] == ["SIGTERM", "saved"]
    (tmp_path / "exit.1.0").write_text("3")
    assert run.wait(60) == 1
    output = run.stdout.read()
    assert "exitcode" in output and not list(tmp_path.glob("2.*"))
