"""`realsyn rejects`: what was refused, as a table, single rejects, JSON or a page."""

from pathlib import Path

import typer
from rich.console import Console

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.report.rejects import Query, count_rejects, list_rejects
from realsyn_ops.report.render_rejects import counts_json, print_counts, print_rejects, rejects_json, render_rejects


def show_rejects(
    bucket: Bucket, query: Query, console: Console, *, limit: int, as_json: bool, html: Path | None
) -> None:
    """Counts; single rejects where a reason is asked for or a page is written."""
    corpus = Corpus(bucket)
    counts = count_rejects(corpus, query)
    if html:
        html.write_text(render_rejects(counts, list_rejects(corpus, counts, query, limit=limit), corpus))
        console.print(str(html))
    elif as_json and query.reason:
        typer.echo(rejects_json(list_rejects(corpus, counts, query, limit=limit)))
    elif as_json:
        typer.echo(counts_json(counts))
    elif not counts:
        console.print("nothing was refused, as far as tables are published")
    elif query.reason:
        n = print_rejects(list_rejects(corpus, counts, query, limit=limit), console)
        n_all = sum(sum(count.rejects.values()) for count in counts)
        console.print(f"\n{n:,} shown; {n_all:,} are counted", highlight=False)
    else:
        print_counts(counts, console)
