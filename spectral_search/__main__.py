"""`python -m spectral_search` is the command `spectral-search`, also where its script is not on the PATH."""

from spectral_search.cli.main import main

main()
