"""Loops over numbers, written down with Python's operators and compiled by LLVM for the vectors of this CPU.

For the few loops that torch would do in many passes over memory. Compared with numba, which compiles Python itself,
it takes 0.3 s of CPU and 80 MB in each process that needs it, instead of more than 1 s, and keeps nothing on disk.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir

_I16, I32, I64, F32 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
F32_P, I16_P, I32_P, I64_P = F32.as_pointer(), _I16.as_pointer(), I32.as_pointer(), I64.as_pointer()
_C_TYPES: dict[ir.Type, Any] = {
    I32: ctypes.c_uint32,
    I64: ctypes.c_int64,
    F32: ctypes.c_float,
    F32_P: ctypes.c_void_p,
    I16_P: ctypes.c_void_p,
    I32_P: ctypes.c_void_p,
    I64_P: ctypes.c_void_p,
}
_FUSE = ("contract",)
"""The only liberty taken with floats: a multiplication and an addition are rounded once where the CPU can do that."""


class Value:
    """A value of the program: an operator writes an instruction and gives its result.

    Integers are of 32 bits without a sign or of 64 with one, floats of 32 bits; a Python number takes the type of what
    it is combined with. Integers and floats (bfloat16) of 16 bits are only loaded and stored. A pointer is indexed like
    an array, without a check.
    """

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self._builder, self.value = builder, value

    def _of(self, value: ir.Value) -> "Value":
        return Value(self._builder, value)

    def _other(self, other: "Value | float") -> ir.Value:
        return other.value if isinstance(other, Value) else ir.Constant(self.value.type, other)

    def _write(self, name: str, other: "Value | float") -> "Value":
        if self.value.type == F32:
            return self._of(getattr(self._builder, f"f{name}")(self.value, self._other(other), flags=_FUSE))
        return self._of(getattr(self._builder, name)(self.value, self._other(other)))

    def __add__(self, other: "Value | float") -> "Value":
        return self._write("add", other)

    def __sub__(self, other: "Value | float") -> "Value":
        return self._write("sub", other)

    def __mul__(self, other: "Value | float") -> "Value":
        return self._write("mul", other)

    def __truediv__(self, other: "Value | float") -> "Value":
        if self.value.type != F32:
            return self._of(self._builder.sdiv(self.value, self._other(other)))
        return self._write("div", other)

    def __xor__(self, other: "Value | int") -> "Value":
        return self._write("xor", other)

    def __and__(self, other: "Value | int") -> "Value":
        return self._write("and_", other)

    def __or__(self, other: "Value | int") -> "Value":
        return self._write("or_", other)

    def __lshift__(self, places: int) -> "Value":
        return self._write("shl", places)

    def __rshift__(self, places: int) -> "Value":
        return self._write("lshr" if self.value.type == I32 else "ashr", places)

    def low_bits(self) -> "Value":
        """The low 32 bits of an integer of 64."""
        return self._of(self._builder.trunc(self.value, I32))

    @property
    def is_of_halves(self) -> bool:
        """Whether it is a pointer to 16 bits each."""
        return bool(self.value.type == I16_P)

    def constant(self, kind: ir.Type, number: float) -> "Value":
        """A number where there is nothing that it could take its type of."""
        return self._of(ir.Constant(kind, number))

    def shifted_right(self, places: int) -> "Value":
        """An integer of 64 bits, read without a sign, shifted: zeros come in."""
        return self._of(self._builder.lshr(self.value, ir.Constant(I64, places)))

    def widened(self) -> "Value":
        """An integer of 16 bits as one of 32, here read with its sign."""
        return self._of(self._builder.sext(self.value, I32))

    def from_half(self) -> "Value":
        """The float of the 16 bits of a bfloat16."""
        return (self._of(self._builder.zext(self.value, I32)) << 16).as_float()

    def to_half(self) -> "Value":
        """The 16 bits of the nearest bfloat16, of two the even one."""
        bits = self.as_bits()
        # What is added carries into the bits that stay from above the middle on, and at the middle where they are odd.
        return self._of(self._builder.trunc(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).value, _I16))

    def at_least(self, other: "Value") -> "Value":
        """Whether an integer is no less than another, both read with their signs."""
        return self._of(self._builder.icmp_signed(">=", self.value, other.value))

    def is_positive(self) -> "Value":
        """Whether a float is above 0; NaN counts as such."""
        return self._of(self._builder.fcmp_unordered(">", self.value, ir.Constant(F32, 0.0)))

    def is_at_least_zero(self) -> "Value":
        """Whether an integer, read with its sign, is not below 0."""
        return self._of(self._builder.icmp_signed(">=", self.value, ir.Constant(self.value.type, 0)))

    def or_zero_unless(self, condition: "Value") -> "Value":
        """A float where a condition holds, elsewhere 0."""
        return self._of(self._builder.select(condition.value, self.value, ir.Constant(F32, 0.0)))

    def to_float(self) -> "Value":
        """The float that is nearest to an integer of 32 bits, here read with its sign."""
        return self._of(self._builder.sitofp(self.value, F32))

    def as_bits(self) -> "Value":
        """The bits of a float."""
        return self._of(self._builder.bitcast(self.value, I32))

    def as_float(self) -> "Value":
        """The float of these bits."""
        return self._of(self._builder.bitcast(self.value, F32))

    def sqrt(self) -> "Value":
        """The square root of a float."""
        root = self._builder.module.declare_intrinsic("llvm.sqrt", [F32])
        return self._of(self._builder.call(root, [self.value]))

    def or_zero_if_negative(self) -> "Value":
        """max(x, 0) of a float, but NaN stays."""
        zero = ir.Constant(F32, 0.0)
        negative = self._builder.fcmp_ordered("<", self.value, zero)
        return self._of(self._builder.select(negative, zero, self.value))

    def at_most(self, limit: float) -> "Value":
        """min(x, limit) of a float; NaN becomes the limit."""
        bound = ir.Constant(F32, limit)
        return self._of(self._builder.select(self._builder.fcmp_ordered("<", self.value, bound), self.value, bound))

    def clamped(self, low: float, high: float) -> "Value":
        """A float between two bounds, but NaN stays."""
        below, above = ir.Constant(F32, low), ir.Constant(F32, high)
        raised = self._builder.select(self._builder.fcmp_ordered("<", self.value, below), below, self.value)
        return self._of(self._builder.select(self._builder.fcmp_ordered(">", raised, above), above, raised))

    def where(self, condition: "Value", other: "Value") -> "Value":
        """A value where a condition holds, elsewhere another of its type."""
        return self._of(self._builder.select(condition.value, self.value, other.value))

    def from_word(self, kind: ir.Type) -> "Value":
        """What an integer of 64 bits holds of an argument: a pointer, an integer, or a float in its lower half."""
        if isinstance(kind, ir.PointerType):
            return self._of(self._builder.inttoptr(self.value, kind))
        if kind == I64:
            return self
        return self.low_bits() if kind == I32 else self.low_bits().as_float()

    def at(self, index: "Value") -> "Value":
        """The pointer to an element."""
        return self._of(self._builder.gep(self.value, [index.value]))

    def __getitem__(self, index: "Value") -> "Value":
        return self._of(self._builder.load(self.at(index).value))

    def __setitem__(self, index: "Value", value: "Value") -> None:
        self._builder.store(value.value, self.at(index).value)


class Program:
    """Functions, compiled together."""

    def __init__(self) -> None:
        self._module = ir.Module()
        self._builder = ir.IRBuilder()
        self._types: dict[str, tuple[ir.Type, ...]] = {}

    @contextmanager
    def function(self, name: str, *types: ir.Type) -> Iterator[list[Value]]:
        """What the block writes is a function of arguments of these types.

        What its pointers lead to must not overlap.
        """
        written = ir.Function(self._module, ir.FunctionType(ir.VoidType(), types), name)
        self._types[name] = types
        for argument in written.args:
            if isinstance(argument.type, ir.PointerType):
                # Otherwise LLVM tests for overlaps before each loop of vectors, or makes none.
                argument.add_attribute("noalias")
        self._builder.position_at_end(written.append_basic_block())
        yield [Value(self._builder, argument) for argument in written.args]
        self._builder.ret_void()

    def call(self, address: Value, *arguments: Value, gives: ir.Type | None = None) -> Value:
        """Call what lies at an address, an integer of 64 bits; what it gives is of a type, or nothing."""
        kind = ir.FunctionType(gives or ir.VoidType(), [argument.value.type for argument in arguments])
        function = self._builder.inttoptr(address.value, kind.as_pointer())
        return Value(self._builder, self._builder.call(function, [argument.value for argument in arguments]))

    def stored(self, value: Value) -> Value:
        """A pointer to a value, for those who take their arguments so; not within a loop."""
        place = self._builder.alloca(value.value.type)
        self._builder.store(value.value, place)
        return Value(self._builder, place)

    def of_words(self, name: str) -> None:
        """Write `{name}_of_words`, which does what a function does with arguments that lie in words of 64 bits each."""
        types, of = self._types[name], self._module.get_global(name)
        with self.function(f"{name}_of_words", I64_P) as (words,):
            arguments = [words[words.constant(I64, place)].from_word(kind).value for place, kind in enumerate(types)]
            self._builder.call(of, arguments)

    @contextmanager
    def loop(self, count: Value) -> Iterator[Value]:
        """What the block writes is done for each of 0 ... count - 1."""
        builder = self._builder
        before, body, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        builder.cbranch(builder.icmp_signed(">", count.value, I64(0)), body, after)
        builder.position_at_end(body)
        index = builder.phi(I64)
        index.add_incoming(I64(0), before)
        yield Value(builder, index)
        following = builder.add(index, I64(1))
        # Not `body`: a loop within this one has left the builder in a later block.
        index.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, count.value), body, after)
        builder.position_at_end(after)

    def compiled(self) -> dict[str, Callable[..., None]]:
        """The functions by name. They take pointers as addresses, and let other threads of Python run meanwhile."""
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        target = binding.Target.from_default_triple()
        features = binding.get_host_cpu_features().flatten()
        if target.name == "x86-64":  # with vectors of 512 bits LLVM uses half of that unless told
            features += ",-prefer-256-bit"
        machine = target.create_target_machine(cpu=binding.get_host_cpu_name(), features=features, opt=3)
        module = binding.parse_assembly(str(self._module))
        module.verify()
        # What was parsed names no machine, and would not be optimised for this one.
        module.triple, module.data_layout = machine.triple, str(machine.target_data)
        tuning = binding.create_pipeline_tuning_options(speed_level=3)
        tuning.loop_vectorization = True
        passes = binding.create_pass_builder(machine, tuning)
        passes.getModulePassManager().run(module, passes)
        engine = binding.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        functions: dict[str, Any] = {}
        for name, types in self._types.items():
            function = ctypes.CFUNCTYPE(None, *(_C_TYPES[kind] for kind in types))(engine.get_function_address(name))
            function.engine = engine  # type: ignore[attr-defined]  # which owns the code
            functions[name] = function
        return functions
