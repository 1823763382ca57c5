import os
import subprocess
import sys
from pathlib import Path

import mmpretrain
import pytest
from tool_main import tool

from localmim.checkpoints import load_from_file

ROOT = Path(__file__).parents[2]
CONFIG = "configs/localmim/localmim_vit-small-p16_1xb128-amp-coslr-200e_folder.py"
SMALL = [
    "model.backbone.arch=deit-tiny",
    "image_size=64",
    "model.neck.embed_dims=32",
    "train_dataloader.batch_size=4",
    "train_dataloader.num_workers=1",
    "train_dataloader.pin_memory=False",
    "train_dataloader.dataset.indices=8",
    "train_cfg.max_epochs=2",
    "param_scheduler.0.end=1",
    "param_scheduler.1.begin=1",
]


def call(*command, **environment):
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )


def mmpretrains_tool() -> Path:
    return Path(mmpretrain.__file__).parent / ".mim" / "tools" / "train.py"


@pytest.mark.parametrize("tool", [ROOT / "tools/train.py", mmpretrains_tool()], ids=["ours", "mm"])
def test_both_tools_run_a_config_with_settings_from_the_command_line(tmp_path, photo_folder, tool):
    options = [*SMALL, f"train_dataloader.dataset.data_root={photo_folder}"]
    done = call(sys.executable, tool, CONFIG, "--work-dir", tmp_path, "--cfg-options", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    log = next(tmp_path.rglob("*.log")).read_text()
    assert "Total batch 4 = 1 process(es) x 4 images x 1 accumulated" in log
    assert "Mixed precision: " in log
    assert load_from_file(tmp_path / "epoch_2.pth")["meta"]["epoch"] == 2


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh"])
def test_scripts_without_arguments_say_how_to_call_them(script):
    done = call(ROOT / "tools" / script)
    assert done.returncode == 2 and f"tools/{script} " in done.stderr


def test_a_missing_config_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        tool("train", tmp_path / "none.py")
    assert stop.value.code == 2
    assert "none.py' does not exist" in capsys.readouterr().err.splitlines()[-1]
