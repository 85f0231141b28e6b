"""The verbs of spectral_search as plain functions, for the command line and for notebooks alike.

`from spectral_search import service; service.run(...)` finds each name in the module that defines it when it is first
asked for, and what is heavy (torch, ray, optuna) is imported by the verb that needs it: specs, plans and refusals
answer at once.
"""

from importlib import import_module
from typing import Any

_DEFINED_IN = {
    "service.run_options": ("RunOptions",),
    "service.shown": ("Shown", "silent"),
    "service.plans": ("plan", "run_name", "train_spec"),
    "service.runs": ("run", "begin", "search", "resume", "stop", "status", "follow", "all_runs"),
    "service.retries": ("retry",),
    "service.trained_models": ("best", "export", "export_unlike", "evaluate", "predict"),
    "service.stacks": ("stack",),
    "service.data_sets": ("simulate", "inspect"),
    "service.reference_methods": ("baselines", "audit"),
    "service.reports": ("report", "compare", "stop_signals"),
    "service.submissions": ("Destination", "submit"),
    "service.jobs": ("all_jobs", "logs"),
    "service.live_page": ("dashboard",),
    "service.caches": ("cache",),
    "service.benchmark": ("bench",),
    "spec.load": ("list_specs", "load_spec"),
    "record.run_records": ("run_document",),
}
_MODULE_OF = {name: f"spectral_search.{module}" for module, names in _DEFINED_IN.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"spectral_search.service has no {name}: it has {', '.join(sorted(_MODULE_OF))}.")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(_MODULE_OF)
