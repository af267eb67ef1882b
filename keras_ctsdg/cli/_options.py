"""Command-line options made from the fields of a dataclass."""

import inspect
from dataclasses import fields
from typing import Annotated

import typer


def options_from(dataclass, *names):
    """Give a command one option for each field of a dataclass.

    The command takes them as `**options`. Types, defaults, help texts (`help` in the
    fields' metadata), limits (such as `min`) and a `name` other than the field's come
    from the dataclass.

    Args:
        dataclass: Dataclass whose fields all have defaults.
        *names: Str, the fields to use. Defaults to all of them.

    Returns:
        Decorator of a function for `typer.Typer.command`.
    """

    def decorate(command):
        signature = inspect.signature(command)
        parameters = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        for field in fields(dataclass):
            if names and field.name not in names:
                continue
            annotation = _annotate(field)
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=annotation,
                )
            )
            # Typer takes names from the signature, but types from the annotations.
            command.__annotations__[field.name] = annotation
        command.__signature__ = signature.replace(parameters=parameters)
        return command

    return decorate


def _annotate(field):
    """Return a field's type with its `typer.Option`."""
    metadata = dict(field.metadata)
    name = metadata.pop("name", None)
    if field.type is bool:
        # Named explicitly, a flag gets no second form that starts with `--no-`.
        name = f"--{field.name.replace('_', '-')}"
    names = [] if name is None else [name]
    return Annotated[field.type, typer.Option(*names, **metadata)]
