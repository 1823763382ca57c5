import re

import pytest
from tool_main import benchmark


@pytest.mark.parametrize(
    ("arguments", "plans"),
    [
        ([], [(0, 7, 0), (0, 7, 3), (1, 7, 0), (1, 7, 3), (2, 7, 0), (2, 7, 3), (3, 7, 0)]),
        (
            ["--size", "96", "160", "--window", "6", "--images", "2"],
            [(0, 6, 0), (0, 6, 3), (1, 6, 0), (1, 6, 3), (2, 6, 0), (3, 3, 0)],
        ),
    ],
)
def test_prints_a_row_for_each_stage_and_shift(arguments, plans):
    text = benchmark("window_packing", "--masks", 2, *arguments)
    rows = [line.split() for line in text.splitlines() if re.match(r" +\d", line)]
    assert [tuple(map(int, row[:3])) for row in rows] == plans
    assert all(0.3 < float(row[3]) <= 1 for row in rows)
