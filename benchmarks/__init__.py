"""
The benchmark harness: `python -m benchmarks --help`.

Every competitor runs in a process of its own and is asked for one round at a time, in turn, so that whatever slows the
machine slows all of them; ratios are taken within a round and their median over the rounds is what is reported.
"""
