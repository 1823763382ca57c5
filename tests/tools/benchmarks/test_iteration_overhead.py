import json
import re

import pytest
from tool_main import DEMO, benchmark


def test_says_what_hooks_take_and_where_the_host_reads(tmp_path):
    out = tmp_path / "record.json"
    brief = ("--batch-size", 2, "--iterations", 2, "--turns", 2)
    text = benchmark("iteration_overhead", DEMO, *brief, "--out", out)
    assert re.search(r"^runner / bare: [\d.]+ \([\d.]+ to [\d.]+\)$", text, re.M)
    record = json.loads(out.read_text())
    # Once for the guard's norm; all losses and their sum for the log.
    assert sum(record["reads"]["runner"].values()) == 6 and not record["reads"]["bare"]
    spent = record["hook_seconds"]
    assert {"ParamSchedulerHook", "RuntimeInfoHook", "FiniteStepsHook"} <= spent.keys()
    assert 0 < sum(spent.values()) < sum(record["runner_seconds"])
    ratios = [a / b for a, b in zip(record["runner_seconds"], record["bare_seconds"], strict=True)]
    assert record["time_ratio"]["least"] == pytest.approx(min(ratios))
