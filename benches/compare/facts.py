"""What a result says of the machine it is from."""

import platform
from pathlib import Path


def cpu_model() -> str:
    facts = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    isa = "AVX-512" if "avx512f" in facts.get("flags", "") else "AVX2"
    name = facts.get("model name", platform.processor())
    return f"{name} (family {facts.get('cpu family')}, model {facts.get('model')}, {isa})"
