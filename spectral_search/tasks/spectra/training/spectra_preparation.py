"""The spectra of a run on their way into memory: read once, watched, and held against what the run has read before."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event

from spectral_search.record.bundle import read_safetensors, to_safetensors
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.content import Passing
from spectral_search.tasks.spectra.shards.same_data import Reading, keep_content, parts_of
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.unread_blocks import AnyBlock, iter_unread
from spectral_search.tasks.spectra.spectra_plan import SpectraPlan
from spectral_search.tasks.spectra.training.prepare_dataset import Compressing, Prepared, needs_ranking, prepare
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.training.residency import loads_on_ray


class SpectraPreparation:
    """See `task.preparation.Preparation`.

    Args:
        plan: The spectra.
        paths: The run's folder.
        told: Hears how many spectra are compressed, and how many there are.
    """

    def __init__(self, plan: SpectraPlan, paths: RunPaths, told: Callable[[int, int], None]) -> None:
        self._plan, self._paths, self._told = plan, paths, told
        self._reading = Reading(plan.splits)

    @property
    def goes_ahead(self) -> bool:
        """Not where Ray's processes are to read, or LightGBM to rank pixels for long."""
        resources, spec = self._plan.spec.resources, self._plan.spec
        return not needs_ranking(spec) and not any(
            loads_on_ray(resources, part) for part in parts_of(self._plan.splits).values()
        )

    def prepare(self, *, on_ray: bool = False, abandoned: Event | None = None) -> Prepared:
        plan, known = self._plan, self._paths.preprocessing_safetensors
        prep = Preprocessing.from_arrays(read_safetensors(known)[0]) if known.exists() else plan.prep

        def unread(selection: Selection) -> Iterator[AnyBlock]:
            return self._reading.watch(selection, self._unread(selection, on_ray=on_ray, abandoned=abandoned))

        def read(selection: Selection, noisy: bool) -> Iterator[Block]:
            return self._blocks(selection, noisy, on_ray=on_ray, abandoned=abandoned)

        compressing = Compressing(told=self._told, seen=self._reading.know, unread=unread)
        return prepare(plan.spec, plan.splits, self._reading.watched(read), prep, compressing)

    def _blocks(self, selection: Selection, noisy: bool, *, on_ray: bool, abandoned: Event | None) -> Iterator[Block]:
        if on_ray and loads_on_ray(self._plan.spec.resources, selection):
            from spectral_search.tasks.spectra.shards.ray_blocks import iter_selection_ray  # a second to import

            return iter_selection_ray(selection, noisy, hashed=True)
        blocks = iter_blocks(selection, noisy, hashed=True)
        return blocks if abandoned is None else _until(blocks, abandoned)

    def _unread(self, selection: Selection, *, on_ray: bool, abandoned: Event | None) -> Iterator[AnyBlock]:
        if on_ray and loads_on_ray(self._plan.spec.resources, selection):
            return iter(self._blocks(selection, False, on_ray=on_ray, abandoned=abandoned))
        blocks = iter_unread(selection, hashed=True)
        return blocks if abandoned is None else _until(blocks, abandoned)

    def keep(self, prepared: Prepared, say: Callable[[str], None]) -> Prepared:
        """The preprocessing is fitted once and then belongs to the run."""
        keep_content(self._paths, self._plan.splits, self._reading)
        for note in prepared.notes:
            say(note)
        if not self._paths.preprocessing_safetensors.exists():
            prep = prepared.dataset.prep
            if self._plan.root.wave_angstrom_L is not None:
                prep = replace(prep, wave_angstrom_L=self._plan.root.wave_angstrom_L)
            write_atomic(self._paths.preprocessing_safetensors, to_safetensors(prep.to_arrays()))
        return prepared


def _until(blocks: Iterator[Passing], abandoned: Event) -> Iterator[Passing]:
    def look(block: Block) -> None:
        if abandoned.is_set():
            raise RuntimeError("nobody wants the spectra any more")

    for block in blocks:
        yield block.then(look)
