"""What Prometheus is told: loop and action latency, calls to the API server and to MLflow, sweeps, trials by outcome."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

LOOK = Histogram("hypersweep_look_seconds", "One turn of a sweep's loop.", buckets=_FAST)
ACTION = Histogram("hypersweep_action_seconds", "One action for a trial.", ["action"], buckets=_FAST)
API = Histogram(
    "hypersweep_kubernetes_request_seconds", "Requests to the API server.", ["verb", "resource", "code"], buckets=_FAST
)
TRACKING = Histogram("hypersweep_mlflow_request_seconds", "Requests to MLflow.", ["verb", "ok"], buckets=_FAST)
SWEEPS = Gauge("hypersweep_sweeps", "Sweeps that have a loop.")
TRIALS = Counter("hypersweep_trials_total", "Trials that ended.", ["outcome"])
LEADER = Gauge("hypersweep_leader", "1 while this process holds the lease.")


class Observer:
    """Tells Prometheus what loops do."""

    def looked(self, took: float) -> None:
        LOOK.observe(took)

    def acted(self, action: str, took: float) -> None:
        ACTION.labels(action).observe(took)

    def ended(self, outcome: str) -> None:
        TRIALS.labels(outcome).inc()


def observe_api(verb: str, resource: str, took: float, code: int) -> None:
    API.labels(verb, resource, str(code)).observe(took)


def observe_tracking(verb: str, took: float, ok: bool) -> None:  # noqa: FBT001
    TRACKING.labels(verb, str(ok).lower()).observe(took)
