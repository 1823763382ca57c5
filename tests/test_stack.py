import subprocess
import sys
import warnings

import pytest
from mmpretrain.utils import dependency

from localmim.stack import (
    STACKS,
    check_stack,
    debugging_hints_left_out,
    installed_versions,
    leave_out_multimodal,
)

ONEDL = {"onedl-mmengine": "0.10.12", "onedl-mmcv": "2.3.6", "onedl-mmpretrain": "1.3.6"}
OPENMMLAB = {"mmengine": "0.10.7", "mmcv": "2.1.0", "mmpretrain": "1.2.0"}


@pytest.mark.parametrize(
    ("versions", "family"),
    [
        (ONEDL, "onedl"),
        ({**ONEDL, "transformers": "4.57.6"}, "onedl"),
        (OPENMMLAB, "openmmlab"),
    ],
)
def test_either_family_is_accepted_without_a_word(versions, family):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_stack(versions) == family


def test_both_families_together_give_a_warning():
    with pytest.warns(UserWarning, match="both families.*mmengine.*environment of its own"):
        assert check_stack({**ONEDL, "mmengine": "0.10.7"}) == "onedl"


@pytest.mark.parametrize(
    ("versions", "problem", "command"),
    [
        ({}, "onedl-mmengine is not installed", "pip install onedl-mmengine==0.10.12"),
        ({**ONEDL, "onedl-mmcv": "2.2.0"}, "onedl-mmcv 2.2.0 is installed, >=2.3.6,<2.4", "onedl"),
        ({**OPENMMLAB, "mmpretrain": "1.3.0"}, "mmpretrain 1.3.0 is installed", "mmcv-lite==2.1.0"),
        ({"mmengine": "0.10.7"}, "mmcv is not installed; mmpretrain is not", "mmpretrain==1.2.0"),
    ],
)
def test_what_is_wrong_and_what_to_install_is_said(versions, problem, command):
    with pytest.raises(ImportError) as error:
        check_stack(versions)
    assert problem in str(error.value) and command in str(error.value)


@pytest.mark.parametrize(
    ("versions", "kept"),
    [
        (ONEDL, True),
        ({**ONEDL, "transformers": "4.57.6"}, True),
        ({**ONEDL, "transformers": "5.2.0"}, False),
        ({**OPENMMLAB, "transformers": "4.51.3"}, True),
        ({**OPENMMLAB, "transformers": "4.57.6"}, False),
    ],
)
def test_multimodal_models_are_left_out_where_transformers_is_too_new(versions, kept, monkeypatch):
    monkeypatch.setattr(dependency, "WITH_MULTIMODAL", True)
    with warnings.catch_warnings(record=True) as said:
        leave_out_multimodal(versions)
    assert kept == dependency.WITH_MULTIMODAL
    assert [versions["transformers"] in str(w.message) for w in said] == [True] * (not kept)


@pytest.mark.parametrize("what", ["parts", "downstream.detection", "downstream.segmentation"])
def test_importing_prints_nothing(what):
    done = subprocess.run(
        [sys.executable, "-c", f"import localmim.parts, localmim.{what}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""


def test_what_else_an_import_prints_is_kept(capsys):
    with pytest.raises(ImportError, match="this"), debugging_hints_left_out():
        print("Could not import OneDL. Skipping OneDL datasets.")
        print("Could not read the sky")
        raise ImportError("this")
    assert capsys.readouterr().out == "Could not read the sky\n"


def test_the_running_environment_is_of_one_family():
    assert set(installed_versions()) - {"transformers"} in [set(stack) for stack in STACKS.values()]
