import re

from tool_main import DEMO, benchmark


def test_prints_what_a_checkpoint_costs_and_leaves_nothing(tmp_path):
    text = benchmark("checkpoint_writing", DEMO, tmp_path, "--batch-size", 1, "--repeats", 1)
    assert re.search(r"photos: 0\.\d\d GB", text)
    assert re.search(r"copy [\d.]+ s, write [\d.]+ s, lost to a write", text)
    assert re.search(r"beside / waiting: -?[\d.]+$", text.strip())
    assert not list(tmp_path.iterdir())
