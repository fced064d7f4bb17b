"""CREDWATCH_ENABLED: imported by the wheel's one-line `.pth` at the start of each Python that has it set.

Imports nothing but a finder that waits for botocore; a process that never imports botocore pays for
nothing else. Everything here is caught: a `.pth` that fails is printed by every Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_TRIGGER = "botocore.session"  # the first module that every use of botocore and boto3 imports
_TRUE = frozenset({"1", "true", "yes", "on"})


class _Finder:
    """Finds one module, once: the real one, with our activation after its execution."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _TRIGGER:
            return None
        # stays until the module is executed: `importlib.util.find_spec` asks and imports nothing
        spec = _find(name, path, target, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]  # duck-typed, as the import system allows
        return spec


def _find(name: str, path: Sequence[str] | None, target: ModuleType | None, ours: _Finder) -> ModuleSpec | None:
    for finder in list(sys.meta_path):
        if finder is ours:
            continue
        find_spec = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find_spec(name, path, target) if find_spec is not None else None
        if spec is not None:
            return spec
    return None


class _Loader:
    """Delegates to the real loader, then switches credwatch on."""

    def __init__(self, loader: object, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)  # type: ignore[attr-defined]
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader  # type: ignore[assignment]  # the real one again
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # type: ignore[assignment]
        self._loader.exec_module(module)  # type: ignore[attr-defined]
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        _activate()


def _activate() -> None:
    try:
        from credwatch.instrumentor import instrument  # noqa: PLC0415 - only where botocore is used

        instrument()
    except Exception as error:  # noqa: BLE001 - the application's import must not fail because of us
        import logging  # noqa: PLC0415

        logging.getLogger("credwatch").warning("credwatch could not be loaded: %s", type(error).__name__)


def _wanted() -> bool:
    on = os.environ.get("CREDWATCH_ENABLED", "").strip().lower() in _TRUE
    return on and os.environ.get("CREDWATCH_DISABLED", "").strip().lower() not in _TRUE


if _wanted():
    if _TRIGGER in sys.modules:
        _activate()
    else:
        sys.meta_path.insert(0, _Finder())
