"""Format CloudWatch's metrics as Prometheus text."""

from collections.abc import Iterable, Sequence

from email_sender.adapters.aws.cloudwatch import Sample
from email_sender.kit.telemetry import API_DURATION, CACHE_LOOKUPS, HTTP_DURATION, MANAGER_STATUS, VECTOR_OPERATIONS

# What is read from CloudWatch, which has no buckets: a histogram becomes its sum and count, and two quantiles that it
# computes.
SERIES: dict[str, Sequence[str]] = {
    MANAGER_STATUS: ("Maximum",),
    VECTOR_OPERATIONS: ("Sum",),
    CACHE_LOOKUPS: ("Sum",),
    API_DURATION: ("Sum", "SampleCount", "p50", "p95"),
}
_KINDS = {
    MANAGER_STATUS: "gauge",
    VECTOR_OPERATIONS: "counter",
    CACHE_LOOKUPS: "counter",
    API_DURATION: "summary",
    HTTP_DURATION: "summary",
}
# A series under a second name, which the specification wants too. CloudWatch charges for each name, so it has only one.
_SECOND_NAMES = {HTTP_DURATION: API_DURATION}
_SUFFIXES = {"Sum": "_sum", "SampleCount": "_count"}


def exposition(samples: Iterable[Sample]) -> str:
    """Return the samples in the text format 0.0.4 (prometheus.io, "Exposition formats")."""
    all_samples = list(samples)
    lines: list[str] = []
    for name, kind in _KINDS.items():
        lines.append(f"# TYPE {name} {kind}")
        stored_name = _SECOND_NAMES.get(name, name)
        lines += sorted(_sample_line(name, sample, kind) for sample in all_samples if sample.name == stored_name)
    return "\n".join(lines) + "\n"


def _sample_line(name: str, sample: Sample, kind: str) -> str:
    labels = dict(sample.labels)
    suffix = _SUFFIXES.get(sample.statistic, "") if kind == "summary" else ""
    if sample.statistic.startswith("p"):
        labels["quantile"] = f"0.{sample.statistic[1:]}"
    text = ",".join(f'{label}="{_escape(value)}"' for label, value in labels.items())
    return f"{name}{suffix}{{{text}}} {sample.value:g}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
