"""Whether a network fits a spectrum: what a spec asks of the number of pixels. Imports no torch."""

from spectral_search.errors import RequestError
from spectral_search.spec.model import CnnSpec, MlpSpec, ModelSpec, MoeCnnSpec, ResCnnSpec, VitSpec


def model_faults(spec: ModelSpec, *, pixels: int) -> list[str]:
    """Say why a network of this spec cannot read spectra of this many pixels.

    Args:
        spec: The `model` section.
        pixels: Pixels of one spectrum, per channel.

    Returns:
        One plain sentence a fault; empty when the network fits.
    """
    if pixels < 1:
        return [f"a spectrum of {pixels} pixels has nothing to learn from; give spectra of at least 1 pixel"]
    match spec:
        case MlpSpec():
            return _mlp_faults(spec)
        case CnnSpec():
            return _cnn_faults(spec, pixels)
        case MoeCnnSpec():
            return _cnn_faults(expert_spec(spec), pixels)
        case ResCnnSpec():
            return _res_cnn_faults(spec, pixels)
        case VitSpec():
            if spec.patch > pixels:
                return [f"model.patch is {spec.patch}, wider than a spectrum of {pixels} pixels; use at most {pixels}"]
            return []


def require_fit(spec: ModelSpec, *, pixels: int, channels: int) -> None:
    """Raise RequestError, all faults at once, when the network cannot read such spectra."""
    faults = model_faults(spec, pixels=pixels)
    if channels < 1:
        faults.append(f"the input has {channels} channels; a network needs at least 1")
    if faults:
        raise RequestError(*faults)


def expert_spec(spec: MoeCnnSpec) -> CnnSpec:
    """The single CNN that each expert of a mixture, and its learned gate, is."""
    shared = spec.model_dump(exclude={"kind", "gate"})
    return CnnSpec(kind="cnn", **shared)


def split_channels(channels: int, parts: int) -> list[int]:
    """Share channels among parts as evenly as whole numbers allow, the first parts taking the rest."""
    return [channels // parts + (part < channels % parts) for part in range(parts)]


def _mlp_faults(spec: MlpSpec) -> list[str]:
    # Normalising over one unit turns every activation into the same constant: the network would never learn.
    normed = spec.hidden if spec.norm_layers == "all" else spec.hidden[:1]
    if spec.norm in ("layer", "group") and 1 in normed:
        return [f"model.norm '{spec.norm}' over a hidden layer of width 1 is constant; use a width of 2 or more"]
    return []


def _cnn_faults(spec: CnnSpec, pixels: int) -> list[str]:
    faults = _wide("model.kernel_size", spec.kernel_size, pixels)
    depth = len(spec.channels)
    needed = spec.pool**depth
    if pixels < needed:
        faults.append(
            f"model.channels has {depth} layers, each pooling by {spec.pool}, which needs spectra of at least {needed} "
            f"pixels; these have {pixels}; use fewer layers or a smaller pool"
        )
    elif spec.average_to > pixels // needed:
        faults.append(
            f"model.average_to is {spec.average_to}, more than the {pixels // needed} positions that are left of "
            f"{pixels} pixels after pooling; use at most {pixels // needed}"
        )
    return faults


def _res_cnn_faults(spec: ResCnnSpec, pixels: int) -> list[str]:
    length = -(-pixels // spec.stem_stride)
    first = (
        ("model.parallel_kernels", max(spec.parallel_kernels))
        if spec.parallel_kernels
        else ("model.kernel_size", spec.kernel_size)
    )
    return (
        _wide("model.stem_kernel_size", spec.stem_kernel_size, pixels)
        or _wide(*first, length)
        or _wide("model.dilations", spec.kernel_size, length, max(spec.dilations))
    )


def _wide(key: str, kernel: int, pixels: int, dilation: int = 1) -> list[str]:
    span = (kernel - 1) * dilation + 1
    if span <= pixels:
        return []
    dilated = f" at dilation {dilation}" if dilation > 1 else ""
    return [f"{key}: a kernel of {kernel}{dilated} spans {span} pixels, more than the {pixels} it sees; use less"]
