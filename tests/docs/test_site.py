"""The documentation: a site without dead links, commands that exist, Python that compiles."""

import argparse
import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import pytest

from localmim.command import arguments as command
from localmim.command.main import RUNS

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("configs/**/README.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
TOOL = re.compile(r"(?:\.venv/bin/)?python (tools/[\w/]+\.py)(.*)")


def blocks(language):
    for page in PAGES:
        for kind, text in BLOCK.findall(page.read_text()):
            if kind == language:
                yield page.relative_to(ROOT), text


def lines():
    """The lines of the shell in all pages, those that were broken joined again."""
    for page, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            yield page, re.sub(r"(^|\s)#.*", "", line).strip()


class Links(HTMLParser):
    """Places that a page names, and those that are to be found on it."""

    def __init__(self, path):
        super().__init__()
        self.named, self.anchors = [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.add(attrs.get("id"))
        self.named += [attrs[key] for key in ("href", "src") if attrs.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_every_link_of_the_site_leads_somewhere(site):
    pages = {path: Links(path) for path in site.rglob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.named:
            target, _, anchor = link.partition("#")
            if "://" in target or target.startswith(("data:", "mailto:")):
                continue
            place = Path(os.path.normpath(path.parent / target)) if target else path
            place = place / "index.html" if place.is_dir() else place
            assert place.exists(), f"{path}: {link}"
            assert place.suffix != ".html" or anchor in pages[place].anchors, f"{path}: {link}"


def test_commands_of_the_documentation_are_understood(monkeypatch):
    monkeypatch.setattr(command, "folder", str)
    monkeypatch.setattr(command, "file", str)
    found = 0
    for page, line in lines():
        for part in re.split(r"\s(?:&&|;|>|\|)\s.*", line)[:1]:
            words = shlex.split(part)
            if not words or Path(words[0]).name != "localmim":
                continue
            found += 1
            if words[1] in command.TOOLS:
                _parse(ROOT / "tools" / command.TOOLS[words[1]][0], words[2:], f"{page}: {line}")
                continue
            try:
                command.parser(RUNS).parse_args(words[1:])
            except SystemExit:
                pytest.fail(f"{page}: {line}")
    assert found > 8


def test_tools_of_the_documentation_understand_their_arguments():
    found = 0
    for page, line in lines():
        if "$" not in line and (match := TOOL.match(line)):
            found += 1
            arguments = re.split(r"\s[;>|&]", match[2])[0].replace(" KIND", " timm")
            _parse(ROOT / match[1], shlex.split(arguments), f"{page}: {line}")
    assert found > 30


def _parse(tool, arguments, where):
    """A tool takes such arguments; it is stopped when it has read them."""
    usual = argparse.ArgumentParser.parse_args

    def read(parser, *given):
        usual(parser, *given)
        raise SystemExit(0)

    spec = importlib.util.spec_from_file_location(tool.stem, tool)
    module = importlib.util.module_from_spec(spec)
    with (
        mock.patch.object(sys, "argv", [tool.name, *arguments]),
        mock.patch.object(sys, "path", [str(tool.parent), *sys.path]),
        mock.patch.object(argparse.ArgumentParser, "parse_args", read),
        pytest.raises(SystemExit) as ended,
    ):
        spec.loader.exec_module(module)
        module.main()
    assert not ended.value.code, where


def test_python_of_the_documentation_is_python_of_names_that_exist():
    found = 0
    for page, text in blocks("python"):
        tree = ast.parse(text, str(page))
        imports = [
            node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        ours = [node for node in imports if "localmim" in ast.unparse(node)]
        for node in ours:
            exec(compile(ast.Module([node], []), str(page), "exec"), {})
        found += len(ours)
    assert found > 3
