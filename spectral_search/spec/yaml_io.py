"""YAML without its traps: 1e-3 is a number, `no` is text, dates are text, a key given twice is a fault."""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from spectral_search.errors import RequestError

# The scalars of YAML 1.2's core schema (plus 100_000), instead of PyYAML's YAML 1.1 ones, where `no` is false,
# 1e-3 is text, 010 is eight and 2024-01-01 is a date.
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+(?:_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_SCALARS: tuple[tuple[str, re.Pattern[str]], ...] = (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT))
_TAG = "tag:yaml.org,2002:"
_MAX_DEPTH = 32
_MAX_NODES = 200_000  # anchors that repeat anchors grow without bound
_MAX_DIGITS = 300  # Python refuses to read integers of thousands of digits


@dataclass
class Document:
    """One parsed YAML text: plain values, the line of every dotted key, and what was wrong on the way."""

    value: Any
    line_of: dict[str, int] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


class _Composer(yaml.SafeLoader):
    """Builds nodes only; `_Reader` turns them into values, so none of PyYAML's own resolving applies."""


class _Reader:
    """Turns YAML nodes into plain values, collecting faults instead of stopping at the first."""

    def __init__(self) -> None:
        self.document = Document(None)
        self._nodes = 0

    def read(self, node: yaml.Node, key: str, depth: int = 0) -> Any:
        self._nodes += 1
        # Said once, while all nodes from here on are passed over.
        if self._nodes == _MAX_NODES:
            self.document.faults.append((key, f"it holds more than {_MAX_NODES} values, too many for a spec"))
        if self._nodes >= _MAX_NODES:
            return None
        if depth > _MAX_DEPTH:  # also what stops an anchor that contains itself
            self.document.faults.append((key, f"{key or 'the file'} is nested more than {_MAX_DEPTH} levels deep"))
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, key, depth + 1) for item in node.value]
        return self._scalar(node, key)

    def _mapping(self, node: yaml.MappingNode, key: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first_line: dict[str, int] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self.document.faults.append((key, f"{key or 'the file'} has a key that is not text"))
                continue
            name = str(name_node.value)
            path = f"{key}.{name}" if key else name
            line = name_node.start_mark.line + 1
            if name in values:
                text = f"{path} is given twice, on lines {first_line[name]} and {line}; keep one of them"
                self.document.faults.append((path, text))
                continue
            first_line[name] = line
            self.document.line_of.setdefault(path, line)
            values[name] = self.read(value_node, path, depth + 1)
        return values

    def _scalar(self, node: yaml.ScalarNode, key: str) -> Any:
        explicit = node.tag.removeprefix(_TAG) if node.tag.startswith(_TAG) else node.tag
        if explicit.startswith("!") and explicit != "!":
            self.document.faults.append((key, f"{key} carries the tag {explicit}, and a spec takes plain values only"))
            return None
        return plain_scalar(node.value) if node.style is None else str(node.value)


def plain_scalar(text: str) -> Any:
    """The value of an unquoted scalar under YAML 1.2's core schema."""
    kind = next((kind for kind, pattern in _SCALARS if pattern.match(text)), "str")
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and len(text) <= _MAX_DIGITS:
        return int(text, 0) if text.startswith(("0x", "0o")) else int(text)
    if kind == "float":
        # Python spells infinity and not-a-number without YAML's dot.
        return float(re.sub(r"\.(?=[a-zA-Z])", "", text)) if text[-1] in "fFnN" else float(text)
    return text


def parse_yaml(text: str, source: str) -> Document:
    """Parses one YAML document.

    Args:
        text: The YAML text.
        source: What to call the text in a fault, such as a file name.

    Returns:
        The document, with the line (from 1) of every dotted key and the faults met (key, sentence).

    Raises:
        RequestError: The text is not YAML at all; the sentence gives the line.
    """
    reader = _Reader()
    try:
        node = yaml.compose(text, Loader=_Composer)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RequestError(f"{source}{place} is not valid YAML: {_problem(error)}") from error
    except yaml.YAMLError as error:
        raise RequestError(f"{source} is not valid YAML: it holds characters that are not text") from error
    if node is not None:
        reader.document.value = reader.read(node, "")
    return reader.document


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join(part for part in (error.context, error.problem) if part)
    if "'\\t'" in problem:
        return "a tab was found; indent with spaces"
    if "expected a single document" in problem:
        return "it holds more than one document; keep one"
    return problem


class _Dumper(yaml.SafeDumper):
    """Writes what `parse_yaml` and any YAML 1.1 reader both read back as the same value."""

    # What occurs twice is written out twice: an anchor would make whoever edits one place change the other.
    def ignore_aliases(self, data: Any) -> bool:
        return True


class FlowMap(dict[str, Any]):
    """A mapping that is written on one line."""


def _flow_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    flow = not any(isinstance(value, dict) and not isinstance(value, FlowMap) for value in values)
    return dumper.represent_sequence(_TAG + "seq", values, flow_style=flow)


def _flow_map(dumper: yaml.SafeDumper, values: FlowMap) -> yaml.Node:
    return dumper.represent_mapping(_TAG + "map", values, flow_style=True)


_Dumper.add_representer(list, _flow_list)
_Dumper.add_representer(tuple, _flow_list)
_Dumper.add_representer(FlowMap, _flow_map)
# Beside YAML 1.1's resolvers: text that only YAML 1.2 takes for a number, such as "1e-3", must be quoted too.
_Dumper.add_implicit_resolver(_TAG + "int", _INT, list("-+0123456789"))
_Dumper.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+.0123456789"))


def dump_yaml(value: Any) -> str:
    """Writes plain values as YAML, keys in the order given, lists on one line.

    Raises:
        TypeError: A value is no plain text, number, boolean, null, list or mapping.
    """
    try:
        return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=116))
    except yaml.representer.RepresenterError as error:
        raise TypeError(f"only plain values can be written as YAML, found {error.args[-1]!r}") from error


def show(value: Any, limit: int = 60) -> str:
    """A value as a user would write it in YAML, on one line, shortened to `limit` characters."""
    text = _show(value)
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def _show(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        short = f"{value:g}" if math.isfinite(value) and float(f"{value:g}") == value else repr(value)
        return short if re.search(r"[.en]", short) else f"{short}.0"  # 10.0 is not the whole number 10
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_show(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_show(item) for item in value) + "]"
    return str(value)
