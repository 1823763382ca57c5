"""What a wheel brings along, built from an sdist as pip does it."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BROUGHT = ("configs", "tools", "model-index.yml")


def run(*command, cwd):
    subprocess.run([sys.executable, *command], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the repository: what builds leave behind stays out of it."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("localmim", "configs", "tools"):
        skipped = shutil.ignore_patterns("__pycache__", ".mim")
        shutil.copytree(ROOT / name, copy / name, ignore=skipped)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    return copy


@pytest.fixture(scope="module")
def installed(source, tmp_path_factory):
    """The files of a wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("packages")
    run("setup.py", "sdist", "--dist-dir", str(folder), cwd=source)
    (sdist,) = folder.glob("localmim-*.tar.gz")
    with tarfile.open(sdist) as file:
        file.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    options = ("--no-deps", "--no-index", "--no-build-isolation")
    run("-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(unpacked), cwd=folder)
    (wheel,) = folder.glob("localmim-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "installed")
    return folder / "installed"


def files(folder):
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in paths if "__pycache__" not in path.parts}


def test_a_wheel_has_the_package_its_configs_and_its_tools(installed):
    brought = installed / "localmim" / ".mim"
    assert {path.name for path in brought.iterdir()} == set(BROUGHT)
    for name in ("configs", "tools"):
        assert files(brought / name) == files(ROOT / name)
    package = {path for path in files(ROOT / "localmim") if path.parts[0] != ".mim"}
    assert {path for path in files(installed / "localmim") if path.parts[0] != ".mim"} == package
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"localmim"}


def test_the_configs_of_a_wheel_load_outside_the_repository(installed, tmp_path):
    script = """
from pathlib import Path
from mmengine.config import Config
import localmim
configs = sorted((Path(localmim.__file__).parent / ".mim" / "configs").glob("[!_]*/*.py"))
for path in configs:
    assert Config.fromfile(path).filename
print(localmim.__file__, len(configs))
"""
    (tmp_path / "load.py").write_text(script)
    result = subprocess.run(
        [sys.executable, "load.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    file, count = result.stdout.splitlines()[-1].split()
    assert Path(file).is_relative_to(installed)
    assert int(count) == len(list(ROOT.glob("configs/[!_]*/*.py")))


def test_an_editable_install_links_to_the_repository(source, tmp_path):
    script = f"from setuptools.build_meta import build_editable; build_editable({str(tmp_path)!r})"
    run("-c", script, cwd=source)
    brought = source / "localmim" / ".mim"
    for name in BROUGHT:
        assert (brought / name).is_symlink()
        assert (brought / name).resolve() == (source / name).resolve()
