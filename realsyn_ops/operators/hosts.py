"""What each host gave of the images asked of it, over all days: the report's fetching figures."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realsyn_ops.io.corpus import Corpus

N_HOSTS = 20


def host_yields(corpus: "Corpus") -> list[dict[str, Any]]:
    """The hosts asked for most, then all the others together: URLs, images, bytes, and URLs refused by reason."""

    if not corpus.exists("fetches"):
        return []
    rows = corpus.read("fetches", ["host", "reason", "n_bytes"])
    sums = rows.group_by(["host", "reason"]).aggregate([("n_bytes", "sum"), ("n_bytes", "count")])
    hosts: dict[str, dict[str, Any]] = {}
    for host, reason, n_bytes, n_urls in zip(*(sums[name].to_pylist() for name in (
            "host", "reason", "n_bytes_sum", "n_bytes_count")), strict=True):  # fmt: skip
        _add(hosts.setdefault(host, _none(host)), n_urls, n_bytes, {reason: n_urls} if reason else {})
    most = sorted(hosts.values(), key=lambda row: (-row["n_urls"], row["host"]))
    others = _none(f"{len(most) - N_HOSTS} others")
    for row in most[N_HOSTS:]:
        _add(others, row["n_urls"], row["n_bytes"], row["rejects"])
    return most[:N_HOSTS] + [others] * (len(most) > N_HOSTS)


def _none(host: str) -> dict[str, Any]:
    return {"host": host, "n_urls": 0, "n_images": 0, "n_bytes": 0, "rejects": {}}


def _add(row: dict[str, Any], n_urls: int, n_bytes: int, rejects: dict[str, int]) -> None:
    row["n_urls"] += n_urls
    row["n_images"] += n_urls - sum(rejects.values())
    row["n_bytes"] += n_bytes
    for reason, n in rejects.items():
        row["rejects"][reason] = row["rejects"].get(reason, 0) + n
