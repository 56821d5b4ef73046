"""The GPU kit: checks libvision on the GPU of this machine and measures it beside PyTorch.

    python3 run.py --part goldens      every kernel, the shipped model and the preprocessing against the CPU
    python3 run.py --part sanitize     the kernel suite under compute-sanitizer
    python3 run.py --part baseline     PyTorch alone, and the ceilings of the card
    python3 run.py --part bench        libvision beside PyTorch, in turns

Each part stays under nine minutes and can be called again: what was done is kept in the folder of results and not
done again. The exit code is 0 if all of the part was done, 3 if there is more to do, 1 if something failed.
"""

import argparse
import sys
from pathlib import Path

import report
from steps import Results

KIT = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", required=True, choices=["goldens", "sanitize", "baseline", "bench"])
    parser.add_argument("--results", default=KIT / "results", help="folder of the results (default: results beside this file)")
    parser.add_argument("--device", default="cuda:0", help="the device to run on (default: cuda:0)")
    parser.add_argument("--minutes", type=float, default=8.5, help="how long this call may take (default: 8.5)")
    arguments = parser.parse_args()
    results = Results(arguments.results, arguments.minutes)

    if arguments.part == "goldens":
        import goldens

        goldens.check(KIT, results, arguments.device)
    elif arguments.part == "sanitize":
        import sanitize

        sanitize.check(KIT, results, arguments.device)
    else:
        import turns

        turns.measure(KIT, results, arguments.device, with_libvision=arguments.part == "bench")

    report.write(results)
    if results.failed:
        print(f"failed: {', '.join(results.failed)}")
        return 1
    if results.left:
        print(f"more to do, call again: {', '.join(results.left)}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
