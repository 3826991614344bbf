"""The Airflow of docker-compose.yml as processes of this machine: its commands, environment and init step, with
PostgreSQL and Redis from Debian's packages; beside it the object store of the embedded default.

Only what names a place is another: hosts, ports, folders. So what compose sets is what the tests run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

import psutil

from realsyn_ops.cli.processes import Service, free_ports
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.errors import ServiceError
from tests.compose_file import example_values, resolve, written

WORKERS = ("worker-1", "worker-2")
ROLES = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", *WORKERS)
TASK_TITLE = "airflow worker -- "


class ComposedStack(Stack):
    """CeleryExecutor with two workers of one process each on the queue `cpu`."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        names = ("postgres", "redis", "scheduler", *WORKERS)
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.roles = {name: Service(name, home / "run") for name in ("postgres", "redis", *ROLES)}
        self.airflow = self.roles["airflow-api-server"]
        self.postgres_data = Path(tempfile.mkdtemp(prefix="realsyn-postgres-"))

    def airflow_env(self) -> dict[str, str]:
        own = super().airflow_env()
        env = {name: value for name, value in own.items() if not name.startswith(("AIRFLOW_", "REALSYN_"))}
        places = {
            "@postgres/airflow": f"@127.0.0.1:{self.ports['postgres']}/postgres",
            "@redis:6379": f"@127.0.0.1:{self.ports['redis']}",
            "http://airflow-api-server:8080": self.airflow_url,
            "http://127.0.0.1:8080": self.airflow_url,
            urllib.parse.quote("http://seaweedfs:8333", safe=""): urllib.parse.quote(self.s3_url, safe=""),
            "/opt/realsyn/models": str(self.home / "models"),
            "/opt/realsyn": str(PROJECT),
            "/opt/airflow": str(self.airflow_home),
        }
        for name, value in self._service("airflow-init")["environment"].items():
            for there, here in places.items():
                value = value.replace(there, here)
            env[name] = value
        return env | {
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.ports["scheduler"]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self.endpoints.triggerer_port),
        }

    def start(self, role: str) -> None:
        """Start a role of Airflow as compose does."""
        env = self.airflow_env()
        if role in WORKERS:
            command = [*self._service("worker-cpu")["command"], "--celery-hostname", role]
            env["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"] = str(self.ports[role])
        else:
            here = {"0.0.0.0": "127.0.0.1", "8080": str(self.endpoints.airflow_port)}  # noqa: S104
            command = [here.get(part, part) for part in self._service(role)["command"]]
        self.roles[role].start([str(Path(sys.executable).parent / command[0]), *command[1:]], env=env, cwd=self.home)

    def lose(self, role: str) -> None:
        """SIGKILL to a role and all its processes, as if its machine went away."""
        for process in self.processes(role):
            process.kill()
        self.roles[role].stop(grace_s=0)

    def processes(self, role: str) -> list[psutil.Process]:
        """A role's processes, whatever their parents are."""
        session = self.roles[role].pid()
        return [p for p in psutil.process_iter() if session and _session(p) == session]

    def running_tasks(self) -> dict[str, tuple[str, psutil.Process]]:
        """Worker and process of each task that runs, by the id of its try."""
        found = {}
        for worker in WORKERS:
            for process in self.processes(worker):
                title = _title(process)
                if title.startswith(TASK_TITLE):
                    found[title.removeprefix(TASK_TITLE).strip()] = (worker, process)
        return found

    def down(self) -> None:
        for role in reversed(self.roles.values()):
            role.stop()
        super().down()
        shutil.rmtree(self.postgres_data, ignore_errors=True)

    def _start_airflow(self) -> None:
        (self.airflow_home / "config").mkdir(parents=True, exist_ok=True)
        (self.airflow_home / "auth").mkdir(exist_ok=True)
        shutil.copy(PROJECT / "docker" / "airflow_local_settings.py", self.airflow_home / "config")
        self._start_postgres()
        self._start_redis()
        init = self._service("airflow-init")["command"]
        done = subprocess.run(init, env=self.airflow_env(), cwd=self.home, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceError(f"airflow-init: {done.stdout[-500:]}{done.stderr[-1500:]}")
        for role in ROLES:
            self.start(role)

    def _start_postgres(self) -> None:
        """PostgreSQL refuses to run as root: then it runs as the user of Debian's package, who owns the data."""
        data, port = str(self.postgres_data), str(self.ports["postgres"])
        as_user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(data, "postgres", "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        initdb = [program("initdb", "postgresql"), "--username=airflow", "--auth=trust", "--encoding=UTF8"]
        made = subprocess.run([*as_user, *initdb, "-D", data], cwd=data, capture_output=True, text=True, check=False)
        if made.returncode:
            raise ServiceError(f"initdb: {made.stderr[-500:]}")
        command = [*as_user, program("postgres", "postgresql"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", data]
        self.roles["postgres"].start(command, env=os.environ, cwd=Path(data))
        ready = [program("pg_isready", "postgresql"), "-q", "-h", "127.0.0.1", "-p", port]
        self.roles["postgres"].wait(lambda: subprocess.run(ready, check=False).returncode == 0, timeout_s=60)

    def _start_redis(self) -> None:
        redis, port = self._service("redis"), self.ports["redis"]
        *shell, script = redis["command"]
        server = program("redis-server", "redis-server")
        script = script.replace("redis-server", f"{server} --port {port} --bind 127.0.0.1 --save ''")
        env = {**os.environ, **redis["environment"]}
        self.roles["redis"].start([*shell, script], env=env, cwd=self.home)
        ask = redis["healthcheck"]["test"][-1].replace("redis-cli", f"{Path(server).with_name('redis-cli')} -p {port}")
        self.roles["redis"].wait(
            lambda: subprocess.run(ask, shell=True, env=env, check=False).returncode == 0,  # noqa: S602
            timeout_s=60,
        )

    def _service(self, name: str) -> dict:
        e = self.endpoints
        values = example_values() | {
            "S3_ACCESS_KEY": e.access_key,
            "S3_SECRET_KEY": e.secret_key,
            "AIRFLOW_ADMIN_PASSWORD": e.admin_password,
            "AIRFLOW_FERNET_KEY": e.fernet_key,
            "AIRFLOW_JWT_SECRET": e.jwt_secret,
            "AIRFLOW_API_SECRET_KEY": e.jwt_secret,
            "REALSYN_BUCKET": self.bucket_name,
            "REALSYN_START_DATE": "2999-01-01",
            "WORKER_CONCURRENCY": "1",
        }
        return resolve(written()["services"][name], values)


def program(name: str, package: str) -> str:
    """Path of a program of a Debian package; raises ServiceError that names the package when it is missing."""
    places = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ.get("PATH", os.defpath)]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return found
    raise ServiceError(f"{name} is missing: apt-get install {package}")


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return 0


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
