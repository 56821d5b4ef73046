"""Steps that are done once, within a time: each leaves a JSON file, and one that has its file is not done again."""

import json
import subprocess
import time
from pathlib import Path


class Results:
    """The folder of results, and the time that this call may still take."""

    def __init__(self, folder, minutes):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.end = time.monotonic() + 60 * minutes
        self.failed, self.left = [], []

    def read(self, name):
        """What the step of this name found, or None."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else None

    def step(self, name, seconds, work):
        """Does `work()`, which gives a dictionary with `ok`, if it was not done and `seconds` are left for it."""
        found = self.read(name)
        if found is None:
            if time.monotonic() + seconds > self.end:
                self.left.append(name)
                return
            print(f"{name} ...", flush=True)
            started = time.monotonic()
            try:
                found = work()
            except Exception as error:  # one step must not end the others
                found = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            found["seconds"] = round(time.monotonic() - started, 1)
            if found["ok"]:
                (self.folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        if not found["ok"]:
            self.failed.append(name)
        print(f"{name}: {'ok' if found['ok'] else 'FAILED'} {found.get('error', '')}", flush=True)


def run(command, seconds):
    """Standard output of a command; raises with the end of what it said if it fails or takes longer."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def json_lines(text):
    """The objects of a text with one in each line."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
