"""`python -m tests.chaos --seeds 1-20 [--full]`: run the fault campaign; exit code 1 when a seed fails."""

import argparse
import sys
from collections import Counter

from tests.chaos.campaign import run_seeds
from tests.chaos.plan import plan, seeds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", default="1-20", help="such as 1-20 or 3,7,100-110")
    parser.add_argument("--full", action="store_true", help="outages of up to 60 s, some four minutes a seed")
    parser.add_argument("--jobs", type=int, default=1, help="how many seeds at a time")
    parser.add_argument("--keep", action="store_true", help="keep the folders of clean seeds as well, and say where")
    parser.add_argument("--plan", action="store_true", help="only print what would be done")
    options = parser.parse_args()
    try:
        numbers = list(seeds(options.seeds))
    except ValueError:
        parser.error(f"--seeds {options.seeds!r} is not of the form 1-20 or 3,7,100-110")
    if options.plan:
        for seed in numbers:
            planned = plan(seed, full=options.full)
            print(planned, *(f"  {fault}" for fault in planned.faults), sep="\n")
        return 0
    print(f"seeds {options.seeds}{' at full length' if options.full else ''}", flush=True)
    failed = []
    total, faults = Counter[str](), Counter[str]()
    for verdict in run_seeds(numbers, options.jobs, full=options.full, keep=options.keep):
        print(verdict, flush=True)
        total.update(verdict.figures)
        faults.update(f"{fault.target} {fault.kind}" for fault in verdict.plan.faults)
        if options.keep:
            print(f"  {verdict.folder}", *verdict.told, sep="\n  ", flush=True)
        if not verdict.clean:
            failed.append(verdict.plan.seed)
    print("; ".join(f"{number} {name}" for name, number in total.items()))
    print(f"{faults.total()} faults:", "; ".join(f"{number} {name}" for name, number in sorted(faults.items())))
    which = "; failed: " + ",".join(map(str, failed)) if failed else ""
    print(f"{len(numbers) - len(failed)} of {len(numbers)} seeds clean{which}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
