"""tools/slurm_train.sh with stand-ins for Slurm's commands."""

import signal
import subprocess

import pytest
from processes import environment, start, wait_for

# Each writes down its arguments, one a line.
STAND_INS = {
    "sbatch": 'cat > "$0.script"',
    "scontrol": "",
    # Hands signals on as srun does, and ends with what the file says.
    "srun": """
        trap 'echo USR1 >> "$0.signals"' USR1
        trap 'echo TERM >> "$0.signals"' TERM
        until [ -e "$0.exit" ]; do sleep 0.05; done
        exit "$(cat "$0.exit")"
    """,
}


@pytest.fixture
def slurm(tmp_path):
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, does in STAND_INS.items():
        (folder / name).write_text(f'#!/bin/bash\nprintf "%s\\n" "$@" > "$0.arguments"\n{does}\n')
        (folder / name).chmod(0o755)
    return folder


def path(slurm) -> str:
    return f"{slurm}:{environment()['PATH']}"


def arguments(slurm, command) -> list[str]:
    return (slurm / f"{command}.arguments").read_text().splitlines()


@pytest.fixture
def job(tmp_path, slurm):
    """Submit a job, then run what has been submitted until it has started its step."""
    submitted = start(
        "tools/slurm_train.sh",
        "gpu",
        "a job",
        "config.py",
        tmp_path / "my work",
        "--cfg-options",
        'key="[1, 2]"',
        PATH=path(slurm),
        GPUS="16",
        GRACE="90",
        SBATCH_ARGS="--time 1:00",
        SRUN_ARGS="--cpu-bind none",
    )
    assert submitted.wait(20) == 0, submitted.stdout.read()
    run = subprocess.Popen(
        # As Slurm: a copy of the script elsewhere.
        ["bash", slurm / "sbatch.script"],
        env=environment(PATH=path(slurm), SLURM_JOB_ID="7", SLURM_CPUS_PER_TASK="8"),
    )
    wait_for((slurm / "srun.arguments").exists)
    yield run
    (slurm / "srun.exit").touch()
    run.wait(20)


def test_submits_a_job_that_can_be_requeued_and_signalled(tmp_path, slurm, job):
    words = arguments(slurm, "sbatch")
    assert words[:2] == ["--partition=gpu", "--job-name=a job"]
    assert words[-2:] == ["--time", "1:00"]
    expected = {
        "--ntasks=16",
        "--gres=gpu:8",
        "--requeue",
        "--open-mode=append",
        "--signal=B:USR1@90",
        f"--output={tmp_path}/my work/slurm-%j.out",
    }
    assert expected <= set(words) and (tmp_path / "my work").is_dir()

    words = arguments(slurm, "srun")
    assert words[:4] == ["--kill-on-bad-exit=1", "--cpus-per-task=8", "--cpu-bind", "none"]
    assert words[4:6] == ["python", "-u"] and words[6].endswith("tools/train.py")
    tail = ["config.py", f"--work-dir={tmp_path}/my work", "--launcher=slurm"]
    assert words[7:] == [*tail, "--cfg-options", 'key="[1, 2]"']
    (slurm / "srun.exit").write_text("0")
    assert job.wait(20) == 0 and not (slurm / "scontrol.arguments").exists()


@pytest.mark.parametrize(("sent", "code"), [("USR1", 0), ("USR1", 3), ("TERM", 0), (None, 3)])
def test_requeues_after_saving_before_the_time_limit_and_only_then(slurm, job, sent, code):
    if sent:
        job.send_signal(signal.Signals[f"SIG{sent}"])
    if sent == "USR1":
        wait_for((slurm / "srun.signals").exists)
        assert (slurm / "srun.signals").read_text() == "USR1\n"
    (slurm / "srun.exit").write_text(str(code))
    assert job.wait(20) == code
    requeued = (slurm / "scontrol.arguments").exists()
    assert requeued == (sent == "USR1" and code == 0)
    assert not requeued or arguments(slurm, "scontrol") == ["requeue", "7"]
