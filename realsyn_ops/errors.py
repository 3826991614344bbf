"""The errors callers act on: fail now, or try again. A bad *record* is no error but a reject with a reason."""


class RealSynError(Exception):
    """Any error this project raises on purpose."""


class PermanentError(RealSynError):
    """Trying again cannot help: bad input, a bad plan, a corrupt shard, a failed gate."""


class TransientError(RealSynError):
    """A service did not answer or another writer was faster: the same call may succeed later."""


class BadPlanError(PermanentError):
    """A plan's field breaks a rule; the message names field, rule and value."""

    def __init__(self, field: str, rule: str, value: object) -> None:
        super().__init__(f"{field} must be {rule}, got {value!r}")
        self.field = field
        self.value = value


class BadDocumentError(PermanentError):
    """A raw file or record cannot be read; it becomes a reject with this text as its detail."""


class CorruptShardError(PermanentError):
    """A staged file is not what its manifest says: its bytes were changed or lost."""

    def __init__(self, key: str, expected: str, found: str) -> None:
        super().__init__(f"{key}: sha256 is {found}, its manifest says {expected}; clear the task that wrote it")
        self.key = key


class GateError(PermanentError):
    """Staged data broke expectations; nothing was published."""

    def __init__(self, gate: str, failures: list[str], report_uri: str) -> None:
        super().__init__(f"gate {gate} failed: {'; '.join(failures)} (report: {report_uri})")
        self.gate = gate
        self.failures = failures
        self.report_uri = report_uri


class CommitConflictError(TransientError):
    """Another writer committed to the table first; the caller rereads and tries again."""


class ServiceError(RealSynError):
    """A service of the embedded default (object store, Airflow) could not be started or reached."""
