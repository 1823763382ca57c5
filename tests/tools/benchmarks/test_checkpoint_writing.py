import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_prints_what_a_checkpoint_costs_and_leaves_nothing(tmp_path):
    config = ROOT / "configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"
    done = subprocess.run(
        [sys.executable, "tools/benchmarks/checkpoint_writing.py", config, tmp_path]
        + ["--batch-size", "1", "--repeats", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"photos: 0\.\d\d GB", done.stdout)
    assert re.search(r"copy [\d.]+ s, write [\d.]+ s, lost to a write", done.stdout)
    assert re.search(r"beside / waiting: -?[\d.]+$", done.stdout.strip())
    assert not list(tmp_path.iterdir())
