"""Which arguments the type of a config's dict takes."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import mmengine.registry
from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch import nn

# Keys that builders take out of a dict before its type sees it, by what begins or ends its path.
_TAKEN = {
    "default_hooks": ("priority",),
    "custom_hooks": ("priority",),
    "param_scheduler": ("convert_to_iter_based", "param_name"),
    "optim_wrapper": ("constructor", "paramwise_cfg", "optimizer"),
    "val_evaluator": ("metrics",),
    "test_evaluator": ("metrics",),
}


@lru_cache(maxsize=4096)
def _find(kind: str, scope: str) -> Callable | None:
    """The only thing of that name, as mmengine would look for it; None where that is not clear."""
    if "." in kind:
        scope, kind = kind.split(".", 1)
    found = []
    for root in _registries():
        for registry in (root.children.get(scope), root):
            if registry is not None and kind in registry.module_dict:
                found.append(registry.module_dict[kind])
                break
    return found[0] if len(set(map(id, found))) == 1 else None


@lru_cache(maxsize=1)
def _registries() -> tuple[Registry, ...]:
    return tuple(x for x in vars(mmengine.registry).values() if isinstance(x, Registry))


@lru_cache(maxsize=16)
def _import_scope(scope: str) -> None:
    """Let a library register its parts, as building one of them would."""
    try:
        importlib.import_module(f"{scope}.registry")
    except ImportError:  # building says so, if it is needed
        return
    for root in _registries():
        if scope in root.children:
            root.children[scope].import_from_location()
        if scope == root.scope:
            root.import_from_location()


def resolve(kind: Any, scope: str) -> Callable | None:
    """The class or function of a ``type``, or None if it is not known here."""
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    for name in {scope, kind.split(".")[0] if "." in kind else "mmengine", "mmengine"}:
        _import_scope(name)
    return _find(kind, scope)


def accepted_arguments(kind: Callable, path: str) -> set[str] | None:
    """Names that a type takes in a place of the config; None if it takes any.

    Args:
        kind: class or function.
        path: of the dict in the config.
    """
    names = arguments_of(kind)
    if inspect.isclass(kind) and issubclass(kind, CheckpointHook):
        # Hands on what it does not know when it saves.
        functions = (kind.__init__, CheckpointHook.__init__, Runner.save_checkpoint)
        names = set().union(*(_parameters(function)[0] for function in functions))
    if names is None:
        return None
    return {*names, *_TAKEN.get(path.split(".")[0], ())}


@lru_cache(maxsize=4096)
def arguments_of(kind: Callable) -> frozenset[str] | None:
    """The parameters of a function or class, through its parents as far as it hands them on."""
    if not inspect.isclass(kind):
        names, rest = _parameters(kind)
        return None if rest else frozenset(names)
    found: set[str] = set()
    for parent in inspect.getmro(kind):
        if parent is nn.Module or parent is object:
            return frozenset(found) if found else None  # made in another way
        if "__init__" not in vars(parent):
            continue
        names, rest = _parameters(parent.__init__)
        found |= names - {"self"}
        if rest is None:
            return frozenset(found)
        if not _only_handed_on(parent.__init__, rest):
            return None
        found |= texts_of(parent.__init__)
    return None


@lru_cache(maxsize=256)
def texts_of(kind: Callable) -> frozenset[str]:
    """Words that the source of a function, or of a class and its parents, has in quotes."""
    found: set[str] = set()
    for part in inspect.getmro(kind) if inspect.isclass(kind) else (kind,):
        if part is nn.Module or part is object:
            break
        try:
            found |= {*re.findall(r"""['"](\w+)['"]""", inspect.getsource(part))}
        except (OSError, TypeError):  # written in C, or made while running
            continue
    return frozenset(found)


def _parameters(function: Callable) -> tuple[set[str], str | None]:
    """Names of parameters, and of the one that takes all others."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return set(), "kwargs"
    rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name for p in parameters if p.kind in kinds}, rest


def _only_handed_on(function: Callable, rest: str) -> bool:
    """Whether ``**kwargs`` goes to the parent's ``__init__`` and nowhere else.

    Its items may be looked at, added and taken out.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    handed, plain = 0, 0
    for node in ast.walk(tree):
        parts: list[Any] = []
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "__init__":
            handed += sum(k.arg is None and _is(k.value, rest) for k in node.keywords)
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            parts = [node.value]
        elif isinstance(node, ast.Compare):
            parts = node.comparators
        elif isinstance(node, ast.Assign) and _is(node.targets[0], rest):
            parts = [node.targets[0], *getattr(node.value, "values", [])]
        plain += sum(_is(part, rest) for part in parts)
    uses = sum(_is(node, rest) for node in ast.walk(tree))
    return handed > 0 and uses == handed + plain


def _is(node: Any, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
