"""A place in an object store that speaks Amazon S3's protocol: objects listed, read and written, errors as sentences.

pyarrow finds what opens the store as Amazon's own tools do: in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in ~/.aws,
or in the role of the machine. Where the store is no Amazon's, AWS_ENDPOINT_URL or the URL itself says where.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit

from spectral_search.errors import RequestError
from spectral_search.places import store_place

_PIECE_BYTES = 16 << 20
"""Of an object that are asked for at once: enough that the way to the store does not count."""
_CLOCK_SECONDS = 2.0
"""What the time of an object in a list and in its own header may differ by: headers know no fractions."""
_REASON = re.compile(
    r"AWS Error (?P<code>[A-Z_]+)(?: \(HTTP status (?P<status>\d+)\))? "
    r"during \w+ operation: (?P<why>.*)"
)
_REFUSED_CODES = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_CLIENT_TOKEN_ID")
_REFUSED_STATUS = ("400", "401", "403")
_KEYS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with ~/.aws/credentials, to keys that may be used "
    "there"
)
_CONNECT_SECONDS = 5.0
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True, order=True)
class StoredObject:
    """An object in one state: one that is written anew has another time.

    Attributes:
        name: Bucket and key.
        nbytes: Its size.
        mtime_ns: When it was written, ns since the epoch; 0 where that is not known.
    """

    name: str
    nbytes: int
    mtime_ns: int


class ObjectChangedError(RequestError):
    """An object is not, or no more, what it was when its store was listed."""


class ObjectStore:
    """A place in an object store.

    Args:
        url: s3://BUCKET/KEY, see `places.store_place`.
        what: What gave it, such as "--copy-to".

    Raises:
        RequestError: The URL is none, or the region of its bucket cannot be found.
    """

    def __init__(self, url: str, what: str = "The place of data") -> None:
        self.place = store_place(url, what)
        self.url = url.partition("?")[0]
        with self._told():
            self._files = _opened(url, self.place.parts[0])

    def objects(self) -> tuple[StoredObject, ...]:
        """All objects at and below the place, by name; empty where there is none.

        Raises:
            RequestError: The store does not answer, does not let one in, or has an object that no file can be.
        """
        from pyarrow.fs import FileSelector, FileType

        with self._told():
            try:
                # Listed first: a list is answered with a reason where one is not let in, a look at one object is not.
                found = self._files.get_file_info(FileSelector(str(self.place), recursive=True))
            except FileNotFoundError:
                found = [self._files.get_file_info(str(self.place))]
            files = [info for info in found if info.type == FileType.File]
            # Some stores list times in a form that Amazon's client does not read; asked for one object it does.
            files = [info if info.mtime_ns else self._files.get_file_info(info.path) for info in files]
        for info in files:
            # The names of objects become paths of this machine.
            if str(PurePosixPath(info.path)) != info.path or ".." in PurePosixPath(info.path).parts:
                raise RequestError(f"{self.url} holds an object {info.path!r}, which no file can be: rename it.")
        return tuple(sorted(StoredObject(info.path, int(info.size), int(info.mtime_ns or 0)) for info in files))

    def read(self, found: StoredObject, file: Path, heard: Callable[[int], None]) -> None:
        """Write an object into a file, which is then durable and has the object's time.

        Args:
            found: The object, as it was listed.
            file: A new file.
            heard: Told how many bytes came; what it raises ends the reading.

        Raises:
            ObjectChangedError: The object is another by now.
            RequestError: The store does not answer, or does not let one in.
            OSError: The file cannot be written.
        """
        with self._told():
            stream = self._files.open_input_stream(found.name)
        with stream, open(file, "xb") as written:
            if not _is_of(stream.metadata(), found):
                raise ObjectChangedError(self._changed(found))
            while True:
                with self._told():
                    piece = stream.read(_PIECE_BYTES)
                if not piece:
                    break
                written.write(piece)
                heard(len(piece))
            if written.tell() != found.nbytes:
                raise ObjectChangedError(self._changed(found))
            written.flush()
            os.fsync(written.fileno())
        if found.mtime_ns:
            os.utime(file, ns=(found.mtime_ns, found.mtime_ns))

    def write(self, name: str, source: IO[bytes], nbytes: int, heard: Callable[[int], None]) -> str:
        """Make or replace an object; the SHA-256 of what it holds.

        Args:
            name: Its key below the place.
            source: What is written, as far as it is to be.
            nbytes: How much of it.
            heard: Told how many bytes went; what it raises ends the writing.

        Raises:
            RequestError: The store does not answer, or does not let one in.
            OSError: The source cannot be read, or has less.
        """
        content, left = sha256(), nbytes
        with self._told():
            stream = self._files.open_output_stream(str(self.place / name))
        while left:
            piece = source.read(min(left, _PIECE_BYTES))
            if not piece:
                raise EOFError(f"{source.name} has become shorter")
            heard(len(piece))
            content.update(piece)
            left -= len(piece)
            with self._told():
                stream.write(piece)
        with self._told():
            stream.close()
        return content.hexdigest()

    def read_small(self, name: str) -> bytes | None:
        """What an object below the place holds; None where there is none.

        Raises:
            RequestError: The store does not answer, or does not let one in.
        """
        with self._told():
            try:
                with self._files.open_input_stream(str(self.place / name)) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def _changed(self, found: StoredObject) -> str:
        return f"s3://{found.name} was written while it was read: wait until it is whole, and try again."

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell in a sentence what a store answers."""
        try:
            yield
        except FileNotFoundError:
            raise ObjectChangedError(f"{self.url} has lost an object since it was listed: try again.") from None
        except (OSError, ValueError) as fault:
            raise RequestError(self._sentence(str(fault).partition("\n")[0])) from None

    def _sentence(self, text: str) -> str:
        found = _REASON.search(text)
        code, status, why = ("", "", text) if found is None else (found["code"], found["status"], found["why"])
        why = why.rpartition("Details: ")[2].rpartition("Message: ")[2].strip(" .")
        if code == "NO_SUCH_BUCKET":
            return f"There is no bucket {self.place.parts[0]} ({self.url}): name another, or check AWS_ENDPOINT_URL."
        if code in _REFUSED_CODES or status in _REFUSED_STATUS:
            return f"{self.url} does not let you in ({why or code}): {_KEYS}."
        return f"{self.url} cannot be reached ({why or code}): check the URL, the network and AWS_ENDPOINT_URL."


