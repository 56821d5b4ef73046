"""How busy the machine was with anything else: rounds beside other work are measured again."""

import os
import time
from pathlib import Path

# A round counts if others had less than this part of one CPU.
LIMIT = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


def _machine() -> float:
    """Seconds that all CPUs together were busy, or taken away by the host of a virtual machine."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def _process(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / TICKS


class OtherLoad:
    """Watches from its making on. `pids`: whose work is not other work; this process is not either."""

    def __init__(self, pids: list[int]):
        self.pids = [os.getpid(), *pids]
        self.started, self.before = time.monotonic(), self._others()

    def _others(self) -> float:
        return _machine() - sum(map(_process, self.pids))

    def share(self) -> float:
        """CPU time of others since the start, as a part of one CPU."""
        return (self._others() - self.before) / (time.monotonic() - self.started)
