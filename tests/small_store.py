"""A real server of Amazon S3's protocol on loopback, in a process of its own, which wants the right keys."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

ACCESS, SECRET = "AKIASMALLSTORE", "no-secret-of-anybody"


class SmallStore:
    """The server; its buckets are folders.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder = folder
        self.environment = {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        how = ["--config", os.devnull, "--addr", f"127.0.0.1:{port}"]
        rclone = shutil.which("rclone", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        assert rclone is not None, "rclone is missing: install the test extra"
        self._process = subprocess.Popen(
            [rclone, "serve", "s3", *how, str(folder)],
            env={**os.environ, "RCLONE_AUTH_KEY": f'"{ACCESS},{SECRET}"'},
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError("the store did not start")

    def put(self, source: Path, key: str) -> str:
        """Write a file, or all files of a folder, through the protocol; the URL of it."""
        with self.used():
            store = self.make_bucket(key.partition("/")[0])
            for file in [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file()):
                name = key if file == source else f"{key}/{file.relative_to(source).as_posix()}"
                with store.open_output_stream(name) as stream:
                    stream.write(file.read_bytes())
        return f"s3://{key}"

    def make_bucket(self, name: str) -> Any:
        """Make a bucket if it is not there; the file system of the store."""
        from pyarrow.fs import FileSystem

        with self.used():
            store: Any = FileSystem.from_uri(f"s3://{name}?allow_bucket_creation=true&allow_delayed_open=true")[0]
            store.create_dir(name)
        return store

    @contextmanager
    def used(self) -> Iterator[None]:
        """The environment in which this process reaches it."""
        with patch.dict(os.environ, {**self.environment, "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}):
            yield

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
