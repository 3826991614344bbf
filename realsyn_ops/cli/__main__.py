"""The commands of `./realsyn`, each with --help. What a command does is in the module it calls."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from realsyn_ops.cli.console import console, home, one_clear_line
from realsyn_ops.cli.quarantine_commands import quarantine
from realsyn_ops.cli.services import ONE_THREAD, PROJECT, Stack

app = typer.Typer(
    help="RealSyn ops: web documents in, image-text pairs for CLIP pre-training out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
release = typer.Typer(help="The releases: list, show, diff, verify, revoke.", no_args_is_help=True)
app.add_typer(release, name="release")
app.add_typer(quarantine, name="quarantine")


def documents_count(value: str) -> str:
    if value and value != "all" and not (value.isdigit() and int(value) > 0):
        raise typer.BadParameter("a number of documents, or 'all'")
    return value


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option("--input", help="A folder of your own: HTML with images, WARC, OBELICS, MMC4.")
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the images that its documents name by address.")
    ] = False,
    documents: Annotated[
        str, typer.Option(callback=documents_count, help="How many of the demo's documents, or 'all'.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the services running at the end.")] = False,
) -> None:
    """Run the main job on real documents: from raw input to a release with its report."""
    from realsyn_ops.cli.demo import run_demo

    if folder and documents:
        raise typer.BadParameter("--documents chooses among the demo's own documents: it does not go with --input")
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    stack = Stack(home())
    with one_clear_line():
        count = None if not documents else "all" if documents == "all" else int(documents)
        done = False
        try:
            path = run_demo(stack, console, folder=folder, documents=count, fetch=fetch)  # type: ignore[arg-type]
            done = True
        finally:
            if not (keep and done):
                stack.down()
    version = path.name
    console.print(f"\nrelease: {path}")
    if keep:
        console.print(f"Airflow: {stack.airflow_url}  user admin, password {stack.endpoints.admin_password}")
        console.print("stop the services with: ./realsyn down")
    else:
        console.print("open the Airflow UI with: ./realsyn up")
    console.print(f"report:  {stack.home / 'reports' / version / 'report.html'}")


@app.command()
def up() -> None:
    """Start SeaweedFS and Airflow, and say where the UI is."""
    stack = Stack(home())
    with one_clear_line():
        stack.up()
    console.print(f"Airflow: {stack.airflow_url}  user admin, password {stack.endpoints.admin_password}")
    console.print(f"S3:      {stack.s3_url}  bucket {stack.bucket.name}")


@app.command()
def down() -> None:
    """Stop the services. Data stays."""
    Stack(home()).down()
    console.print("stopped")


@app.command()
def status() -> None:
    """Say which services run. Exit code 1 when not all do."""
    states = Stack(home()).status()
    for name, state in states.items():
        console.print(f"{name}: {state}")
    raise typer.Exit(0 if set(states.values()) == {"running"} else 1)


@app.command()
def doctor(
    is_quick: Annotated[bool, typer.Option("--quick", help="Load no models.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on standard output.")] = False,
) -> None:
    """Say what is wrong and what to do: settings, disk, store, models, endpoints, Ray, Airflow. Exit code 1: bad.

    Airflow may be down. The deployment is this home's, or the one that AIRFLOW_CONN_REALSYN_S3, REALSYN_BUCKET,
    REALSYN_AIRFLOW_URL and REALSYN_AIRFLOW_TOKEN name.
    """
    from realsyn_ops.cli.doctor import run_doctor

    with one_clear_line():
        is_good = run_doctor(Stack(home()), console, is_quick=is_quick, as_json=as_json)
    raise typer.Exit(0 if is_good else 1)


@app.command()
def report(
    as_json: Annotated[bool, typer.Option("--json", help="The report as one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as one self-contained page.")] = None,
) -> None:
    """Show the last release: funnel, rejects, costs per stage, gates, models."""
    from realsyn_ops.cli.demo import latest_report
    from realsyn_ops.report.render_html import render_html
    from realsyn_ops.report.render_text import render_text

    with one_clear_line():
        figures, gallery = latest_report(home())
    if html:
        html.write_text(render_html(figures, gallery))
        console.print(str(html))
    elif as_json:
        typer.echo(json.dumps(figures, sort_keys=True, indent=1))
    else:
        render_text(figures, console=console)


@app.command()
def rejects(
    day: Annotated[str, typer.Argument(help="A day as YYYY-MM-DD; none: all days.")] = "",
    stage: Annotated[str, typer.Option(help="fetch, extract, curate, cluster, pair or release.")] = "",
    reason: Annotated[str, typer.Option(help="Show single rejects of this reason.")] = "",
    source: Annotated[str, typer.Option(help="Only what stands in documents of this source.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many rejects of each stage and reason.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array on standard output.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a self-contained page: counts, rejects, thumbnails.")
    ] = None,
) -> None:
    """Show what was refused and why: counts by stage and reason; with --reason single rejects.

    A reject has its value, the limit it broke (of the plan that its table was made by) and the place it stood in. Only
    the bucket is read: this home's, or the one named by AIRFLOW_CONN_REALSYN_S3 and REALSYN_BUCKET.
    """
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.rejects import show_rejects
    from realsyn_ops.report.rejects import Query

    with one_clear_line():
        query = Query(day=day, stage=stage, reason=reason, source=source)
        with open_bucket(Stack(home())) as bucket:
            show_rejects(bucket, query, console, limit=limit, as_json=as_json, html=html)


@app.command()
def trace(
    key: Annotated[
        str, typer.Argument(help="A key of an image, a sentence or a reject, its beginning, or VERSION/00000.tar/KEY.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
) -> None:
    """Show where an image, a sentence, a pair or a tar's sample comes from, and what every step said of it.

    Document, file, record and node in the raw input; each filter's score and limit; group, cluster and texts with their
    own provenance; model and prompt; the plans; the releases that have it. A refused key says where and why.
    """
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.trace import show_trace

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        show_trace(bucket, key, console, as_json=as_json)


Version = Annotated[str, typer.Argument(metavar="VERSION", help="As ./realsyn release list shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON on standard output.")]


@release.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """Every published version: when, how many pairs and bytes, and whether it may be used."""
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.releases import list_releases

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        list_releases(bucket, console, as_json=as_json)


@release.command()
def show(version: Version, as_json: AsJson = False) -> None:
    """What a version's manifest says."""
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.releases import show_release

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        show_release(bucket, version, console, as_json=as_json)


