"""A ceiling on the memory that a library may take for a file that lies about itself."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZES = Path("/proc/self/statm")


@contextmanager
def bounded_memory(n_bytes: int) -> Iterator[None]:
    """Within, this process may grow by about `n_bytes`; past that an allocation fails, and the library says so.

    The kernel counts address space, so the bound holds for any library. Where there is no /proc there is no bound.
    """
    if not _SIZES.exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = int(_SIZES.read_text().split()[0]) * resource.getpagesize() + n_bytes
    wanted = [limit for limit in (soft, hard, ceiling) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
