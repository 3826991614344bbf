"""The embedded default: SeaweedFS and Airflow standalone as child processes under one home folder, on loopback only."""

import base64
import json
import os
import secrets
import shutil
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from realsyn_ops.cli.processes import Service, free_ports, port_is_free
from realsyn_ops.errors import RealSynError, ServiceError
from realsyn_ops.io.storage import Bucket

PROJECT = Path(__file__).resolve().parents[2]
MIN_FREE_BYTES = 6 * 2**30
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""What a process computes with: tasks run side by side."""
LET_THROUGH = ("AIRFLOW_CONN_", "AIRFLOW__METRICS__", "AIRFLOW__OPENLINEAGE__")
"""Airflow's variables that reach the embedded Airflow from the shell: Connections, and where it reports to."""
USERS = {"admin": "admin", "operator": "user", "viewer": "viewer"}
"""Users of the embedded Airflow and their roles: `user` may trigger Dags, `viewer` may look."""


@dataclass(frozen=True)
class Endpoints:
    """Ports and secrets of one home folder, drawn once and kept, so that a restart finds its data."""

    s3_port: int
    master_port: int
    master_grpc_port: int
    volume_port: int
    volume_grpc_port: int
    filer_port: int
    filer_grpc_port: int
    s3_grpc_port: int
    airflow_port: int
    execution_port: int
    triggerer_port: int
    worker_port: int
    access_key: str
    secret_key: str
    admin_password: str
    jwt_secret: str
    fernet_key: str

    @classmethod
    def load(cls, home: Path) -> "Endpoints":
        path = home / "endpoints.json"
        if path.exists():
            return cls(**json.loads(path.read_text()))
        names = [f for f in cls.__dataclass_fields__ if f.endswith("_port")]
        drawn = dict(zip(names, free_ports(len(names)), strict=True))
        endpoints = cls(
            **drawn,
            access_key=secrets.token_hex(10),
            secret_key=secrets.token_hex(20),
            admin_password=secrets.token_urlsafe(12),
            jwt_secret=secrets.token_hex(32),
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        )
        home.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(endpoints), indent=1))
        return endpoints


