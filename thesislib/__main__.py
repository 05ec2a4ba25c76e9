"""``python -m thesislib`` is the command ``thesis``."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the working folder, whose modules would come before Python's own

from thesislib.cli import main

sys.exit(main())
