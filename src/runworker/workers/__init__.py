"""Celery workers as processes of our own: started, watched, killed and stopped, for `up`, `demo` and the tests."""

from runworker.workers.processes import WorkerProcess, WorkerProcesses, environment_of

__all__ = ["WorkerProcess", "WorkerProcesses", "environment_of"]
