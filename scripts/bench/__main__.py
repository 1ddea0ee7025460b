"""`python -m scripts.bench`."""

from scripts.bench import main

if __name__ == "__main__":
    main()
