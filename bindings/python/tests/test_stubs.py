"""The committed stubs say what the built module has."""

import subprocess
import sys


def test_stubs_match_the_module():
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "libvision._libvision"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
