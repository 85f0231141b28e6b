"""Passes over the data, each training every member that is at the same epoch.

The batch is read, noised and turned into an input once; the members take their steps on it in packs.
Shape suffixes: D noise draws, N spectra, B batch, C channels, L pixels, F = C x L features.
"""

import time
from collections.abc import Iterable
from functools import reduce
from weakref import WeakSet

import numpy as np
import torch

from spectral_search.models.ridge_regression import RidgeAccumulator, RidgeSolution
from spectral_search.spec.data import SUBSPACE_INPUTS, InputSpec
from spectral_search.spec.run import TrialConfig
from spectral_search.task.counter import counter_seed
from spectral_search.tasks.spectra.scores import scores
from spectral_search.tasks.spectra.signal.components import ComponentBatch, ComponentSource
from spectral_search.tasks.spectra.training.dataset import Dataset, Frozen, shared_tensor
from spectral_search.tasks.spectra.training.frozen_inputs import FrozenInputs, keep_bytes
from spectral_search.tasks.spectra.training.input_feed import Feed, Wanted
from spectral_search.tasks.spectra.training.input_transforms import InputTransform
from spectral_search.tasks.spectra.training.streamed_spectra import ReadBlocks, read_plainly
from spectral_search.tasks.spectra.training.train_source import train_source
from spectral_search.tasks.spectra.training.training_batches import Batch, TrainSource
from spectral_search.train.admission import Admission
from spectral_search.train.member import LOSSES, EpochRecord, Member, MemberKey, NonFiniteLossError
from spectral_search.train.network import Network, ResidualOnRidge, eval_rows
from spectral_search.train.pack import Pack, make_packs
from spectral_search.train.process_memory import is_out_of_memory, keep_freed_memory

RIDGE_BATCH = 2048


