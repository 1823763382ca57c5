import subprocess
import sys

import pytest

ABSENT = """
import sys
sys.modules[{module!r}] = None
try:
    import localmim.downstream.detection
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "problem", "command"),
    [
        ("mmcv._ext", "mmdet needs mmcv's compiled operators", "MMCV_WITH_OPS=1 pip install"),
        ("mmdet", "mmdet cannot be imported", "pip install --no-deps"),
    ],
)
def test_what_is_missing_is_said(module, problem, command):
    script = ABSENT.format(module=module)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert problem in run.stdout and command in run.stdout


def test_localmim_itself_needs_no_mmdet():
    script = "import sys; sys.modules['mmdet'] = None; import localmim"
    subprocess.run([sys.executable, "-c", script], check=True)
