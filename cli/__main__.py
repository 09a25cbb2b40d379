"""`python -m cli`: the same as `berth`."""

from cli.main import main

main()
