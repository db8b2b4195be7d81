"""`python -m mageflow.cli`."""

from mageflow.cli.app import main

if __name__ == "__main__":
    main()
