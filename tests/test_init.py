"""``import localmim`` costs nothing, and what it offers is there."""

import json
import subprocess
import sys

import pytest
from processes import ROOT, environment

import localmim

HEAVY = ("torch", "mmengine", "mmpretrain")
FUNCTIONS = ("pretrain", "finetune", "knn", "embed", "doctor", "convert")
PACKAGES = ("analysis", "checkpoints", "data", "engine", "evaluation", "models")


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import localmim",
        "import localmim; dir(localmim); localmim.__version__",
        "import localmim; hasattr(localmim, 'nothing')",
        "import localmim.recipes",
        "import localmim.scenes",
        # Processes that draw import the program anew.
        "import runpy; runpy.run_path('tools/make_scenes.py')",
        "import runpy; runpy.run_path('tools/transfer_demo.py')",
        "import localmim.command.main as m; m.parser(m.RUNS).parse_args(['config', '.'])",
    ],
)
def test_nothing_large_is_imported(code):
    shown = f"import sys, json; print(json.dumps([x for x in {HEAVY} if x in sys.modules]))"
    assert json.loads(python("-c", f"{code}; {shown}").stdout) == []


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_command_answers_without_torch(option):
    done = python("-X", "importtime", "-m", "localmim", option)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported and not imported & set(HEAVY)
    if option == "--version":
        assert done.stdout == f"localmim {localmim.__version__}\n"
    else:
        assert done.stdout.startswith("usage: localmim ")
        for command in (*FUNCTIONS, "config", "show", "analyze"):
            assert f"\n    {command} " in done.stdout


def test_what_it_offers_is_listed():
    assert localmim.__all__ == ["__version__", *FUNCTIONS, *PACKAGES]
    assert dir(localmim) == sorted(localmim.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_the_commands(name):
    function = getattr(localmim, name)
    assert callable(function) and function.__module__.startswith("localmim.")
    assert function.__name__ == ("convert_file" if name == "convert" else name)
    assert function.__doc__


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_are_imported_when_they_are_used(name):
    # They are attributes already where they have been imported by others.
    assert localmim.__getattr__(name) is sys.modules[f"localmim.{name}"] is getattr(localmim, name)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="module 'localmim' has no attribute 'pretrian'"):
        localmim.pretrian  # noqa: B018
