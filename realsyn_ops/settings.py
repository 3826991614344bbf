"""Where this deployment lives. Read from ``REALSYN_*`` variables once, where a process starts; never further down.

What a *run* decides (thresholds, sizes, seeds) is no setting: it is in the plan. Secrets are in Airflow Connections.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="REALSYN_", frozen=True, extra="forbid")

    bucket: str = Field("realsyn", description="S3 bucket that holds raw/, staging/, corpus/ and releases/.")
    s3_conn_id: str = Field(
        "realsyn_s3", description="Airflow Connection (type aws) with endpoint and keys of the bucket."
    )
    models_path: Path = Field(Path(".realsyn/models"), description="Local folder for prepared weights.")
    gallery_path: Path = Field(
        Path(".realsyn/gallery"), description="Local folder of the API server for the index of the page's gallery."
    )
    device: str = Field("cpu", description="Where models and faiss run: cpu, cuda, cuda:1.")
    threads: int = Field(
        1, ge=1, description="Threads a task may use. Results may differ in the last bit between values."
    )
    memory_bytes: int = Field(
        2 * 2**30, ge=2**13, description="What a step over the whole corpus may hold of vectors at once."
    )
    ray_address: str = Field(
        "",
        pattern=r"^((ray://)?[\w.-]+:\d+)?$",
        description="Ray cluster that makes the shards, e.g. ray://host:10001; empty: mapped tasks make them.",
    )
    ray_llm_address: str = Field(
        "",
        pattern=r"^((ray://)?[\w.-]+:\d+)?$",
        description="Ray cluster whose nodes run vLLM, for a rewriter ray-llm:MODEL, e.g. ray://host:10001.",
    )
    ray_gpus: float = Field(0, ge=0, description="GPUs that a worker on the Ray cluster takes for itself.")
    model_queue: str = Field("", description="Celery queue of tasks that load models; empty: the default queue.")
    model_pool: str = Field("", description="Airflow pool of tasks that load models; empty: default_pool.")
    model_pod_template: str = Field(
        "", description="Pod template file of tasks that load models, on KubernetesExecutor; empty: as all tasks."
    )
    memory_pool: str = Field("", description="Airflow pool of steps over the whole corpus; empty: default_pool.")
    preset: Literal["demo", "clip", "paper"] = Field(
        "demo", description="Models a run takes unless its params say otherwise."
    )
    schedule: str = Field("0 2 * * *", description="Cron of ingest_documents; each run takes the day before.")
    release_schedule: str = Field("0 6 * * *", description="Cron of release_dataset.")
    start_date: str = Field("2026-01-01", description="No scheduled run before this date (YYYY-MM-DD).")
    store_patience_s: int = Field(
        120, ge=0, description="How long a task waits for an object store that is away, before its try has failed."
    )
    shard_timeout_minutes: int = Field(720, ge=1, description="How long a task that makes one shard may take.")
    task_timeout_minutes: int = Field(2880, ge=1, description="How long any other task may take.")
    webhook_conn_id: str = Field(
        "", description="Airflow Connection (type http) that is told of every run that ends or is late; empty: none."
    )
    deadline_minutes: int = Field(
        0, ge=0, description="A run not over by then is late, counted from its queuing; 0: none is."
    )
    end_date: str = Field("", description="No scheduled run of ingest_documents after this date; empty: no end.")
    catchup: bool = Field(False, description="Whether ingest_documents runs for every day since the start date.")
    maintain_schedule: str = Field("30 4 * * 0", description="Cron of maintain_tables.")
    user_agent: str = Field(
        "RealSynOps/0.1 (+https://arxiv.org/abs/2502.12513)",
        description="What the fetcher calls itself; give an address where you can be reached.",
    )
    fetch_allowed: str = Field(
        "", description="Private networks or HOST:PORTs that may be fetched from all the same, blanks between."
    )
    fetch_requests: int = Field(64, ge=1, description="Requests that a fetch task has under way at once.")
    fetch_per_host: int = Field(8, ge=1, description="Of those, how many to one site.")
    image_policies: str = Field(
        "", description="Your own policies for images, module:factory with blanks between: see docs/operations.md."
    )
    encoder: str = Field("", description="Replaces the preset's encoder: see docs/operations.md.")
    captioner: str = Field("", description="Replaces the preset's captioner.")
    tagger: str = Field("", description="Replaces the preset's tagger.")
    rewriter: str = Field("", description="Replaces the preset's rewriter, e.g. http://host:8000/v1#model.")
    language_model: str = Field("", description="Replaces the preset's perplexity model.")
    parser: str = Field("", description="Replaces the preset's dependency parser.")
    trainee: str = Field("frozen", description="What measure_release trains: frozen, tiny, open_clip:ViT-B-32.")

    @property
    def first_run(self) -> datetime:
        return datetime.fromisoformat(self.start_date).replace(tzinfo=UTC)

    @property
    def last_run(self) -> datetime | None:
        """The end of the last day on which the clock starts `ingest_documents`."""
        if not self.end_date:
            return None
        return datetime.fromisoformat(self.end_date).replace(tzinfo=UTC) + timedelta(hours=23, minutes=59)


@lru_cache
def settings() -> Settings:
    """This process's settings; raises pydantic's ValidationError naming the variable."""
    return Settings()  # type: ignore[call-arg]
