"""Which names in config files anybody reads."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class ConfigFile:
    """What a config file does with names.

    Attributes:
        path: of the file.
        assigned: names that it gives a value.
        loaded: names that its expressions read.
        from_base: names that it reads from the files it is based on.
        bases: those files.
        whole: whether all of them could be found.
    """

    path: Path
    assigned: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    from_base: set[str] = field(default_factory=set)
    bases: list["ConfigFile"] = field(default_factory=list)
    whole: bool = True

    @property
    def plain(self) -> bool:
        """Whether it has no bases and uses no names, as what mmengine writes down of a run."""
        return not self.bases and self.whole and self.loaded <= {"dict", "True", "False", "None"}

    def files(self) -> Iterator["ConfigFile"]:
        """The file and all those below it."""
        yield self
        for base in self.bases:
            yield from base.files()

    def unread(self, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, Path]]:
        """Names that are assigned and then not read in the file, nor by one based on it.

        mmengine replaces settings, not variables: a variable that a child sets again changes
        nothing of what its base made with it.
        """
        for name in sorted(self.assigned - self.loaded - above):
            yield name, self.path
        for base in self.bases:
            yield from base.unread(above | self.from_base)


def read_config_file(path: Path) -> ConfigFile | None:
    """Read a config file's names, and those of its bases; None where they are not plain.

    That is a config of another format than Python, or in mmengine's newer style, whose bases are
    imported.
    """
    if path.suffix != ".py" or not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    # mmengine's own variables are filled in before the file is Python.
    tree = ast.parse(re.sub(r"\{\{\s*(file\w+)\s*\}\}", r"\1", text))
    found = ConfigFile(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (found.assigned if isinstance(node.ctx, ast.Store) else found.loaded).add(node.id)
            if node.id == "read_base":
                return None
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "_base_":
            found.from_base.add(node.attr)
    for name in _base_names(tree):
        base = None if "::" in name else read_config_file(path.parent / name)
        if base is None:
            found.whole = False
        else:
            found.bases.append(base)
            found.whole &= base.whole
    return found


def _base_names(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "_base_":
            names = ast.literal_eval(node.value)
            return [names] if isinstance(names, str) else list(names)
    return []
