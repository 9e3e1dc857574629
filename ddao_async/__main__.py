"""`python -m ddao_async` is the command `ddao-async`."""

import sys

from .cli.main import main

sys.exit(main())
