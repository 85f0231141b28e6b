"""Passes over the data, each training every member that is at the same epoch.

The batch is read, made and turned into an input once; the members take their steps on it in packs.
Shape suffixes: D draws, N examples, B batch, C channels, L length, F = C x L features.
"""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import torch

from spectral_search.errors import RequestError
from spectral_search.models.ridge_regression import RidgeAccumulator, RidgeSolution
from spectral_search.record.epoch_log import EpochRecord
from spectral_search.spec.run import TrialConfig
from spectral_search.task.counter import counter_seed
from spectral_search.task.training import Reader, TrainBatch, TrainingSet, Wanted
from spectral_search.train.admission import Admission
from spectral_search.train.member import Member, MemberKey, NonFiniteLossError
from spectral_search.train.network import Network, ResidualOnRidge
from spectral_search.train.pack import Pack, make_packs
from spectral_search.train.prediction import predict, rows_at_once
from spectral_search.train.process_memory import is_out_of_memory, keep_freed_memory
from spectral_search.train.teacher import Teacher
from spectral_search.train.teacher_files import require_same_teacher
from spectral_search.train.technique_faults import metric_named
from spectral_search.train.techniques.augmentation import augmented, require_mixable
from spectral_search.train.techniques.loss import Loss, loss_for

# Apart from fit.batch_size, so that members of any batch size share the sums of one Ridge.
RIDGE_BATCH = 2048


