"""Forks, signals, the end of the interpreter: each in a process of its own."""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import multiprocessing, os, signal, sys, threading, time
import libvision
model_path, png = sys.argv[1:]
# A shell that starts the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def run(program, model_path, png):
    """Runs `program` after the imports above; a hang is a failure."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(program), str(model_path), str(png)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def outcome(model_path, png):
    def check(program, printed):
        done = run(program, model_path, png)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == printed, done.stderr

    return check


def test_an_engine_from_before_a_fork_raises_in_the_child(outcome):
    outcome(
        """
        engine = libvision.Engine(model_path)
        waiting = libvision.Engine(engine.model, max_queue_delay=600, window="throughput")
        pending = waiting.submit(png)
        label = engine.classify(png).label

        def child(queue):
            for call in (engine.classify, engine.submit, engine.embed):
                try:
                    queue.put(call(png))
                except libvision.EngineError as error:
                    queue.put(error.code)
            try:
                pending.result()
            except libvision.EngineError as error:
                queue.put(error.code)
            engine.close()
            with libvision.Engine(engine.model) as own:
                queue.put(own.classify(png).label == label)

        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        process = context.Process(target=child, args=(queue,))
        process.start()
        print(*(queue.get(timeout=60) for _ in range(5)))
        process.join(60)
        print(process.exitcode, engine.classify(png).label == label)
        """,
        ["ENGINE_CLOSED"] * 4 + ["True", "0", "True"],
    )


def test_a_forked_child_that_ends_as_a_program_does_not_hang(outcome):
    outcome(
        """
        engine = libvision.Engine(model_path)
        engine.classify(png)
        child = os.fork()
        if not child:
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        ["7"],
    )


def test_workers_that_load_for_themselves(outcome):
    outcome(
        """
        def label(path):
            with libvision.Engine(model_path) as engine:
                return engine.classify(path).label

        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(len(set(pool.map(label, [png] * 4))))
        """,
        ["1"],
    )


def test_ctrl_c_ends_a_wait(outcome):
    outcome(
        """
        engine = libvision.Engine(model_path, max_queue_delay=600, window="throughput")
        main = threading.main_thread().ident

        def interrupt():
            while sys._current_frames()[main].f_code.co_name != "wait":
                time.sleep(0.01)
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        try:
            engine.classify(png)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        ["interrupted"],
    )


def test_ctrl_c_ends_the_wait_for_a_pending_request(outcome):
    outcome(
        """
        engine = libvision.Engine(model_path, max_queue_delay=600, window="throughput")
        pending = engine.submit(png)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            pending.result()
        except KeyboardInterrupt:
            print("interrupted")
        """,
        ["interrupted"],
    )


def test_a_program_that_never_closes_its_engine_ends(outcome):
    outcome(
        """
        engine = libvision.Engine(model_path)
        engine.submit(png).add_done_callback(lambda pending: print("answered"))
        """,
        ["answered"],
    )


def test_numpy_is_not_needed_to_classify(outcome):
    outcome(
        """
        sys.modules["numpy"] = None
        with libvision.Engine(model_path) as engine:
            print(len(engine.classify([png, open(png, "rb").read()])))
            try:
                engine.embed(png)
            except ImportError as error:
                print(error.__notes__[0].split()[-1])
        """,
        ["2", "libvision[numpy]"],
    )
