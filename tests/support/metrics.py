"""The value of one metric of this process."""

from collections.abc import Mapping

from prometheus_client import REGISTRY


def sample(name: str, labels: Mapping[str, str] | None = None) -> float | None:
    """Return the value of the sample of this name and these labels; None where there is none.

    `REGISTRY.get_sample_value` would read all metrics, also those that count every object of the process.
    """
    metrics = REGISTRY.restricted_registry([name]).collect()
    found = (one.value for metric in metrics for one in metric.samples if one.labels == dict(labels or {}))
    return next(found, None)
