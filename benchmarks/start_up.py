"""`thesis --help`, against the import of numpy."""

import subprocess
import sys
from pathlib import Path

from timing import no_slower, run_script, take_turns


def measure(runs, tiny):
    def start(*command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    sides = {
        "help": lambda: start(Path(sys.executable).with_name("thesis"), "--help"),
        "numpy": lambda: start(sys.executable, "-c", "import numpy"),
    }
    seconds = take_turns(sides, runs)
    claim = '`thesis --help` against `python -c "import numpy"`'
    return [no_slower(claim, seconds["help"], seconds["numpy"], at_most=5)]


if __name__ == "__main__":
    run_script(__doc__, measure)
