"""`python -m proxy` is `bearer-proxy`."""

import sys

from .cli import main

sys.exit(main())