class Trainer:
    """The data of a search on one device, and the passes over it.

    Args:
        dataset: What the task has prepared.
        device: Where to train.
        reader: What reads examples that do not stay in memory.
        share: Part of the device that this process may fill.
        allow_oversize: Whether to train networks that are estimated not to fit into memory.
    """

    def __init__(
        self,
        dataset: TrainingSet,
        device: torch.device,
        reader: Reader = "thread",
        share: float = 1.0,
        allow_oversize: bool = False,
    ) -> None:
        keep_freed_memory()
        self.dataset, self.device = dataset, device
        self.data = dataset.on_device(device, share=share, reader=reader)
        self.admission = Admission(device, self.data.examples, self.data.values, allow_oversize=allow_oversize)
        # Weak, so that a member that left no longer counts as taking memory.
        self._members: WeakSet[Member] = WeakSet()
        self._packs: list[Pack] = []
        self._most: int | None = None
        self._ridge_sums: tuple[str, RidgeAccumulator] | None = None
        self._teachers: dict[str, Teacher] = {}
        self._losses: dict[Loss, Loss] = {}
        self._losses_of_mean: dict[Loss, float] = {}

    def member(self, number: int, config: TrialConfig, pass_seed: int | None = None) -> Member:
        """A freshly initialised member, a function of (config.fit.seed, number).

        Args:
            number: The trial's number.
            config: What it trains.
            pass_seed: Of the order of the examples and their random draws; fit.seed when absent.

        Raises:
            TooLargeError: Its network cannot fit into memory.
            NoRoomError: It does not fit beside what is there now.
        """
        self._packs = []  # a member that left is otherwise kept until the next pass, with all that it holds
        self.admission.check(config, lambda: [(member.config, member.has_stepped) for member in self._members])
        teacher = self._teacher(config)  # before the weights are drawn: its own are drawn too, and written over
        torch.manual_seed(counter_seed(config.fit.seed, "initialisation", number))
        network = self._network(config)
        if isinstance(network.model, ResidualOnRidge):
            ridge = self._ridge(config)
            network.model.get_buffer("ridge_weight_F").copy_(ridge.weight_F)
            network.model.get_buffer("ridge_bias").fill_(ridge.bias)
        steps, name = self.data.steps(config), self.data.examples_name
        member = Member(number, network, steps, self.data.objective, pass_seed, name)
        member.loss = self._fitting(member.loss)
        require_mixable(config.fit, member.loss)
        if teacher is not None:
            member.learn_from(teacher)
        if config.fit.plateau_metric is not None:
            member.plateau_metric = metric_named(config.fit.plateau_metric, self.data.metrics)
        self._members.add(member)
        return member

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
        examples = self._pass(members)
        trained = time.perf_counter()
        # All averages at once, since a pack predicts for all its members together.
        with ExitStack() as measured:
            for member in members:
                measured.enter_context(member.average.in_place())
            predictions = self.predict(members, self.dataset.val)
        results: dict[MemberKey, EpochRecord | NonFiniteLossError] = {}
        for member, predicted_DN in zip(members, predictions, strict=True):
            val_scores = self.data.val_scores(predicted_DN)
            try:
                loss_of_mean = self._loss_of_mean(member.loss)
                record = member.end_epoch(val_scores, trained - started, examples, loss_of_mean)
            except NonFiniteLossError as error:
                # Kept and not raised: the others of the pass have finished their epoch.
                results[member.key] = error
            else:
                results[member.key] = record
        return results

    def _network(self, config: TrialConfig) -> Network:
        """A freshly initialised network that knows what all are told of the data."""
        network = Network(config, self.data.shape(config), self.device)
        buffers = dict(network.model.named_buffers())
        for name, value in self.data.constants.items():
            if name in buffers:
                buffers[name].copy_(value)
        return network

    def _teacher(self, config: TrialConfig) -> Teacher | None:
        """Whom a trial learns from, read once.

        Raises:
            RequestError: It is not the one that the run began with, or reads what is not at hand.
        """
        distill = config.fit.distill
        # At a weight of 0 nothing of the teacher counts, so that its file is not read either.
        if distill.model is None or distill.weight == 0.0:
            return None
        if distill.model not in self._teachers:
            model = require_same_teacher(distill)
            self._teachers[distill.model] = Teacher(Path(distill.model) if model is None else model, self._network)
        teacher = self._teachers[distill.model]
        try:
            sources = self.data.source(teacher.config), self.data.source(config)
        except ValueError as error:
            raise RequestError(f"fit.distill.model: {error}: let the search read the teacher's input too.") from error
        if sources[0] != sources[1]:
            raise RequestError(
                f"fit.distill.model reads {sources[0]} and this network {sources[1]}: give both inputs of one kind."
            )
        return teacher

    def _fitting(self, loss: Loss) -> Loss:
        """The loss as the training targets need it, which are looked at once."""
        if loss not in self._losses:
            self._losses[loss] = loss_for(loss, self.data.targets())
        return self._losses[loss]

    def _loss_of_mean(self, loss: Loss) -> float:
        """The training loss of always predicting the mean label: for mse the variance of the standardised label, 1."""
        if loss not in self._losses_of_mean:
            target_N = self.data.targets()
            self._losses_of_mean[loss] = float(loss.of_each(loss.of_no_input(target_N), loss.answers(target_N)).mean())
        return self._losses_of_mean[loss]

    def _pass(self, members: list[Member]) -> int:
        """One pass for the members of each source of batches; gives examples of each."""
        by_source: dict[str, list[Member]] = {}
        for member in members:
            by_source.setdefault(self.data.source(member.config), []).append(member)
        return max(self._pass_over(source, sharing) for source, sharing in by_source.items())

    def _pass_over(self, source: str, members: list[Member]) -> int:
        # Counted from 1: the order of epoch 0 is that of the Ridge's pass.
        seed, size, epoch, examples = members[0].pass_seed, members[0].config.fit.batch_size, members[0].epoch + 1, 0
        counter = seed, "noise", epoch
        recipes = {m.train_key: m.recipe for m in members if m.recipe.changes}
        teachers = {recipe.teacher for recipe in recipes.values() if recipe.teacher is not None}
        for batch in self.data.batches(self._wanted(members, teachers), source, size, (seed, epoch), counter):
            if recipes:
                batch = augmented(batch, recipes, seed, epoch)
            self._step(members, batch)
            examples += len(batch)
        return examples

    def _wanted(self, members: list[Member], teachers: Iterable[Teacher] = ()) -> dict[str, Wanted]:
        """The inputs that networks read, by key, in the narrowest format that loses none of them anything."""
        read = [(member.network.input_key, Wanted(member.config, member.network.input_format)) for member in members]
        read += [(teacher.input_key, teacher.wanted) for teacher in teachers]
        formats: dict[str, set[torch.dtype]] = {}
        for key, wanted in read:
            formats.setdefault(key, set()).add(wanted.format)
        return {key: Wanted(wanted.config, reduce(torch.promote_types, formats[key])) for key, wanted in read}

    def _step(self, members: list[Member], batch: TrainBatch) -> None:
        """Let every member take its step, in smaller packs from here on should memory run out."""
        waiting = list(self._packs_of(members))
        while waiting:
            pack = waiting.pop(0)
            try:
                pack.compute(batch)
            except (RuntimeError, MemoryError) as error:
                if len(pack.members) == 1 or not is_out_of_memory(error):
                    raise
            else:
                pack.update()
                continue
            # Out of the handler, whose traceback holds what the step had allocated.
            self._most = (len(pack.members) + 1) // 2
            self._packs = []
            # Only these try again: packs that were at work before them have taken their step on this batch.
            waiting[:0] = make_packs(pack.members, self._most)

    def _packs_of(self, members: list[Member]) -> list[Pack]:
        """The members in packs, which stay as they are until members join or leave."""
        packed = [member for pack in self._packs for member in pack.members]
        # In any order: packs go by groups of members that are alike, and so does not the pass.
        if sorted(map(id, packed)) != sorted(map(id, members)):
            self._packs = []
            # With the old packs gone, what only they hold does not lie in memory beside the new ones.
            self._packs = list(make_packs(members, self._most))
        return self._packs

    def predict(self, members: list[Member], examples: Any) -> list[np.ndarray]:
        """Predictions of every member in the unit of the labels for every draw of some examples, each (D, N, ...)."""
        packs, rows = self._packs_of(members), rows_at_once(members[0].config.fit.batch_size)
        made = predict(packs, self.data.measured(examples), self._wanted(members), self.data.scale, rows)
        # Packs are in an order of their own, and their predictions with them.
        keys = [member.key for pack in packs for member in pack.members]
        predicted = dict(zip(keys, made, strict=True))
        return [predicted[member.key] for member in members]

    def _ridge(self, config: TrialConfig) -> RidgeSolution:
        """Ridge on one pass over the training examples; its sums are kept for members with other penalties."""
        # The seed is part of it, since the order and the noise of the Ridge's pass are drawn by it.
        key = f"{config.data.input.model_dump_json()} {config.fit.seed}"
        if self._ridge_sums is None or self._ridge_sums[0] != key:
            sums = RidgeAccumulator(self.data.shape(config).features, self.device)
            for x_BF, y_B in self._ridge_batches(config):
                sums.update(x_BF, y_B)
            self._ridge_sums = key, sums
        return self._ridge_sums[1].solve([config.fit.ridge_alpha])[0]

    def _ridge_batches(self, config: TrialConfig) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        seed, wanted = config.fit.seed, {"x": Wanted(config, torch.float32)}
        for batch in self.data.batches(wanted, self.data.source(config), RIDGE_BATCH, (seed, 0), (seed, "ridge")):
            yield batch.inputs["x"].flatten(1), batch.target_B
