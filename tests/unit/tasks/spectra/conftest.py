"""A real Ray for those tests of this folder that need one."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def small_ray() -> Iterator[None]:
    """A real Ray with two CPU slots, shut down at the end."""
    import ray

    environment = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=200 << 20,
            logging_level="ERROR",
            log_to_driver=False,
        )
        yield
        ray.shutdown()
