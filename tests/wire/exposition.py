"""A strict reader of what /metrics tells, in both its forms, and of the conventions for names. Raises ValueError with the
line that is wrong. It knows nothing of the server: only the formats.

Sources: OpenMetrics 1.0.0; Prometheus's text format 0.0.4; https://prometheus.io/docs/practices/naming/"""

import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
NUMBER = re.compile(r"(?:[+-]?[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?|\+Inf|-Inf|NaN)\Z")
KINDS = {"counter", "gauge", "histogram", "info"}
NOT_BASE_UNITS = ("milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "kilobytes", "megabytes", "kib", "mib",
                  "bits", "percent", "ms", "us", "ns")


class Family:
    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.unit = self.help = None
        self.samples = []  # (name, labels as a dictionary, value)


def labels_of(text, line):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if match is None or match.group(1) in labels:
            raise ValueError(f"labels: {line}")
        labels[match.group(1)] = match.group(2)
        at = match.end()
        if at < len(text):
            if text[at] != ",":
                raise ValueError(f"labels: {line}")
            at += 1
    return labels


def take_comment(line, families, openmetrics):
    parts = line.split(" ", 3)
    if len(parts) != 4 or parts[0] != "#" or parts[1] not in ("TYPE", "HELP", "UNIT"):
        raise ValueError(f"comment: {line}")
    word, name, rest = parts[1:]
    if word == "TYPE":
        if name in families or rest not in KINDS or not NAME.match(name):
            raise ValueError(f"a family twice, or of no known type: {line}")
        families[name] = Family(name, rest)
        return families[name]
    family = families.get(name)
    if family is None or family is not list(families.values())[-1] or family.samples:
        raise ValueError(f"not with its family: {line}")
    if word == "UNIT":
        if not openmetrics or family.unit is not None or not name.endswith("_" + rest):
            raise ValueError(f"unit: {line}")
        family.unit = rest
    else:
        if family.help is not None or not rest.endswith(".") or "\\" in rest:
            raise ValueError(f"help: {line}")
        family.help = rest
    return family


def suffixes(family, openmetrics):
    return {"counter": ("_total",) if openmetrics else ("",), "gauge": ("",), "info": ("_info",),
            "histogram": ("_bucket", "_count", "_sum")}[family.kind]


def take_sample(line, family, openmetrics):
    match = SAMPLE.match(line)
    if match is None or family is None or not NUMBER.match(match.group(3)):
        raise ValueError(f"sample: {line}")
    name, labels, number = match.group(1), labels_of(match.group(2) or "", line), match.group(3)
    if name not in {family.name + suffix for suffix in suffixes(family, openmetrics)}:
        raise ValueError(f"not of family {family.name}: {line}")
    value = float(number.replace("Inf", "inf"))
    if family.kind in ("counter", "histogram") and not 0 <= value < math.inf:
        raise ValueError(f"a count that is none: {line}")
    if any(other[:2] == (name, labels) for other in family.samples):
        raise ValueError(f"the same sample twice: {line}")
    family.samples.append((name, labels, value))


def check_histogram(family):
    rows = {}
    for name, labels, value in family.samples:
        rest = tuple(sorted((key, text) for key, text in labels.items() if key != "le"))
        row = rows.setdefault(rest, {"buckets": []})
        if name.endswith("_bucket"):
            if not re.fullmatch(r"\+Inf|[0-9]+\.[0-9]+|[0-9](\.[0-9]+)?e[+-][0-9]{2}", labels["le"]):
                raise ValueError(f"le is not in its canonical form: {family.name} {labels}")
            row["buckets"].append((float(labels["le"].replace("Inf", "inf")), value))
        else:
            row[name[len(family.name):]] = value
    for rest, row in rows.items():
        bounds = [bound for bound, _ in row["buckets"]]
        counts = [count for _, count in row["buckets"]]
        if bounds != sorted(set(bounds)) or bounds[-1] != math.inf or counts != sorted(counts):
            raise ValueError(f"buckets of {family.name} {rest}: {row['buckets']}")
        if counts[-1] != row["_count"] or (row["_count"] == 0) != (row["_sum"] == 0):
            raise ValueError(f"count and sum of {family.name} {rest}: {row}")


def check_names(family):
    name = family.name
    words = name.split("_")
    if name != name.lower() or not name.startswith(("perdure_", "process_")):
        raise ValueError(f"{name}: lower case, with a prefix")
    if any(word in NOT_BASE_UNITS for word in words):
        raise ValueError(f"{name}: not in base units")
    if any(word in KINDS for word in words) or (family.kind != "counter" and name.endswith("_total")):
        raise ValueError(f"{name}: tells its type")
    if family.kind != "histogram" and name.endswith(("_count", "_sum", "_bucket")):
        raise ValueError(f"{name}: looks like a part of a histogram")


def read(text, openmetrics):
    """The families of a page, by name (of a counter without _total)."""
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    lines = text[:-1].split("\n")
    if openmetrics:
        if lines.pop() != "# EOF":
            raise ValueError("no # EOF at the end")
    families, family = {}, None
    for line in lines:
        if line.startswith("#"):
            family = take_comment(line, families, openmetrics)
        else:
            take_sample(line, family, openmetrics)
    for family in families.values():
        if family.help is None or not family.samples:
            raise ValueError(f"{family.name} has no help or no sample")
        if not openmetrics and family.kind == "counter":
            if not family.name.endswith("_total"):
                raise ValueError(f"{family.name}: a counter ends with _total")
            family.name = family.name[:-len("_total")]
        if not openmetrics and family.name.endswith("_info"):
            family.name, family.kind = family.name[:-len("_info")], "info"
        check_names(family)
        if openmetrics and (family.unit is None) != (not family.name.endswith(("_seconds", "_bytes"))):
            raise ValueError(f"{family.name}: its name and its unit differ")
        if family.kind == "histogram":
            check_histogram(family)
    return {family.name: family for family in families.values()}


def value(families, name, **labels):
    """One sample's value; for a histogram `name` is that of a part."""
    for family in families.values():
        for sample, its_labels, number in family.samples:
            if sample in (name, name + "_total") and its_labels == labels:
                return number
    raise KeyError((name, labels))
