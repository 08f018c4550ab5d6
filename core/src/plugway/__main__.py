"""`python -m plugway` is the command `plugway`."""

from plugway.cli import main

if __name__ == "__main__":
    main()
