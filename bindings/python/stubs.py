"""Makes python/libvision/_libvision.pyi from the Rust sources, or checks it: `stubs.py [--check]`.

maturin builds the extension with the feature `stubs` and reads the types out of it.
"""

import difflib
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
COMMITTED = HERE / "python/libvision/_libvision.pyi"


def generate() -> str:
    """The stub file as the sources would have it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "maturin", "generate-stubs", "--quiet", "--locked"]
            + ["--features", "stubs", "--manifest-path", HERE / "Cargo.toml"]
            + ["--interpreter", sys.executable, "--out", folder],
            check=True,
        )
        (made,) = pathlib.Path(folder).rglob("*.pyi")
        return made.read_text()


def main() -> int:
    if sys.argv[1:] not in ([], ["--check"]):
        print("usage: stubs.py [--check]", file=sys.stderr)
        return 2
    made = generate()
    if not sys.argv[1:]:
        COMMITTED.write_text(made)
        return 0
    committed = COMMITTED.read_text() if COMMITTED.exists() else ""
    name = COMMITTED.relative_to(HERE.parent.parent)
    difference = list(
        difflib.unified_diff(
            committed.splitlines(), made.splitlines(), f"{name} (committed)", f"{name} (from the sources)", lineterm=""
        )
    )
    if difference:
        print("\n".join(difference), "stale: run `cargo xtask stubs` and commit the result", sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
