"""What tests have children do."""

import sys

from include.system.child_server import PRELOADED


def count_heavy_modules() -> int:
    """How many of the preloaded libraries this process has without importing them."""
    return sum(name in sys.modules for name in PRELOADED)


def sum_with_arrow_threads(count: int) -> int:
    """Add ones on Arrow's own thread pool, which must start anew in a fork."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.table({"one": pa.chunked_array([pa.array([1] * (count // 10))] * 10), "key": ["a"] * count})
    return (
        table.group_by("key", use_threads=True).aggregate([("one", "sum")])["one_sum"][0].as_py() + pc.sum([0]).as_py()
    )
