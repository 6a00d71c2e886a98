"""`make bench`: every measurement, one after the other, each beside a named peer in the same run.

    python -m benchmarks              all of them
    python -m benchmarks codec        one

Figures are CPU time where a machine may be busy with other things; ratios travel, absolutes do not. What was read
last, on which machine, is in docs/performance.md.
"""

import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    wanted = sys.argv[1:] or NAMES
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        print(f"benchmarks: there is no {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    print(f"{platform.platform()}, Python {platform.python_version()}")
    worst = 0
    for name in wanted:
        print(f"\n== {name}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
    return worst


sys.exit(main())
