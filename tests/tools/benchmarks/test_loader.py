import json
import re

from tool_main import DEMO, benchmark


def test_says_speeds_their_ratio_and_how_many_workers_keep_up(tmp_path):
    out = tmp_path / "record.json"
    sizes = ("--sizes", 160, 320, "--images", 3, "--turns", 2)
    text = benchmark("loader", DEMO, "pillow", *sizes, "--batch-size", 1, "--out", out)
    assert re.search(r"^JPEGs of 320 px, [\d.]+ bytes a pixel$", text, re.M)
    assert len(re.findall(r"^[AB]: [\d.]+ images/s and core, peak \d+ MiB", text, re.M)) == 4
    assert len(re.findall(r"^speed A / B: [\d.]+ \([\d.]+ to [\d.]+\)$", text, re.M)) == 2
    assert len(re.findall(r"takes [\d.]+ images/s: \d+ workers keep up with it", text)) == 2
    record = json.loads(out.read_text())
    assert record["step_images_per_second"] > 0 and len(record["rows"]) == 2
    for row in record["rows"]:
        for result in row["results"]:
            assert len(result["seconds"]) == 2 and result["memory"] > 50
        pairs = zip(*(result["seconds"] for result in row["results"]), strict=True)
        ratios = sorted(b / a for a, b in pairs)
        assert [row["speed_ratio"][k] for k in ("least", "most")] == [ratios[0], ratios[-1]]


def test_crops_are_compared_by_their_scale(tmp_path):
    out = tmp_path / "record.json"
    text = benchmark("crop_quality", "--scale", 64, "--sizes", 200, "--crops", 1, "--out", out)
    assert re.search(r"^photographs, at 1/1, \d+ crops: ours \d\d\.\d \(", text, re.M)
    for row in json.loads(out.read_text())["rows"]:
        lowest = row["psnr"]["ours"]["lowest"]
        assert lowest > (55 if row["reduction"] == 1 else 27), row
