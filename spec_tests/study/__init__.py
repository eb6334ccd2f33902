"""The comparison study: what is equal between backends, to how many digits, what differs and why, and what it costs.

It is cut into pieces (`pieces`: a backend, a program, a seed), each run in a worker process of its backend (`work`,
under that backend's own Python), by an executor (`executors`), and written to the study's folder as it finishes
(`store`). `results` turns the pieces into one file of numbers, through `parity`, `lockstep`, `accuracy`, `series` and
`cost`; the report (`findings`, `showing`) is made from that file alone. Importing this package imports nothing.
"""
