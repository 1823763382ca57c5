import re

import timm
import torch
from tool_main import benchmark


def test_reports_the_peak_against_the_file(tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    text = benchmark("convert_memory", tmp_path / "a.pth", "--to", "transformers")
    assert re.search(r"file 21 MiB, peak \d+ MiB above \d+: \d\.\d\d", text), text
