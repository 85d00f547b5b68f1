"""`python -m runworker.cli`, the console script where it is not on the path."""

from runworker.cli import main

if __name__ == "__main__":
    main()
