import json
import re

import pytest
from tool_main import DEMO, benchmark

SIMMIM = "mmpretrain::simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py"
CLASSIFIER = "mmpretrain::resnet/resnet18_8xb32_in1k.py"


@pytest.mark.parametrize(
    ("against", "size", "flags", "what"),
    [
        (SIMMIM, "192x192", [], "whole step"),
        (CLASSIFIER, "224x224", ["--no-optimizer"], "forward and backward"),
    ],
)
def test_prints_and_writes_times_memory_parts_and_ratios(tmp_path, against, size, flags, what):
    out = tmp_path / "record.json"
    brief = ("--batch-size", 1, "--steps", 2, "--warmup", 1, "--device", "cpu")
    printed = benchmark("pretrain_step", DEMO, against, *brief, "--out", out, *flags)
    text = printed[printed.rindex(", median of 2") :]
    assert f"float32, batch 1, {what}, median of 2" in printed
    assert re.search(r"^A: \d+\.\d\d ms/image.*, peak [\d.]+ GiB, 96x96 px", text, re.M)
    assert re.search(rf"^B: .* {size} px", text, re.M)
    assert float(re.search(r"^time A / B, as configured: ([\d.]+) \(", text, re.M).group(1)) > 0
    assert ("same fused optimiser: " in text) == ("--no-optimizer" not in flags)
    record = json.loads(out.read_text())
    assert record["settings"]["batch_size"] == 1 and record["ceiling_flops"] > 1e8
    for result in record["results"]:
        assert len(result["steps"]) == 2
        rows = {(row["part"], row["direction"]): row for row in result["parts"]}
        for key in [("backbone", "forward"), ("backbone", "backward")]:
            assert min(rows[key][figure] for figure in ("seconds", "flops", "bytes")) > 0
        assert rows["optimizer", "update"]["bytes"] > 0
    # The configs of mmpretrain name no fused kernel, those here do.
    steps = [result["steps"][0] for result in record["results"]]
    assert steps[0]["fused"] == steps[0]["optimizer"]
    assert steps[1]["fused"] != steps[1]["optimizer"]