class Stack:
    """The services of a home folder: what `up`, `down` and `status` act on."""

    def __init__(
        self,
        home: Path,
        *,
        metrics_port: int | None = None,
        volume_mb: int = 1024,
        max_volumes: int = 1000,
        clock: Mapping[str, str] | None = None,
    ) -> None:
        """``metrics_port``: where the object store counts its requests for Prometheus, if anywhere. ``clock``: settings
        by which Dags start at a time; without them none does.

        The store holds at most ``max_volumes`` files of about ``volume_mb``, whatever else the disk has.
        """
        self.home = home
        self.metrics_port = metrics_port
        self.volume_mb, self.max_volumes = volume_mb, max_volumes
        self.clock = clock or {}
        self.endpoints = Endpoints.load(home)
        self.seaweed = Service("seaweedfs", home / "run")
        self.airflow = Service("airflow", home / "run")

    @property
    def bucket_name(self) -> str:
        """The bucket that the services were last used with: each input of the demo has its own."""
        path = self.home / "bucket"
        return path.read_text() if path.exists() else "realsyn"

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder: one a bucket, since an asset's name belongs to one address for good."""
        return self.home / ("airflow" if self.bucket_name == "realsyn" else f"airflow-{self.bucket_name}")

    def use_bucket(self, name: str) -> None:
        """Work with another bucket from now on; Airflow is started anew if it runs with the old one."""
        if name != self.bucket_name:
            self.airflow.stop()
            (self.home / "bucket").write_text(name)

    @property
    def s3_url(self) -> str:
        return f"http://127.0.0.1:{self.endpoints.s3_port}"

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.endpoints.airflow_port}"

    @property
    def bucket(self) -> Bucket:
        return Bucket(self.bucket_name, self.s3_url, self.endpoints.access_key, self.endpoints.secret_key)

    def up(self) -> None:
        """Start what does not run, and wait until all of it answers. Raises ServiceError with one clear line."""
        self.up_store()
        if self.airflow.pid() is None:
            self._start_airflow()
        self.airflow.wait(self._airflow_is_ready, timeout_s=240)

    def up_store(self) -> None:
        """The object store alone, with its bucket."""
        self._check_disk()
        if self.seaweed.pid() is None:
            self._start_seaweed()
        self.seaweed.wait(self._seaweed_is_ready, timeout_s=60)

    def down(self) -> None:
        """Stop Airflow, then the object store."""
        self.airflow.stop()
        self.seaweed.stop(grace_s=3)  # what is acknowledged is on disk: it survives even SIGKILL

    def status(self) -> dict[str, str]:
        def state(service: Service, is_ready: bool) -> str:
            return "stopped" if service.pid() is None else "running" if is_ready else "starting"

        return {
            "seaweedfs": state(self.seaweed, self.seaweed.pid() is not None and self._seaweed_is_ready()),
            "airflow": state(self.airflow, self.airflow.pid() is not None and self._airflow_is_ready()),
        }

    def airflow_env(self) -> dict[str, str]:
        """Environment of every Airflow process, and of whoever acts like one."""
        e = self.endpoints
        connection = f"aws://{e.access_key}:{e.secret_key}@/?" + urllib.parse.urlencode(
            {"endpoint_url": self.s3_url, "region_name": "us-east-1"}
        )
        airflow = {
            "HOME": self.airflow_home,
            "CORE__DAGS_FOLDER": PROJECT / "dags",
            "CORE__PLUGINS_FOLDER": PROJECT / "plugins",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": 2,
            "CORE__MAX_ACTIVE_TASKS_PER_DAG": 2,
            "CORE__FERNET_KEY": e.fernet_key,
            "CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": self.airflow_home / "passwords.json",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "API__HOST": "127.0.0.1",
            "API__PORT": e.airflow_port,
            "API__BASE_URL": self.airflow_url,
            "API__WORKERS": 1,
            "API_AUTH__JWT_SECRET": e.jwt_secret,
            "API__SECRET_KEY": e.jwt_secret,
            "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 120,
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.5,
            "SCHEDULER__ENABLE_HEALTH_CHECK": False,
            "OPENLINEAGE__EXECUTE_IN_THREAD": True,  # a process with Lance's threads must not be forked
            "WORKERS__MIN_HEARTBEAT_INTERVAL": 1,  # so long a task whose end was not seen keeps its slot
            "WORKERS__MAX_FAILED_HEARTBEATS": 20,
            "LOGGING__WORKER_LOG_SERVER_PORT": e.worker_port,
            "LOGGING__TRIGGER_LOG_SERVER_PORT": e.triggerer_port,
        }
        env = {n: v for n, v in os.environ.items() if not n.startswith("AIRFLOW_") or n.startswith(LET_THROUGH)}
        env |= {f"AIRFLOW__{name}" if name != "HOME" else "AIRFLOW_HOME": str(value) for name, value in airflow.items()}
        env |= {
            "AIRFLOW_CONN_REALSYN_S3": connection,
            "REALSYN_BUCKET": self.bucket_name,
            "REALSYN_GALLERY_PATH": str(self.home / "gallery"),
            "REALSYN_MODELS_PATH": str(self.home / "models"),
            "REALSYN_START_DATE": "2999-01-01",
            **self.clock,
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(PROJECT),
            "PYTHONDONTWRITEBYTECODE": "",
            **ONE_THREAD,
            "TOKENIZERS_PARALLELISM": "false",
            "GX_ANALYTICS_ENABLED": "false",
            "no_proxy": "127.0.0.1,localhost",
        }
        if env.get("REALSYN_PRESET", "demo") == "demo":
            env["HF_HUB_OFFLINE"] = "1"
        return env

    def write_passwords(self) -> None:
        """The users of Airflow have one password: whoever may read this home may be any of them."""
        self.airflow_home.mkdir(parents=True, exist_ok=True)
        passwords = self.airflow_home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps(dict.fromkeys(USERS, self.endpoints.admin_password)))

    def _check_disk(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.home).free
        if free < MIN_FREE_BYTES:
            raise ServiceError(
                f"{free / 2**30:.1f} GB are free under {self.home}, {MIN_FREE_BYTES / 2**30:.0f} GB are needed"
            )

    def _check_ports(self, *names: str) -> None:
        for name in names:
            port = getattr(self.endpoints, name)
            if not port_is_free(port):
                raise ServiceError(
                    f"port {port} ({name}) is taken by another program: stop it, "
                    f"or delete {self.home / 'endpoints.json'} to draw other ports"
                )

    def _start_seaweed(self) -> None:
        e = self.endpoints
        self._check_ports("s3_port", "master_port", "volume_port", "filer_port")
        data = self.home / "seaweedfs"
        data.mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "realsyn",
            "credentials": [{"accessKey": e.access_key, "secretKey": e.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.home / "seaweedfs-s3.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"identities": [identity]}))
        options = {
            "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": data, "filer": "true", "s3": "true",
            "s3.port": e.s3_port, "s3.port.grpc": e.s3_grpc_port, "s3.port.iceberg": 0, "s3.port.lance": 0,
            "s3.config": config, "s3.iam": "false",
            "master.port": e.master_port, "master.port.grpc": e.master_grpc_port,
            "master.volumeSizeLimitMB": self.volume_mb,
            "volume.port": e.volume_port, "volume.port.grpc": e.volume_grpc_port, "volume.max": self.max_volumes,
            "volume.preStopSeconds": 1, "filer.port": e.filer_port, "filer.port.grpc": e.filer_grpc_port,
        }  # fmt: skip
        if self.metrics_port:
            options["metricsPort"] = self.metrics_port
        weed = Path(sys.executable).parent / "weed"
        command = [str(weed), "server", *(f"-{name}={value}" for name, value in options.items())]
        self.seaweed.start(command, env=os.environ, cwd=self.home)

    def _start_airflow(self) -> None:
        self._check_ports("airflow_port")
        folder = self.airflow_home
        self.write_passwords()
        (folder / "config").mkdir(exist_ok=True)
        shutil.copy(PROJECT / "docker" / "airflow_local_settings.py", folder / "config")
        airflow = Path(sys.executable).parent / "airflow"
        self.airflow.start([str(airflow), "standalone"], env=self.airflow_env(), cwd=self.home)

    def _seaweed_is_ready(self) -> bool:
        """Ready means: the bucket is there and takes a write, and the master knows every volume on disk."""
        master, volumes = (f"http://127.0.0.1:{p}" for p in (self.endpoints.master_port, self.endpoints.volume_port))
        try:
            self.bucket.create()
            self.bucket.put(".ready", b"")
            topology = httpx.get(f"{master}/dir/status", timeout=5, trust_env=False).json()["Topology"]
            on_disk = httpx.get(f"{volumes}/status", timeout=5, trust_env=False).json().get("Volumes") or []
        except (httpx.HTTPError, RealSynError, ValueError):
            return False
        racks = [rack for center in topology.get("DataCenters") or [] for rack in center.get("Racks") or []]
        known = sum(node.get("Volumes", 0) for rack in racks for node in rack.get("DataNodes") or [])
        return known >= len(on_disk)

    def _airflow_is_ready(self) -> bool:
        try:
            health = httpx.get(f"{self.airflow_url}/api/v2/monitor/health", timeout=5, trust_env=False).json()
        except (httpx.HTTPError, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)
