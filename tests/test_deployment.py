"""The files that deploy the project: compose, the image, the environment's example, CI and the hooks.

No container engine is needed. Where `docker compose` is at hand it resolves the file, elsewhere tests/compose_file.py.
"""

import inspect
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from realsyn_ops.cli.processes import Service, free_ports
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.errors import PermanentError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.settings import Settings
from tests.compose_file import COMPOSE, EXAMPLE, VARIABLE, example_values, resolve, written

DOCKERFILE = PROJECT / "docker" / "airflow.Dockerfile"
RAY_LLM = PROJECT / "docker" / "ray-llm.Dockerfile"
SECRET = re.compile(r"PASSWORD$|SECRET|_KEY$|TOKEN$|AUTH$|_CONN|BROKER_URL|RESULT_BACKEND")


def has_compose() -> bool:
    try:
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    except OSError:
        return False
    return asked.returncode == 0


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every service with the example's values in place."""
    values = example_values()
    if has_compose():
        profiles = [part for name in ("gpu", "vllm", "ray") for part in ("--profile", name)]
        command = ["docker", "compose", "-f", COMPOSE, "--env-file", EXAMPLE, *profiles]
        env = {name: value for name, value in os.environ.items() if name not in values}
        resolved = subprocess.run([*command, "config", "--format", "json"], capture_output=True, check=False, env=env)
        assert resolved.returncode == 0, resolved.stderr.decode()
        found = json.loads(resolved.stdout)["services"]
        return json.loads(json.dumps(found).replace("$$", "$"))
    return resolve(written()["services"], values)


def airflow_services(services: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in services.items() if "build" in service}


def flags(command: str) -> dict[str, str]:
    return dict(re.findall(r"-([\w.]+)=(\S+)", command))


def test_every_service_has_a_pinned_image_or_is_built_here(services: dict[str, Any]) -> None:
    assert set(services) >= {"postgres", "redis", "seaweedfs", "worker-cpu", "worker-gpu", "vllm"}
    for name, service in services.items():
        if "build" in service:
            assert (PROJECT / service["build"]["dockerfile"]).samefile(DOCKERFILE), name
        else:
            assert re.search(r":v?\d[\w.-]*$", service["image"]), name


