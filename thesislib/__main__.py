"""``python -m thesislib`` is the command ``thesis``."""

import sys

from thesislib.cli import main

sys.exit(main())
