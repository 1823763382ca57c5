import sys

import pytest
from tool_main import main_of


@pytest.fixture
def call(request, monkeypatch, capsys):
    """Calls the module's TOOL: what it prints, or the error it ends with."""
    name = request.module.TOOL

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        try:
            main_of(name)()
        except SystemExit as error:
            return str(error.code)
        return capsys.readouterr().out

    return call