def test_every_service_that_stays_is_watched(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert ("healthcheck" in service) != name.endswith("-init"), name


def test_all_airflow_roles_run_the_same_image_with_the_same_settings(services: dict[str, Any]) -> None:
    roles = {n: s for n, s in airflow_services(services).items() if n.startswith(("airflow-", "worker-"))}
    assert {n.removeprefix("airflow-") for n in roles} == {
        "init", "api-server", "scheduler", "dag-processor", "triggerer", "worker-cpu", "worker-gpu",
    }  # fmt: skip
    assert {s["image"] for n, s in roles.items() if n != "worker-gpu"} == {"realsyn-airflow"}
    shared = roles["airflow-scheduler"]["environment"]
    for name, role in roles.items():
        differing = {k for k, v in shared.items() if role["environment"].get(k) != v}
        assert differing == ({"REALSYN_DEVICE"} if name == "worker-gpu" else set()), name


def test_tasks_go_to_the_cpu_worker_and_the_gpu_worker_has_a_device_and_its_own_lock(services: dict[str, Any]) -> None:
    cpu, gpu = services["worker-cpu"], services["worker-gpu"]
    assert cpu["command"][-2:] == ["--queues", cpu["environment"]["AIRFLOW__OPERATORS__DEFAULT_QUEUE"]]
    assert gpu["command"][-2:] == ["--queues", "gpu"]
    assert gpu["environment"]["REALSYN_DEVICE"] == "cuda"
    assert gpu["profiles"] == ["gpu"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert gpu["build"]["args"] == {"LOCK": "requirements-gpu.lock"}
    assert gpu["image"] != cpu["image"]


def test_tasks_with_models_go_to_the_gpu_worker_where_env_says_so_and_the_pools_are_made() -> None:
    values = example_values() | {"REALSYN_MODEL_QUEUE": "gpu"}
    services = resolve(written()["services"], values)
    assert services["airflow-scheduler"]["environment"]["REALSYN_MODEL_QUEUE"] == "gpu"
    assert services["worker-gpu"]["command"][-1] == "gpu"
    init = services["airflow-init"]
    shared = init["environment"]
    for pool, slots in (("REALSYN_MODEL_POOL", "MODEL_SLOTS"), ("REALSYN_MEMORY_POOL", "MEMORY_SLOTS")):
        assert f'airflow pools set {shared[pool]} "${slots}" ' in init["command"][2]
        assert shared[slots] == "2"


def test_ray_nodes_are_set_up_like_airflows_workers_and_ray_knows_their_options(services: dict[str, Any]) -> None:
    worker = services["worker-cpu"]
    for name in ("ray-head", "ray-worker"):
        node = services[name]
        assert node["image"] == worker["image"]
        assert node["environment"] == worker["environment"]
        assert node["profiles"] == ["ray"]
        for program, *options in (node["command"], node["healthcheck"]["test"][1:]):
            known = subprocess.run(
                [Path(sys.executable).parent / program, options[0], "--help"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert {o.partition("=")[0] for o in options if o.startswith("--")} <= set(
                re.findall(r"--[\w-]+", known.stdout)
            )
    port = dict(o.removeprefix("--").split("=") for o in services["ray-head"]["command"] if "=" in o)
    assert f"--address=ray-head:{port['port']}" in services["ray-worker"]["command"]
    assert f"ray://ray-head:{port['ray-client-server-port']}" in EXAMPLE.read_text()
    assert worker["environment"]["RAY_AUTH_MODE"] == "token"
    assert worker["environment"]["GRPC_ENABLE_FORK_SUPPORT"] == "0"


def test_no_secret_stands_in_the_compose_file_or_in_the_example() -> None:
    checked = 0
    for service in written()["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if SECRET.search(name):
                checked += 1
                assert VARIABLE.search(str(value)), name
                assert not re.search(r"://[^$]*:[^$@/]+@", str(value)), name
    assert checked > 20
    for name, value in example_values().items():
        assert not SECRET.search(name) or value in {"", "CHANGE_ME"}, name


def test_the_example_names_exactly_the_variables_that_compose_reads() -> None:
    assert {m[1] for m in VARIABLE.finditer(COMPOSE.read_text())} == set(example_values())


def test_compose_sets_every_setting_and_nothing_else(services: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    environment = services["worker-cpu"]["environment"]
    mine = {name: str(value) for name, value in environment.items() if name.startswith("REALSYN_")}
    fields = {f"REALSYN_{field.upper()}" for field in Settings.model_fields}
    assert set(mine) == fields - {"REALSYN_S3_CONN_ID"}
    assert f"AIRFLOW_CONN_{Settings.model_fields['s3_conn_id'].default.upper()}" in environment
    for name in fields:
        monkeypatch.delenv(name, raising=False)
    defaults = Settings().model_dump()
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    assert {k: v for k, v in Settings().model_dump().items() if v != defaults[k]} == {
        "models_path": Path("/opt/realsyn/models"),
        "gallery_path": Path("/opt/airflow/gallery"),
        "model_pool": "models",
        "memory_pool": "memory",
    }


def test_airflow_knows_every_option_that_compose_sets(services: dict[str, Any], tmp_path: Path) -> None:
    code = (
        "import json, sys; from airflow.configuration import conf; import airflow.providers_manager as p;"
        "p.ProvidersManager().initialize_providers_configuration();"
        "print(json.dumps({s: list(v['options']) for s, v in conf.configuration_description.items()}))"
    )
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    known = json.loads(asked.stdout.splitlines()[-1])
    set_options = {tuple(n.lower().split("__")[1:]) for n in services["worker-cpu"]["environment"] if "__" in n}
    assert len(set_options) > 15
    transport = {("celery_broker_transport_options", "visibility_timeout")}
    assert {(s, o) for s, o in set_options if o not in known.get(s, ())} <= transport


def test_what_a_node_with_vllm_runs_of_ours_needs_nothing_that_its_image_lacks() -> None:
    assert re.findall(r"^COPY (.+)$", RAY_LLM.read_text(), re.MULTILINE) == ["realsyn_ops /opt/realsyn/realsyn_ops"]
    names = "import sys; import realsyn_ops.ray.batch_rows; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-S", "-c", names], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - sys.stdlib_module_names - {"__main__"} == {"realsyn_ops"}


def test_what_the_image_copies_is_in_the_repository_and_not_ignored() -> None:
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    copied = [source for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for source in line.split()[:-1]]
    assert {"requirements.lock", "requirements-models.lock", "dags", "realsyn_ops"} <= set(copied)
    let_through = (PROJECT / ".dockerignore").read_text().splitlines()
    for source in copied:
        tracked = subprocess.run(["git", "ls-files", source], cwd=PROJECT, capture_output=True, check=True).stdout
        assert tracked, source
        assert f"!{source}" in let_through
    assert text.count("--no-deps --require-hashes") == text.count("pip install")


@pytest.fixture
def seaweed(services: dict[str, Any], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Compose's own object store command on this machine: other paths and ports, else as it is written."""
    ports = dict(zip(("s3", "master", "volume", "filer"), free_ports(4), strict=True))
    grpc = dict(zip(ports, free_ports(4), strict=True))
    service = services["seaweedfs"]
    script = service["command"][0]
    (tmp_path / "data").mkdir()
    for there, here in {
        "/etc/seaweedfs/s3.json.template": PROJECT / "docker" / "seaweedfs-s3.json.template",
        "/tmp/s3.json": tmp_path / "s3.json",  # noqa: S108
        "-dir=/data": f"-dir={tmp_path / 'data'}",
        "-ip=seaweedfs": "-ip=127.0.0.1",
        "-ip.bind=0.0.0.0": "-ip.bind=127.0.0.1",
        "-s3.port=8333": f"-s3.port={ports['s3']}",
    }.items():
        assert there in script, there
        script = script.replace(there, str(here))
    script = script.rstrip() + "".join(
        [f" -{n}.port={p}" for n, p in ports.items() if n != "s3"] + [f" -{n}.port.grpc={p}" for n, p in grpc.items()]
    )
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **service["environment"]}
    running = Service("compose-seaweedfs", tmp_path / "run")
    running.start([*service["entrypoint"], script], env=env, cwd=tmp_path)
    url = f"http://127.0.0.1:{ports['s3']}"
    check = service["healthcheck"]["test"][-1].replace("http://127.0.0.1:8333", url)

    def answers() -> bool:
        try:
            return httpx.get(check, timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    try:
        running.wait(answers, timeout_s=60)
        yield {"url": url, "config": str(tmp_path / "s3.json")}
    finally:
        running.stop(grace_s=3)


def test_the_object_store_starts_as_compose_says_and_the_init_service_makes_the_bucket(
    services: dict[str, Any], seaweed: dict[str, str]
) -> None:
    init = services["bucket-init"]
    env = {**os.environ, **init["environment"], "S3_URL": seaweed["url"], "PYTHONPATH": str(PROJECT)}
    deadline = time.monotonic() + 20
    while True:  # healthy says that S3 answers; its first write waits for a volume
        made = subprocess.run([sys.executable, *init["command"][1:]], env=env, capture_output=True, check=False)
        if made.returncode == 0 or time.monotonic() > deadline:
            break
    assert made.returncode == 0, made.stderr.decode()
    name, key, secret = (init["environment"][n] for n in ("REALSYN_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"))
    bucket = Bucket(name, seaweed["url"], key, secret)
    bucket.put("a", b"1")
    assert bucket.get("a") == b"1"
    assert not bucket.put_new("a", b"2")
    with pytest.raises(PermanentError):
        Bucket(name, seaweed["url"], key, "another").get("a")
    assert Path(seaweed["config"]).stat().st_mode & 0o077 == 0


def test_the_object_store_has_the_flags_of_the_embedded_default(services: dict[str, Any], store: Stack) -> None:
    own = {"ip", "ip.bind", "dir", "s3.config", "volume.max"}  # the tests' store has room for more buckets
    ports = re.compile(r"^(s3|master|volume|filer)\.port(\.grpc)?$")
    embedded = flags(" ".join(psutil.Process(store.seaweed.pid()).cmdline()))
    composed = flags(services["seaweedfs"]["command"][0])
    assert composed["volume.max"] == str(inspect.signature(Stack).parameters["max_volumes"].default)
    assert {n: v for n, v in embedded.items() if n not in own and not ports.match(n)} == {
        n: v for n, v in composed.items() if n not in own and not ports.match(n)
    }


def test_the_init_service_writes_both_passwords_where_the_server_looks(
    services: dict[str, Any], tmp_path: Path
) -> None:
    service = services["airflow-init"]
    script, *airflow = service["command"][2].rstrip().rsplit("\n", 3)
    assert [line.split(' "')[0].strip() for line in airflow] == [
        "airflow db migrate",
        "airflow pools set models",
        "airflow pools set memory",
    ]
    path = tmp_path / "passwords.json"
    env = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "ADMIN_PASSWORD": "one",
        "OPERATOR_PASSWORD": "three",
        "VIEWER_PASSWORD": "two",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(path),
    }
    subprocess.run([*service["command"][:2], script], env=env, check=True)
    assert json.loads(path.read_text()) == {"admin": "one", "operator": "three", "viewer": "two"}
    assert path.stat().st_mode & 0o077 == 0
    folder = Path(service["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).parent
    mounted = json.dumps([services[n]["volumes"] for n in ("airflow-init", "airflow-api-server")])
    assert mounted.count(str(folder)) == 2


def test_ci_runs_both_suites_and_stops_at_the_first_that_fails(tmp_path: Path) -> None:
    script = PROJECT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    clone = tmp_path / "clone"
    (clone / ".ci").mkdir(parents=True)
    (clone / ".ci" / "run").write_bytes(script.read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, body in {"apt-get": "exit 0", "id": "echo 1000"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    launcher = clone / "realsyn"
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    for exit_code, expected in ((0, ["test", "test --long"]), (1, ["test"])):
        launcher.write_text(f'#!/bin/sh\necho "$*" >>calls\nexit {exit_code}\n')
        launcher.chmod(0o755)
        ended = subprocess.run(["bash", ".ci/run"], cwd=clone, env=env, capture_output=True, check=False)
        assert ended.returncode == exit_code
        assert (clone / "calls").read_text().splitlines() == expected
        (clone / "calls").unlink()


def test_every_hook_names_a_program_of_the_locked_environment() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert len(hooks) == 4
    for hook in hooks:
        program = next(part for part in hook["entry"].split() if part.startswith(".realsyn/venv/bin/"))
        assert (Path(sys.executable).parent / Path(program).name).exists(), program


def test_the_gpu_workers_install_what_all_others_do_at_the_same_versions() -> None:
    def packages(name: str) -> set[str]:
        lines = (PROJECT / name).read_text().split("# development")[0].splitlines()
        return {line.partition("#")[0].strip() for line in lines} - {""}

    def versions(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^ ]+)", (PROJECT / name).read_text(), re.MULTILINE))

    own, gpu = packages("requirements.in"), packages("docker/requirements-gpu.in")
    assert {re.sub("^faiss-(cpu|gpu)", "faiss", name) for name in own} == {
        re.sub("^faiss-(cpu|gpu)", "faiss", name) for name in gpu
    }
    own_versions, gpu_versions = versions("requirements.lock"), versions("docker/requirements-gpu.lock")
    common = own_versions.keys() & gpu_versions.keys()
    assert {name: own_versions[name] for name in common} == {name: gpu_versions[name] for name in common}
