"""`python -m modelwire` is the `modelwire` command."""

from .cli import main

if __name__ == "__main__":
    main()
