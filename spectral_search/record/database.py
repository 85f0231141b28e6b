"""SQLite files as the URLs that SQLAlchemy and Optuna take, and back, whatever the path is called.

A path is written as SQLite's own `file:` URI (https://sqlite.org/uri.html) inside SQLAlchemy's URL, each quoted by its
own rules: `#`, `?`, `%` and blanks mean something in both, braces to Optuna, and what SQLAlchemy quotes differs between
its versions.
"""

from pathlib import Path
from urllib.parse import quote, unquote

from spectral_search.errors import RequestError


def sqlite_url(file: Path, mode: str = "rwc") -> str:
    """The URL of an SQLite file.

    Args:
        file: The file.
        mode: ro reads, rw writes too, rwc also makes it.
    """
    from sqlalchemy.engine import URL

    database = f"file:{quote(str(file.absolute()))}"
    query = {"mode": mode, "uri": "true"}
    return URL.create("sqlite", database=database, query=query).render_as_string(hide_password=False)


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for another database, or one in memory.

    Raises:
        RequestError: It is no database URL.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        fault = f"The study's storage {url!r} is not a database URL; give one such as sqlite:////folder/study.db."
        raise RequestError(fault) from None
    name = parsed.database or ":memory:"
    if name.startswith("file:"):
        name = unquote(name.removeprefix("file:").partition("?")[0])
    in_memory = name in ("", ":memory:") or parsed.query.get("mode") == "memory"
    return None if in_memory or parsed.get_backend_name() != "sqlite" else Path(name)
