"""Where this deployment lives. Read from ``REALSYN_*`` variables once, where a process starts; never further down.

What a *run* decides (thresholds, sizes, seeds) is no setting: it is in the plan. Secrets are in Airflow Connections.
"""

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
    device: str = Field("cpu", description="Where models and faiss run: cpu, cuda, cuda:1.")
    threads: int = Field(
        1, ge=1, description="Threads a task may use. Results may differ in the last bit between values."
    )
    memory_bytes: int = Field(
        2 * 2**30, ge=2**14, description="What a step over the whole corpus may hold of vectors at once."
    )
    ray_address: str = Field(
        "",
        pattern=r"^((ray://)?[\w.-]+:\d+)?$",
        description="Ray cluster that makes the shards, e.g. ray://host:10001; empty: mapped tasks make them.",
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


@lru_cache
def settings() -> Settings:
    """This process's settings; raises pydantic's ValidationError naming the variable."""
    return Settings()  # type: ignore[call-arg]
