"""The page in the Airflow that made the data: what needs its runs, its scheduler or the corpus' own encoder."""

import re
import time

import httpx
import pytest
from playwright.sync_api import expect

from realsyn_ops.cli.page_server import sign_in
from realsyn_ops.demo.documents import DAYS
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from tests.flow.harness import Demo, wait_for
from tests.page.chromium import chromium, with_token

pytestmark = pytest.mark.timeout(600)
_KEYS = re.compile(r'aria-label="Pair (i[0-9a-f]{32})"')


def client(demo: Demo, user: str) -> httpx.Client:
    token = sign_in(demo.stack.airflow_url, user, demo.stack.endpoints.admin_password)
    return httpx.Client(
        base_url=f"{demo.stack.airflow_url}/realsyn", trust_env=False, timeout=300,
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def viewer(demo: Demo) -> httpx.Client:
    """Somebody who may read, once the gallery is there."""
    found = client(demo, "viewer")
    deadline = time.monotonic() + 300
    while found.get("/pairs").status_code == 503 and time.monotonic() < deadline:
        time.sleep(1)
    return found


def test_a_picture_is_found_by_itself_and_words_find_what_the_encoder_sees(demo: Demo, viewer: httpx.Client) -> None:
    corpus = Corpus(demo.stack.bucket)
    key = viewer.get("/pairs").json()["pairs"][0]["key"]
    (content,) = corpus.read("images", ["data"], where=f"key = '{key}'")["data"].to_pylist()
    found = viewer.post("/seek", files={"picture": ("picture", content)})
    assert found.status_code == 200, found.text
    assert _KEYS.findall(found.text)[0] == key
    asked = viewer.post("/seek", data={"text": "a bird"})
    other = viewer.post("/seek", data={"text": "a train at the station"})
    assert asked.status_code == other.status_code == 200, asked.text
    assert len(_KEYS.findall(asked.text)) > 1
    assert _KEYS.findall(asked.text) != _KEYS.findall(other.text)


def test_a_run_has_a_tab_that_shows_its_day(demo: Demo) -> None:
    run = next(run for run in demo.api.runs("curate_images") if run.partition_key == DAYS[0])
    url = demo.stack.airflow_url
    token = sign_in(url, "viewer", demo.stack.endpoints.admin_password)
    with chromium() as browser, with_token(browser, url, token) as context:
        tab = context.new_page()
        tab.goto(f"{url}/dags/{run.dag}/runs/{run.run_id}")
        tab.get_by_role("link", name="RealSyn").last.click()
        shown = tab.frame_locator("iframe")
        expect(shown.locator("h1")).to_have_text("Rejects")
        assert shown.locator("select[name=day]").input_value() == DAYS[0]


def test_the_form_starts_a_dry_run_that_removes_nothing(demo: Demo, viewer: httpx.Client) -> None:
    bucket: Bucket = demo.stack.bucket
    key = viewer.get("/pairs").json()["pairs"][0]["key"]
    before = {table: Corpus(bucket).version(table) for table in Corpus(bucket).tables()}
    known = {run.run_id for run in demo.api.runs("takedown")}
    asked = {"kind": "images", "value": key}
    assert viewer.post("/takedowns", data=asked).status_code == 403
    assert {run.run_id for run in demo.api.runs("takedown")} == known
    operator = client(demo, "operator")
    assert operator.post("/takedowns", data={"kind": "images", "value": "i12"}).status_code == 422
    assert operator.post("/takedowns", data=asked).status_code == 303
    (run,) = [run for run in demo.api.runs("takedown") if run.run_id not in known]
    assert set(wait_for(demo.api, run).values()) == {"skipped"}
    task = next(task for task in demo.api.tasks(run) if task.task == "find")
    assert "dry run: 0 documents, 1 images, 0 sentences would go" in demo.api.log_end(run, task)
    assert key in operator.get("/takedowns").text
    assert {table: Corpus(bucket).version(table) for table in before} == before
    assert not [*bucket.list("corpus/tombstones/")]
