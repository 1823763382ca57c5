import re

from localmim.analysis.health import Health


def warnings(*looks, warm=True):
    """What is said of skills and ranks, look after look."""
    health = Health()
    return [list(health.judge(skills, ranks, warm)) for skills, ranks in looks]


def test_nothing_is_said_of_what_is_well():
    looks = [([0.01, 0.2], [10, 30]), ([0.1, 0.17], [9, 40]), ([0.12, 0.3], [9, 41])]
    assert warnings(*looks) == [[], [], []]
    assert warnings(([-3.0], [5]), ([-0.1], [1]), warm=False) == [[], []]


def test_no_skill_after_some_looks_is_said_once_for_each_scale():
    looks = [([0.1, -0.03], [9, 9])] * 2 + [([0.1, -0.02], [9, 9])] + [([0.1, 0.1], [9, 9])]
    said = warnings(*looks, *[([0.1, float("nan")], [9, 9])] * 4)
    assert [len(texts) for texts in said] == [0, 0, 1, 0, 0, 0, 0, 0]
    assert re.match(r"Scale 1 is predicted no better .* \(skill -2.0%\)", said[2][0])


def test_a_scale_that_gets_worse_and_stays_so():
    looks = [([0.4], [9]), *[([0.3], [9])] * 2, ([0.39], [9]), *[([0.3], [9])] * 4]
    said = warnings(*looks)
    assert [len(texts) for texts in said] == [0] * 6 + [1, 0]
    assert said[6][0].startswith("The loss of scale 0 has risen: skill 30.0%, and 40.0% before")


def test_features_that_collapse():
    said = warnings(([0.4], [80]), ([0.4], [30]), ([0.4], [12]))
    assert [len(texts) for texts in said] == [0, 0, 1]
    assert "Features of tap 0 use 12 directions, and used 80 before" in said[2][0]