class Trainer:
    """The data of a search on one device, and the passes over it.

    Args:
        dataset: Training spectra, frozen val spectra, preprocessing.
        device: Where to train.
        read_blocks: How streamed spectra are read; by a thread unless Ray Data is handed in.
        share: Part of the device that this process may fill.
        allow_oversize: Whether to train networks that are estimated not to fit into memory.
    """

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        read_blocks: ReadBlocks = read_plainly,
        share: float = 1.0,
        allow_oversize: bool = False,
    ) -> None:
        keep_freed_memory()
        self.dataset, self.device = dataset, device
        self.admission = Admission(device, dataset.train_spectra, dataset.prep.pixels, allow_oversize=allow_oversize)
        self._members: WeakSet[Member] = WeakSet()
        self._pixels = None if dataset.train is None else train_source(dataset, device, read_blocks, share)
        self._components = None if dataset.components is None else ComponentSource(dataset.components, device)
        self._transforms: dict[str, InputTransform] = {}
        self._feed = Feed(dataset.noise_level, device)
        self._val = FrozenInputs(dataset.val, device, keep_bytes(device, share))
        self._packs: list[Pack] = []
        self._most: int | None = None
        self._ridge_sums: tuple[str, RidgeAccumulator] | None = None
        self._losses_of_mean: dict[str, float] = {}

    def member(self, number: int, config: TrialConfig, pass_seed: int | None = None) -> Member:
        """A freshly initialised member, a function of (config.fit.seed, number).

        Args:
            number: The trial's number.
            config: What it trains.
            pass_seed: Of the order of the spectra and their training noise; fit.seed when absent.

        Raises:
            TooLargeError: Its network cannot fit into memory.
            NoRoomError: It does not fit beside what is there now.
        """
        self._packs = []  # a member that left is otherwise kept until the next pass, with all that it holds
        self.admission.check(config, lambda: [(member.config, member.has_stepped) for member in self._members])
        torch.manual_seed(counter_seed(config.fit.seed, "initialisation", number))
        network = Network(config, self.dataset.prep, self.device)
        if isinstance(network.model, ResidualOnRidge):
            ridge = self._ridge(config)
            network.model.get_buffer("ridge_weight_F").copy_(ridge.weight_F)
            network.model.get_buffer("ridge_bias").fill_(ridge.bias)
        member = Member(number, network, self._source(config).steps(config.fit.batch_size), pass_seed)
        self._members.add(member)
        return member

    def _source(self, config: TrialConfig) -> TrainSource | ComponentSource:
        """Where a trial's training spectra come from: in components where its input is made of them, else in pixels."""
        if config.data.input.kind in SUBSPACE_INPUTS and self._components is not None:
            return self._components
        if self._pixels is None:
            raise ValueError(f"this dataset holds no spectra for the input {config.data.input.kind}")
        return self._pixels

    def transform(self, spec: InputSpec) -> InputTransform:
        """The input of a spec, made once and shared by all members that use it."""
        key = spec.model_dump_json()
        if key not in self._transforms:
            self._transforms[key] = InputTransform(spec, self.dataset.prep, self.dataset.noise_level, self.device)
        return self._transforms[key]

    def run_epoch(self, members: list[Member]) -> dict[MemberKey, EpochRecord | NonFiniteLossError]:
        """Train all members for one epoch in one pass.

        Args:
            members: At the same epoch, with the same seed of their pass and batch size.

        Returns:
            By key of the member: the epoch's record, or why that member failed.

        Raises:
            ValueError: The members cannot share a pass.
        """
        if len({(m.epoch, m.pass_seed, m.config.fit.batch_size) for m in members}) != 1:
            raise ValueError("members of one pass share epoch, seed and batch size")
        started = time.perf_counter()
        for member in members:
            member.begin_epoch()
        spectra = self._pass(members)
        trained = time.perf_counter()
        results: dict[MemberKey, EpochRecord | NonFiniteLossError] = {}
        for member, predicted_DN in zip(members, self.predict(members, self.dataset.val), strict=True):
            val_scores = scores(predicted_DN, np.broadcast_to(self.dataset.val.log_g_N, predicted_DN.shape))
            try:
                loss_of_mean = self._loss_of_mean(member)
                record = member.end_epoch(val_scores, trained - started, spectra, loss_of_mean)
            except NonFiniteLossError as error:
                results[member.key] = error
            else:
                results[member.key] = record
        return results

    def _loss_of_mean(self, member: Member) -> float:
        """The training loss of always predicting the mean label: for mse the variance of the standardised label, 1."""
        kind = member.config.fit.loss
        if kind not in self._losses_of_mean:
            target_N = member.network.standardise(shared_tensor(self.dataset.train_log_g_N))
            self._losses_of_mean[kind] = float(LOSSES[kind](torch.zeros_like(target_N), target_N).mean())
        return self._losses_of_mean[kind]

    def _pass(self, members: list[Member]) -> int:
        """One pass for members that read pixels, and one for those that read components; gives spectra of each."""
        by_source: dict[TrainSource | ComponentSource, list[Member]] = {}
        for member in members:
            by_source.setdefault(self._source(member.config), []).append(member)
        return max(self._pass_over(source, sharing) for source, sharing in by_source.items())

    def _pass_over(self, source: TrainSource | ComponentSource, members: list[Member]) -> int:
        seed, size, epoch, spectra = members[0].pass_seed, members[0].config.fit.batch_size, members[0].epoch + 1, 0
        wanted = self._wanted(members)
        for batch in source.epoch(seed, epoch, size):
            inputs = self._feed.inputs(batch, wanted, seed, "noise", epoch, batch.index)
            self._step(members, inputs, batch)
            spectra += len(batch.log_g_B)
        return spectra

    def _wanted(self, members: list[Member]) -> dict[str, Wanted]:
        """The inputs that members read, by key, in the narrowest format that loses none of them anything."""
        formats: dict[str, set[torch.dtype]] = {}
        for member in members:
            formats.setdefault(member.network.input_key, set()).add(member.network.input_format)
        return {
            member.network.input_key: Wanted(
                self.transform(member.config.data.input),
                reduce(torch.promote_types, formats[member.network.input_key]),
            )
            for member in members
        }

    def _step(self, members: list[Member], inputs: dict[str, torch.Tensor], batch: Batch | ComponentBatch) -> None:
        """Let every member take its step, in smaller packs from here on should memory run out."""
        waiting = list(self._packs_of(members))
        while waiting:
            pack = waiting.pop(0)
            try:
                pack.compute(inputs[pack.members[0].network.input_key], batch)
            except (RuntimeError, MemoryError) as error:
                if len(pack.members) == 1 or not is_out_of_memory(error):
                    raise
            else:
                pack.update()
                continue
            # Out of the handler, whose traceback holds what the step had allocated.
            self._most = (len(pack.members) + 1) // 2
            self._packs = []
            waiting[:0] = make_packs(pack.members, self._most)

    def _packs_of(self, members: list[Member]) -> list[Pack]:
        """The members in packs, which stay as they are until members join or leave."""
        packed = [member for pack in self._packs for member in pack.members]
        if sorted(map(id, packed)) != sorted(map(id, members)):
            self._packs = []
            self._packs = list(make_packs(members, self._most))
        return self._packs

    @torch.no_grad()
    def predict(self, members: list[Member], frozen: Frozen) -> list[np.ndarray]:
        """Predicted log g in dex of every member for every frozen draw, each of shape (D, N)."""
        known = self._val if frozen is self.dataset.val else FrozenInputs(frozen, self.device, keep_bytes=0)
        predicted = {member.key: np.empty((known.draws, known.count), np.float32) for member in members}
        packs, rows = self._packs_of(members), eval_rows(members[0].config.fit.batch_size)
        for part in known.parts(self._wanted(members), rows):
            for pack in packs:
                network = pack.members[0].network
                output_KB = pack.outputs(part.inputs[network.input_key], part.bin_B)
                for member, output_B in zip(pack.members, network.to_dex(output_KB).cpu().numpy(), strict=True):
                    predicted[member.key][part.draw, part.rows] = output_B
        return [predicted[member.key] for member in members]

    def _ridge(self, config: TrialConfig) -> RidgeSolution:
        """Ridge on one noisy pass over the training spectra; its sums are kept for members with other penalties."""
        key = f"{config.data.input.model_dump_json()} {config.fit.seed}"
        if self._ridge_sums is None or self._ridge_sums[0] != key:
            transform = self.transform(config.data.input)
            sums = RidgeAccumulator(transform.channels * transform.pixels, self.device)
            for x_BF, y_B in self._ridge_batches(config):
                sums.update(x_BF, y_B)
            self._ridge_sums = key, sums
        return self._ridge_sums[1].solve([config.fit.ridge_alpha])[0]

    def _ridge_batches(self, config: TrialConfig) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        prep, wanted = self.dataset.prep, {"x": Wanted(self.transform(config.data.input), torch.float32)}
        for batch in self._source(config).epoch(config.fit.seed, 0, RIDGE_BATCH):
            x_BCL = self._feed.inputs(batch, wanted, config.fit.seed, "ridge", batch.index)["x"]
            yield x_BCL.flatten(1), (batch.log_g_B - prep.target_mean_dex) / prep.target_std_dex
