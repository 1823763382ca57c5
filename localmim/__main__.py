"""``python -m localmim``."""

import sys

from .command.main import main

sys.exit(main())
