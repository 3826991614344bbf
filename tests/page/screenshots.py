"""`python -m tests.page.screenshots FOLDER`: each view at two widths, over a corpus of made pictures and sentences."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from realsyn_ops.cli.page_server import page_server, sign_in
from realsyn_ops.cli.services import Stack
from realsyn_ops.page.rendering import VIEWS
from tests.operators.takedown_corpus import put_raw
from tests.page.chromium import chromium, with_token
from tests.page.corpus_with_release import write_corpus

SIZES = {"phone": (390, 800), "desk": (1200, 800)}
_QUALITY = 55


def take(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        stack = Stack(Path(scratch))
        stack.up_store()
        try:
            bucket, _ = write_corpus(stack, "screenshots", put_raw)
            with page_server(stack, bucket=bucket.name) as url:
                token = sign_in(url, "admin", stack.endpoints.admin_password)
                _wait_for_index(url, token)
                _photograph(f"{url}/realsyn", token, folder)
        finally:
            stack.down()


def _wait_for_index(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    while httpx.get(f"{url}/realsyn/pairs", headers=headers, timeout=300, trust_env=False).status_code == 503:
        time.sleep(1)


def _photograph(url: str, token: str, folder: Path) -> None:
    with chromium() as browser:
        for size, (width, height) in SIZES.items():
            with with_token(browser, url, token, width=width, height=height) as context:
                tab = context.new_page()
                for view, name in VIEWS.items():
                    tab.goto(f"{url}/{view}", wait_until="networkidle")
                    tab.screenshot(path=folder / f"{name.lower()}-{size}.jpg", type="jpeg", quality=_QUALITY)


if __name__ == "__main__":
    take(Path(sys.argv[1]))
