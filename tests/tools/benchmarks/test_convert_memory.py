import re
import subprocess
import sys
from pathlib import Path

import timm
import torch

ROOT = Path(__file__).parents[3]


def test_reports_the_peak_against_the_file(tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    command = [sys.executable, "tools/benchmarks/convert_memory.py", tmp_path / "a.pth"]
    command += ["--to", "transformers"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert re.search(r"file 21 MiB, peak \d+ MiB above \d+: \d\.\d\d", done.stdout), done
