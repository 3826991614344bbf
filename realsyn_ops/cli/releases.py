"""`realsyn release`: what is published, what a version holds, what changed, whether it is whole, and taking it back."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from realsyn_ops.cli.demo import local_report
from realsyn_ops.io import releases
from realsyn_ops.io.release_changes import Changes, changes_between
from realsyn_ops.io.release_check import check_release
from realsyn_ops.io.releases import REVOKED, Release
from realsyn_ops.io.storage import Bucket
from realsyn_ops.report import wording
from realsyn_ops.report.render_html import render_html
from realsyn_ops.report.render_text import print_line, print_table
from realsyn_ops.report.wording import printable

_SHOWN = 10


def list_releases(bucket: Bucket, console: Console, *, as_json: bool) -> None:
    """Every version with its size, when it was published, and whether it may be used."""
    found = releases.releases(bucket)
    if as_json:
        typer.echo(json.dumps([_summary(release) for release in found], indent=1))
        return
    if not found:
        console.print("no release is published yet")
    rows = [(r.version, r.published, wording.count(r.n_pairs), wording.megabytes(r.n_bytes), _status(r)) for r in found]
    print_table(console, "Releases", ("version", "published", "pairs>", "bytes>", "status"), rows)


def show_release(bucket: Bucket, version: str, console: Console, *, as_json: bool) -> None:
    """The manifest's facts; with ``as_json`` the whole of it."""
    release = releases.read_release(bucket, version)
    if as_json:
        typer.echo(json.dumps(_summary(release) | {"manifest": release.manifest}, indent=1))
        return
    manifest = printable(release.manifest)
    print_line(console, Text("RealSyn release ", style="bold").append(release.version, style="bold cyan"))
    facts = {
        "status": _status(release),
        "published": release.published,
        "where": bucket.uri(f"releases/{version}/"),
        "pairs": wording.count(release.n_pairs),
        "days": ", ".join(manifest.get("days", ())),
        "preset": manifest.get("preset", ""),
        "previous": manifest.get("previous") or "none",
    }
    for name, value in facts.items():
        print_line(console, Text(f"{name:<10}", style="dim").append(value, style="not dim"))
    chosen = {name: value for name, value in manifest["selection"].items() if not isinstance(value, list | dict)}
    print_table(console, "Selection", ("", ">"), [(name, wording.number(value)) for name, value in chosen.items()])
    print_table(console, "Models", ("", ""), list(manifest.get("models", {}).items()))
    files = [(f["path"], wording.count(f["bytes"]), f["sha256"]) for f in manifest["files"]]
    print_table(console, "Files", ("path", "bytes>", "sha256"), files)


def diff_releases(bucket: Bucket, before: str, after: str, console: Console, *, as_json: bool) -> None:
    """What is new, gone and different in the second, and why as far as it is known."""
    for version in (before, after):
        releases.read_release(bucket, version)
    found = changes_between(bucket, before, after)
    if as_json:
        told: dict[str, Any] = {"before": before, "after": after, "same": found.n_same, "counts": found.counts()}
        typer.echo(json.dumps(told | {"changes": [asdict(change) for change in found.changes]}, indent=1))
    else:
        _print_changes(found, console)


def verify_release(bucket: Bucket, version: str, console: Console, *, is_deep: bool, as_json: bool) -> bool:
    """Whether the release is what its manifest says; what is wrong is named."""
    check = check_release(bucket, version, is_deep=is_deep)
    if as_json:
        typer.echo(json.dumps({"version": version, "is_good": check.is_good, **asdict(check)}, indent=1))
        return check.is_good
    for problem in check.problems:
        print_line(console, Text(printable(problem), style="red"))
    decoded = f", {wording.plural(check.n_images, 'picture')} decoded" if is_deep else ""
    seen = f"{wording.plural(check.n_files, 'file')} of {wording.megabytes(check.n_bytes)} and "
    seen += f"{wording.plural(check.n_pairs, 'pair')} looked at{decoded}"
    verdict = "is whole" if check.is_good else f"has {wording.plural(len(check.problems), 'problem')}"
    console.print(f"release {version} {verdict}: {seen}", highlight=False)
    return check.is_good


def revoke_release(bucket: Bucket, version: str, reason: str, home: Path, console: Console) -> None:
    """Mark the version in the bucket, and its copy and report on this machine where they are."""
    marker = releases.revoke(bucket, version, reason)
    folder = home / "releases" / version
    if folder.is_dir():
        (folder / REVOKED).write_text(json.dumps(marker, indent=1, ensure_ascii=False))
        page = home / "reports" / version / "report.html"
        if page.is_file():
            page.write_text(render_html(*local_report(home, version)))
    console.print(f"revoked: {bucket.uri(f'releases/{version}/{REVOKED}')}", highlight=False)
    console.print("its files stay as they are; copies made before do not know: tell those who have them")


def _print_changes(found: Changes, console: Console) -> None:
    rows = [("same", "", wording.count(found.n_same), "")]
    for kind, reasons in found.counts().items():
        rows += [
            (kind, why, wording.count(n), wording.reason_meaning(why) if kind == "removed" else "")
            for why, n in reasons.items()
        ]
    title = f"From {found.before} to {found.after}"
    print_table(console, title, ("pairs", "why", "n>", "meaning"), rows)
    shown = [(c.change, c.key, c.why, c.detail) for c in found.changes[:_SHOWN]]
    more = f", the first {_SHOWN} of {len(found.changes):,} (--json: all)" if len(found.changes) > _SHOWN else ""
    print_table(console, f"By key{more}", ("", "image", "why", "detail"), printable(shown))


def _summary(release: Release) -> dict[str, Any]:
    return {
        "version": release.version,
        "published": release.published,
        "n_pairs": release.n_pairs,
        "n_bytes": release.n_bytes,
        "previous": release.manifest.get("previous") or None,
        "revoked": release.revoked,
    }


def _status(release: Release) -> str:
    if release.revoked is None:
        return "published"
    return f"REVOKED {release.revoked['revoked']}: {printable(release.revoked['reason'])}"
