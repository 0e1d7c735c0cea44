"""``python -m chatstore`` is the command ``chatstore``."""

import sys

from chatstore.cli import main

sys.exit(main())
