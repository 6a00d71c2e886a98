"""What the whole line costs: a day of `laptop` through broker, collector and store, as `make demo` does it.

Prints how long the history took, the rate, and the CPU time of all parts together for each reading; the account says
whether every reading arrived. Its peer is the same line made of plain paho clients, whose cost a message
`benchmarks.codec` measures.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="haina-bench-") as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        demo = subprocess.run(
            [sys.executable, "-m", "haina", "demo", "--headless", "--for", "1s", "--json", "--data",
             str(Path(folder) / "data")],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    account = json.loads(demo.stdout)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    published = account["published"]
    print(json.dumps(account))
    print(
        f"A day of laptop, {published:,} readings, was charted {account['backfill_s']:.1f} s after the start; "
        f"all parts, their start and the audit took {cpu_s:.1f} s of CPU, {1e6 * cpu_s / published:.0f} µs a reading; "
        f"lost {account['lost']}, doubled {account['duplicates']}; {account['peak_rss_mib']:.0f} MiB at the peak."
    )
    return demo.returncode


sys.exit(main())
