"""`python -m api.cli`: the `headwater` command without the installed script."""

from api.cli.app import main

main()
