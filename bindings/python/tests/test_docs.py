"""docs/python.md and the example keep their word."""

import inspect
import itertools
import re
import subprocess
import sys

import libvision


def test_the_blocks_of_the_guide_run(root, monkeypatch):
    monkeypatch.chdir(root)
    guide = (root / "docs/python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) >= 5
    names = {}
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)


def test_the_options_of_the_guide_are_those_of_the_engine(root):
    guide = (root / "docs/python.md").read_text().split("## Options of an engine")[1].split("##")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", guide, re.MULTILINE))
    parameters = inspect.signature(libvision.Engine).parameters
    options = {name: repr(p.default) for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert documented == options


def test_the_table_of_names_names_what_there_is(root):
    lines = (root / "bindings/README.md").read_text().splitlines()
    _, _, *rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert len(rows) >= 10
    header = (root / "include/libvision.h").read_text()
    node = (root / "bindings/node/index.d.ts").read_text()
    for _, c, _, python, node_names in rows:
        for name in re.findall(r"`(\w+)`", c):
            assert re.search(rf"\b{name}\b", header), name
        for name in re.findall(r"`(\w+)", node_names):
            assert name in ("await", "then") or re.search(rf"\b{name}\b", node), name
        for name in re.findall(r"`(\w+)", python):
            places = (libvision, libvision.Engine, libvision.Pending)
            fields = [getattr(libvision, kind).__annotations__ for kind in ("RequestOptions", "VisionError", "Result")]
            options = [*inspect.signature(libvision.Engine).parameters, *itertools.chain(*fields)]
            known = any(hasattr(place, name) for place in places) or name in (*options, "deadline", "with")
            assert known, name


def example(root, *arguments):
    command = [sys.executable, root / "examples/classify.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_example_prints_one_line_for_each_picture(root, engine, model_path, pictures, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    done = example(root, model_path, pictures[0], broken, tmp_path / "none.png", pictures[1])
    assert done.returncode == 1 and done.stderr == ""
    first, second, third, fourth = done.stdout.splitlines()
    labels = [f"{p.label} {p.score:.6f}" for p in engine.classify(pictures[0])]
    assert first == " | ".join([str(pictures[0]), *labels])
    assert second.startswith(f"{broken} | error IMAGE_FORMAT_UNKNOWN: ")
    assert third.startswith(f"{tmp_path}/none.png | error FILE_NOT_FOUND: ")
    assert fourth.startswith(f"{pictures[1]} | ")


def test_the_example_prints_embeddings_and_outputs(root, engine, model_path, png):
    for option, values in (
        ("--embed", engine.embed(png)),
        ("--run", engine.outputs(png)["logits"]),
    ):
        done = example(root, option, model_path, png)
        shown = " ".join(f"{value:.6f}" for value in values[:4])
        assert (done.returncode, done.stdout) == (0, f"{png} | {len(values)}: {shown}\n")


def test_the_example_says_what_is_wrong(root, model_path, png):
    for arguments, words in (((), "usage"), ((model_path,), "usage"), (("no/model", png), "FILE_NOT_FOUND")):
        done = example(root, *arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert words in done.stderr
