"""Read CloudFormation's intrinsic functions from YAML; find and replace references."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

NO_VALUE = {"Ref": "AWS::NoValue"}

_SUB_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


class _Loader(yaml.CSafeLoader):
    """A YAML loader with CloudFormation's short tags. Dates stay text (2012-10-17 is a policy version).

    The loader in C reads the template ten times as fast as the one in Python.
    """


def _construct_tag(loader: yaml.CSafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_multi_constructor("!", _construct_tag)


def read_template(path: Path) -> dict[str, Any]:
    """Return a template file as plain dicts, with `!Ref X` as `{"Ref": "X"}`."""
    template: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a safe loader
    return template


def references(value: Any) -> Iterator[str]:
    """Yield the logical ids to which a value refers by Ref, Fn::GetAtt or Fn::Sub."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for key, argument in value.items():
            if key == "Ref" and isinstance(argument, str):
                yield argument
            elif key == "Fn::GetAtt":
                yield argument.partition(".")[0] if isinstance(argument, str) else argument[0]
            elif key == "Fn::Sub":
                text, variables = _sub_parts(argument)
                yield from (name.partition(".")[0] for name in _SUB_VARIABLE.findall(text) if name not in variables)
                yield from references(list(variables.values()))
            else:
                yield from references(argument)


def replace_references(value: Any, replace: Callable[[str, str | None], Any]) -> Any:
    """Return the value with every reference replaced by the result of `replace(logical id, attribute or None)`.

    `replace` returns text, another intrinsic, or None to keep the reference.
    """
    if isinstance(value, list):
        return [replace_references(item, replace) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return _or_else(replace(value["Ref"], None), value)
    if set(value) == {"Fn::GetAtt"}:
        argument = value["Fn::GetAtt"]
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return _or_else(replace(name, attribute), value)
    if set(value) == {"Fn::Sub"}:
        return _replace_in_sub(value["Fn::Sub"], replace)
    return {key: replace_references(item, replace) for key, item in value.items()}


def _replace_in_sub(argument: Any, replace: Callable[[str, str | None], Any]) -> dict[str, Any]:
    text, variables = _sub_parts(argument)
    variables = {name: replace_references(item, replace) for name, item in variables.items()}
    for variable in set(_SUB_VARIABLE.findall(text)) - set(variables):
        name, _, attribute = variable.partition(".")
        replacement = replace(name, attribute or None)
        if isinstance(replacement, str):
            text = text.replace(f"${{{variable}}}", replacement)
        elif replacement is not None:
            key = re.sub(r"\W", "", variable)
            text = text.replace(f"${{{variable}}}", f"${{{key}}}")
            variables[key] = replacement
    return {"Fn::Sub": [text, variables] if variables else text}


def _sub_parts(argument: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(argument, str):
        return argument, {}
    return argument[0], argument[1]


def _or_else(replacement: Any, original: Any) -> Any:
    return original if replacement is None else replacement