@release.command()
def diff(before: Version, after: Version, as_json: AsJson = False) -> None:
    """What is new, gone and different in the second version, and why as far as it is known."""
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.releases import diff_releases

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        diff_releases(bucket, before, after, console, as_json=as_json)


@release.command()
def verify(
    version: Version,
    is_deep: Annotated[bool, typer.Option("--deep", help="Decode every picture, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a version against its manifest: files, checksums, tars and rows. Exit code 1 when something is wrong."""
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.releases import verify_release

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        is_good = verify_release(bucket, version, console, is_deep=is_deep, as_json=as_json)
    raise typer.Exit(0 if is_good else 1)


@release.command()
def revoke(
    version: Version,
    reason: Annotated[str, typer.Option(help="Why it must not be used any more, for those who do.")],
) -> None:
    """Take a version back: a marker says so where people look. Its files stay, and there is no way to undo it."""
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.cli.releases import revoke_release

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        revoke_release(bucket, version, reason, home(), console)


@app.command()
def replay(
    day: Annotated[str, typer.Argument(help="The day as YYYY-MM-DD.")],
    limits: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="Limits as the Dags' params name them.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many records would change sides, from stored scores.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until the pairs are up to date.")] = False,
) -> None:
    """Judge a day's rejects again under other limits, without reading the raw documents.

    The Dags run for the day by the plan its tables were made by, with the changed limits: curate_images and
    cluster_sentences, then pair_texts follows. Limits of ingest_documents cannot be replayed: the bytes of what it
    refused were never kept.

    A change holds for this day until it is made anew: a run that ingest_documents starts, or that you trigger, takes
    the Dag's params. Limits of near-duplicates (min_visual_similarity, max_hash_distance, min_similarity) are for all
    days together, until the next run of that Dag.

    Airflow is this home's (./realsyn up), or the one at REALSYN_AIRFLOW_URL with REALSYN_AIRFLOW_TOKEN.
    """
    from realsyn_ops.cli.replay import run_replay

    with one_clear_line():
        run_replay(Stack(home()), console, day, limits, dry_run=dry_run, wait=wait)


@app.command()
def takedown(
    url: Annotated[list[str] | None, typer.Option(help="Address of a document or an image.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="As example.org, with all below it.")] = None,
    document: Annotated[list[str] | None, typer.Option(help="Key of a document (d...).")] = None,
    image: Annotated[list[str] | None, typer.Option(help="Key of an image (i...).")] = None,
    picture: Annotated[list[Path] | None, typer.Option(help="A picture: it and what looks like it.")] = None,
    sentence: Annotated[list[str] | None, typer.Option(help="Key of a sentence (s...), or its text.")] = None,
    pattern: Annotated[list[str] | None, typer.Option(help="Regular expression (RE2) found in a sentence.")] = None,
    distance: Annotated[int, typer.Option(min=0, max=16, help="Bits in which hashes of like images may differ.")] = 4,
    similarity: Annotated[
        float, typer.Option(min=0, max=1, help="Cosine from which an image is like a --picture.")
    ] = 0.95,
    why: Annotated[str, typer.Option(help="Who asked for it and why. Needed with --yes.")] = "",
    by: Annotated[str, typer.Option(help="Who takes it down.")] = "",
    delete_raw: Annotated[bool, typer.Option("--delete-raw", help="Delete raw files that hold nothing else.")] = False,
    do_it: Annotated[bool, typer.Option("--yes", help="Do it. Without this, only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove documents, images or sentences from everything, for good; options may be given more than once.

    Without --yes only the bucket is read, and nothing is changed: what would go, which releases and raw files hold it.
    With it the Dag `takedown` runs, then curate_images, cluster_sentences and pair_texts of the newest day, so that
    images which lost a text get their next best one. No other run may be active.

    Airflow is this home's (./realsyn up), or the one at REALSYN_AIRFLOW_URL with REALSYN_AIRFLOW_TOKEN.
    """
    from realsyn_ops.cli.takedown import Asked, run_takedown

    asked = Asked(
        url or [], domain or [], document or [], image or [], picture or [], sentence or [], pattern or [],
        max_hash_distance=distance, min_similarity=similarity,
    )  # fmt: skip
    with one_clear_line():
        run_takedown(Stack(home()), console, asked, why=why, by=by, delete_raw=delete_raw, do_it=do_it, as_json=as_json)


@app.command()
def answers(
    action: Annotated[Literal["export", "import"], typer.Argument(help="export or import.")],
    file: Annotated[Path, typer.Argument(help="A parquet file.")],
) -> None:
    """Carry what models were paid for from one bucket to another: the table `answers` as one parquet file.

    An answer that the bucket has already stays as it is. Do not import while `pair_texts` runs. The bucket is this
    home's, or the one named by AIRFLOW_CONN_REALSYN_S3 and REALSYN_BUCKET.
    """
    from realsyn_ops.cli.deployment import open_bucket
    from realsyn_ops.io.answers import export_answers, import_answers

    with one_clear_line(), open_bucket(Stack(home())) as bucket:
        if action == "export":
            console.print(f"{export_answers(bucket, file):,} answers to {file}", highlight=False)
        else:
            n_rows, days = import_answers(bucket, file)
            console.print(f"{n_rows:,} answers read; new ones on {', '.join(days) or 'no day'}", highlight=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which benchmark; none lists them.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Measure ours and the peer or the exact method in one run. Exit 1: a check fails; 2: not measured.

    A benchmark may have sizes of its own, as --records 100000; a wrong one names those there are.
    """
    from realsyn_ops.cli.bench import list_benchmarks, run_benchmark

    if not name:
        for bench_name, summary in list_benchmarks().items():
            console.print(f"{bench_name}: {summary}", highlight=False)
        return
    raise typer.Exit(run_benchmark(name, home(), console, as_json=as_json, arguments=context.args))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run the tests, two at a time; arguments go to pytest. --long runs the endurance tests instead."""
    at_once = ["--numprocesses=2", "--dist=loadscope", "--no-loadscope-reorder"]
    command = [sys.executable, "-m", "pytest", "-q", *at_once, *context.args]
    env = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(PROJECT)}
    raise typer.Exit(subprocess.run(command, cwd=PROJECT, env=env, check=False).returncode)


if __name__ == "__main__":
    app(prog_name="realsyn")
