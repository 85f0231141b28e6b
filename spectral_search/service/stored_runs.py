"""Copies of runs in object stores: places that are looked at before they are used, and runs fetched from them."""

from dataclasses import replace

from spectral_search.errors import RequestError
from spectral_search.places import is_store_url
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import NameTakenError, RunPaths, results_root
from spectral_search.service.run_options import HERE, RunOptions
from spectral_search.service.shown import Shown
from spectral_search.spec.run import RunSpec


def require_copy_place(spec: RunSpec, name: str, paths: RunPaths | None = None) -> None:
    """Refuse a run whose copy could not be made, before any work.

    Args:
        spec: The run's.
        name: Its name.
        paths: The run; None where it is yet to begin.

    Raises:
        RequestError: The place holds another run or a later moment of this one, or cannot be written; or the study lies
            in a database of its own.
    """
    place = spec.resources.place_of_copy(name)
    if place is None:
        return
    if spec.search.storage is not None:
        raise RequestError(
            "resources.copy_to copies a run with its study, and search.storage keeps this one elsewhere: leave one of "
            "the two out."
        )
    from spectral_search.record.stored_run import StoredRun

    try:
        StoredRun(place, "--copy-to").require_of(paths)
    except RequestError as error:
        remedy = "--copy-to none goes on without a copy."
        raise RequestError(*error.faults[:-1], f"{error.faults[-1]} ({remedy})") from None


def copy_again(spec: RunSpec, paths: RunPaths, shown: Shown) -> None:
    """Copy a finished run as it is to where its spec says, as its last copy may have failed.

    Args:
        spec: The run's.
        paths: The run; the caller holds it.
        shown: Where it is told.

    Raises:
        RequestError: As `require_copy_place`, or the store does not take it.
    """
    place = spec.resources.place_of_copy(paths.name)
    if place is None:
        return
    paths.require_writable()
    require_copy_place(spec, paths.name, paths)
    from spectral_search.record.stored_run import StoredRun
    from spectral_search.run.run_copier import RunCopier

    stored = StoredRun(place, "--copy-to")
    RunCopier(stored, paths, shown.say, spec.resources.copy_seconds).round()
    shown.say(f"Run {paths.name} is finished, and {stored.url} holds all of it.")


def fetched_run(named: str, options: RunOptions, shown: Shown) -> tuple[str, RunOptions]:
    """The name of a run, and the options to go on with it.

    One that is named by the URL of its copy is fetched into the results folder first, and goes on being copied to where
    it came from if the options say nothing else. A finished one that nothing extends is not copied back.

    Args:
        named: A name or a URL.
        options: As given.
        shown: Where progress is shown.

    Raises:
        RequestError: The URL holds no copy, or something of its name is in the results folder already.
    """
    if not is_store_url(named):
        return named, options
    from spectral_search.record.stored_run import StoredRun

    stored = StoredRun(named, "The run")
    paths = RunPaths(results_root(options.results), stored.name)
    try:
        stored.fetch(paths, shown.progress(f"fetching {stored.url} (files)"))
    except NameTakenError:
        raise RequestError(
            f"{paths.folder} is there already, and {stored.url} is not fetched over it: `resume {stored.name}` goes on "
            "with what is there; or give another folder with --results."
        ) from None
    shown.say(f"{stored.url} is in {paths.folder}.")
    _, mark, query = named.partition("?")
    source = f"{stored.url.rpartition('/')[0]}{mark}{query}"
    is_over = Manifest.load(paths.manifest_json).state == "finished" and not (options.trials or options.epochs)
    return stored.name, replace(options, copy_to=options.copy_to or (HERE if is_over else source))
