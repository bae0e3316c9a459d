"""Where studies are kept: Optuna's storages, with errors of one sentence."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from pathlib import Path

OPEN_ATTEMPTS = 5
CONNECT_SECONDS = 10
LOCK_SECONDS = 120


class SearchError(RuntimeError):
    """A search that cannot go on; the message says why."""


def default_storage() -> str:
    """`TRADEOFFS_STORAGE`, or a sqlite file in the user's data folder."""
    chosen = os.environ.get("TRADEOFFS_STORAGE")
    if chosen:
        return chosen
    import platformdirs

    return str(platformdirs.user_data_path("tradeoffs") / "searches.sqlite3")


def storage_url(storage: str | None) -> str:
    """A URL; a path stands for a sqlite file.

    >>> storage_url("postgresql+psycopg://me@server/searches")
    'postgresql+psycopg://me@server/searches'
    """
    storage = str(storage or default_storage())
    if "://" in storage:
        return storage
    path = Path(storage).expanduser().absolute()
    with contextlib.suppress(OSError):  # sqlite says it better, on opening
        path.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{path}"


def open_storage(url: str, heartbeat_seconds: int):
    """Optuna's storage at a URL, made if it is not there yet.

    Raises:
        SearchError: it cannot be opened; the message says why.
    """
    from optuna.storages import RDBStorage

    with storage_errors(url), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are called experimental
        for attempt in range(OPEN_ATTEMPTS):
            try:
                return RDBStorage(
                    url,
                    engine_kwargs=_engine_options(url),
                    heartbeat_interval=heartbeat_seconds,
                    grace_period=4 * heartbeat_seconds,
                )
            except Exception as error:
                # Two processes that make the tables at once: one finds them
                # half made, and whole a moment later.
                made_at_once = "already exists" in str(error) or "UNIQUE" in str(error)
                made_at_once |= "unique constraint" in str(error)
                if not made_at_once or attempt == OPEN_ATTEMPTS - 1:
                    raise
                time.sleep(0.5)
    return None


def _engine_options(url):
    driver = url.partition(":")[0]
    if driver.startswith("sqlite"):
        return {"connect_args": {"timeout": LOCK_SECONDS}}
    # A connection that a server has dropped is opened again before its use.
    options = {"pool_pre_ping": True}
    if driver.startswith("postgresql"):
        options["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
    return options


@contextlib.contextmanager
def storage_errors(url: str):
    """Turn whatever goes wrong with a storage into one sentence."""
    import sqlalchemy.exc
    from optuna.exceptions import StorageInternalError

    shown = without_password(url)
    try:
        yield
    except SearchError:
        raise
    except ImportError as error:
        cause = error.__cause__ or error
        raise SearchError(
            f"the storage {shown} needs a driver that is not installed ({cause})"
        ) from error
    except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise SearchError(
            f"{shown!r} is not a storage; give a file, or a URL such as "
            f"postgresql+psycopg://user@server/database ({_first_line(error)})"
        ) from error
    except (sqlalchemy.exc.SQLAlchemyError, StorageInternalError) as error:
        inner = error.__cause__ or error
        raise SearchError(
            f"the storage {shown} cannot be read or written, or does not answer: "
            f"{_first_line(getattr(inner, 'orig', None) or inner)}"
        ) from error
    except RuntimeError as error:
        if "optuna" not in str(error).lower():
            raise
        raise SearchError(
            f"the storage {shown} was made by another version of Optuna: "
            f"{_first_line(error)}"
        ) from error


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    import sqlalchemy

    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


def _first_line(error):
    return (str(error).strip() or repr(error)).splitlines()[0]
