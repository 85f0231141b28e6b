"""What a search is: YAML in, one validated RunSpec out. Imports neither torch nor ray."""
