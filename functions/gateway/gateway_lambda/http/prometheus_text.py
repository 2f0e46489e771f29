"""Format CloudWatch's metrics as Prometheus text."""

from collections.abc import Iterable, Sequence

from email_sender.adapters.aws.cloudwatch import Sample
from email_sender.kit.telemetry import API_DURATION, CACHE_LOOKUPS, HTTP_DURATION, MANAGER_STATUS, VECTOR_OPERATIONS

# CloudWatch has no buckets: a histogram becomes its sum and count, and two quantiles that CloudWatch computes.
SERIES: dict[str, Sequence[str]] = {
    MANAGER_STATUS: ("Maximum",),
    VECTOR_OPERATIONS: ("Sum",),
    CACHE_LOOKUPS: ("Sum",),
    API_DURATION: ("Sum", "SampleCount", "p50", "p95"),
    HTTP_DURATION: ("Sum", "SampleCount", "p50", "p95"),
}
_KINDS = {
    MANAGER_STATUS: "gauge",
    VECTOR_OPERATIONS: "counter",
    CACHE_LOOKUPS: "counter",
    API_DURATION: "summary",
    HTTP_DURATION: "summary",
}
_SUFFIXES = {"Sum": "_sum", "SampleCount": "_count"}


def exposition(samples: Iterable[Sample]) -> str:
    """Return the samples in the text format 0.0.4 (prometheus.io, "Exposition formats")."""
    all_samples = list(samples)
    lines: list[str] = []
    for name, kind in _KINDS.items():
        lines.append(f"# TYPE {name} {kind}")
        lines += sorted(_sample_line(sample, kind) for sample in all_samples if sample.name == name)
    return "\n".join(lines) + "\n"


def _sample_line(sample: Sample, kind: str) -> str:
    labels = dict(sample.labels)
    suffix = _SUFFIXES.get(sample.statistic, "") if kind == "summary" else ""
    if sample.statistic.startswith("p"):
        labels["quantile"] = f"0.{sample.statistic[1:]}"
    text = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{sample.name}{suffix}{{{text}}} {sample.value:g}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
