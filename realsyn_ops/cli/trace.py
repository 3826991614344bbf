"""`realsyn trace`: where an image, a sentence, a pair or a tar's sample comes from."""

import json

import typer
from rich.console import Console

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.report.render_trace import print_trace
from realsyn_ops.report.trace import trace


def show_trace(bucket: Bucket, text: str, console: Console, *, as_json: bool) -> None:
    """A summary, or everything as one JSON object."""
    found = trace(Corpus(bucket), text)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        print_trace(found, console)
