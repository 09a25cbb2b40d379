"""The speed of Berth against peers and limits: `make bench` measures, and writes docs/performance.md.

    python -m bench                       all rows; writes docs/performance.md and its plots
    python -m bench --rows one --pairs 3  some rows; writes build/bench only

Not part of the installed package. One module a row, registered in `bench.rows`; `harness` has the values that
rows return, `lab` what they work with, `stats` and `page` are pure.
"""
