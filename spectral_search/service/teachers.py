"""The model that a search learns from, found and entered into its spec before anything is begun."""

from spectral_search.errors import RequestError
from spectral_search.service.found_model import find_model
from spectral_search.spec.grid import products
from spectral_search.spec.run import RunSpec
from spectral_search.spec.task_modules import DEFAULT_TASK
from spectral_search.task.registry import task_of


def with_teacher(spec: RunSpec, results: str | None) -> RunSpec:
    """The spec with the place of its teacher in full and the digest of what it computes with.

    Args:
        spec: The search.
        results: The results folder, for the name of a run.

    Raises:
        RequestError: There is no such model, it is of another task, or it is not the one that the spec names.
    """
    from spectral_search.record.bundle import read_bundle_config
    from spectral_search.record.stack_bundle import is_stack
    from spectral_search.train.teacher_files import require_same_teacher, teacher_digest

    distill = spec.fit.distill
    varied = {*spec.space, *(key for part in products(spec.grid) for key in part)}
    if fixed := sorted(varied & {"fit.distill.model", "fit.distill.sha256"}):
        raise RequestError(f"{fixed[0]} cannot vary between trials; search fit.distill.weight, where 0 is no teacher.")
    if distill.model is None:
        return spec
    try:
        model = find_model(distill.model, results).absolute()
        config = read_bundle_config(model)
    except RequestError as error:
        raise RequestError(*(f"fit.distill.model: {fault}" for fault in error.faults)) from error
    named, own = task_of(str(config.get("task") or DEFAULT_TASK)).name, task_of(spec.task).name
    if named != own:
        raise RequestError(f"fit.distill.model: {model} is a model of {named}, and this search is of {own}.")
    if is_stack(config):
        raise RequestError(f"fit.distill.model: {model} is a stack, and what is learnt from is one network.")
    require_same_teacher(distill.model_copy(update={"model": str(model)}))
    return spec.override({"fit.distill.model": str(model), "fit.distill.sha256": teacher_digest(model)})