def _opened(url: str, bucket: str) -> Any:
    """pyarrow's file system of a store."""
    from pyarrow.fs import S3FileSystem, resolve_s3_region  # not before there is a URL

    given = dict(parse_qsl(urlsplit(url).query))
    environment = next((os.environ[name] for name in _ENDPOINT_VARIABLES if os.environ.get(name)), "")
    scheme, _, host = environment.rpartition("://")
    endpoint, region = given.get("endpoint_override") or host.rstrip("/"), given.get("region")
    if endpoint:
        # Amazon's newer clients add checksums to what they write in a form that most other stores do not know.
        os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    elif region is None and not any(os.environ.get(name) for name in _REGION_VARIABLES):
        region = resolve_s3_region(bucket)
    return S3FileSystem(
        endpoint_override=endpoint or None,
        scheme=given.get("scheme") or (scheme if endpoint == host.rstrip("/") else "") or "https",
        region=region,
        connect_timeout=_CONNECT_SECONDS,
        # What is small is then written by one request, and a write that is broken off leaves nothing.
        allow_delayed_open=True,
    )


def _is_of(metadata: Any, found: StoredObject) -> bool:
    """Whether what is read is the object that was listed, as far as its header tells."""
    if not found.mtime_ns:
        return True  # it was not listed
    told = {str(name): bytes(value).decode(errors="replace") for name, value in (metadata or {}).items()}
    try:
        written = datetime.fromisoformat(told["Last-Modified"]).timestamp()
    except (KeyError, ValueError):
        return True  # the store does not say
    return abs(written - found.mtime_ns / 1e9) <= _CLOCK_SECONDS
