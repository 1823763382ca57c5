import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py"
SIMMIM = "mmpretrain::simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py"
CLASSIFIER = "mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py"


@pytest.mark.parametrize(
    ("against", "size", "flags", "what"),
    [
        (DEMO, "96x96", [], "step"),
        (SIMMIM, "192x192", [], "step"),
        (CLASSIFIER, "224x224", ["--no-optimizer"], "forward and backward"),
    ],
)
def test_prints_times_memory_and_ratio(against, size, flags, what):
    done = subprocess.run(
        [
            *(sys.executable, "tools/benchmarks/pretrain_step.py", DEMO, str(against)),
            *("--batch-size", "1", "--steps", "2", "--warmup", "1", "--device", "cpu", *flags),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()[-4:]
    assert lines[0].startswith("cpu (") and lines[0].endswith(
        f"float32, batch 1, {what}, median of 2"
    )
    for letter, line in zip("AB", lines[1:3], strict=True):
        assert re.match(rf"{letter}: \d+\.\d\d ms/image, targets \d+\.\d\d ms/image, peak", line)
    assert "96x96 px" in lines[1] and f"{size} px" in lines[2]
    ratio = float(re.match(r"time A / B: (\d+\.\d+) ", lines[3]).group(1))
    assert ratio > 0
