import subprocess
import sys

ABSENT = """
import sys
sys.modules["mmdet"] = None
try:
    import localmim.downstream.detection
except ImportError as error:
    print(error)
"""


def test_that_mmdet_is_missing_is_said():
    run = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True)
    assert "mmdet cannot be imported" in run.stdout and "pip install" in run.stdout


LATE = """
import localmim
from mmdet.structures.mask import structures
structures.roi_align = None  # as OneDL's mmdet has it where it came before
try:
    import localmim.downstream.detection
except ImportError as error:
    print(error)
"""


def test_localmim_has_to_come_before_mmdet():
    run = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    assert "import localmim first" in run.stdout


def test_localmim_itself_needs_no_mmdet():
    script = "import sys; sys.modules['mmdet'] = None; import localmim"
    subprocess.run([sys.executable, "-c", script], check=True)
