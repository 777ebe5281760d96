"""Models that are not of the table: those of torchvision's zoo, and those of the user.

They are found first and made in a second step: what is imported may draw random numbers too, and only the first time.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from transect.errors import InvalidInput, MissingDependency, StudyError, did_you_mean
from transect.networks.models import current_folder, imported
from transect.study.config import ModelConfig
from transect.study.sections import TORCHVISION

Make = Callable[[], nn.Module]
_EXPECTED = "expected package.module:callable, a class or function that makes a new torch.nn.Module at every call"


def from_torchvision(config: ModelConfig, classes: int) -> Make:
    """Find a model of torchvision's zoo, with fresh weights; nothing is downloaded.

    Args:
        config: ``torchvision.<name>``; its ``arguments`` go to the model's builder.
        classes: Number of outputs.

    Returns:
        What makes the model; it raises a StudyError if the builder raises an error (kept as the cause).

    Raises:
        StudyError: If there is no such model, or a setting would have no effect on it.
        MissingDependency: If torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingDependency(
            f"the model {config.name} needs torchvision, which cannot be imported ({error}): "
            "pip install 'transect[vision]'"
        ) from error
    name, known = config.name.removeprefix(TORCHVISION), models.list_models()
    if name not in known:
        raise StudyError(
            f"torchvision has no model {name!r}{did_you_mean(name, known)}; expected one of its {len(known)}"
        )
    builder = models.get_model_builder(name)
    own = {key: None for key in ("weights", "weights_backbone") if key in inspect.signature(builder).parameters}
    refuse_useless_settings(config, own | {"num_classes": classes})

    def make() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # how some will draw their first weights in future
            return _called(builder, config, own | {"num_classes": classes})

    return make


def from_user(config: ModelConfig, input_shape: tuple[int, ...], classes: int) -> Make:
    """Find a callable of the user that makes a model; imports also look in the current folder.

    It is given the ``arguments`` of the configuration, ``width`` and ``batch_norm`` where the configuration has them,
    and by name those of ``input_shape`` and ``classes`` that are parameters of its own (what ``**kwargs`` would take is
    not given).

    Args:
        config: ``package.module:callable`` and its arguments.
        input_shape: Shape of one input.
        classes: Number of outputs.

    Returns:
        What makes the model; it raises a StudyError if the callable raises an error (kept as the cause), or makes
        something else.

    Raises:
        StudyError: If there is no such callable, or a setting would have no effect on it.
    """
    asked = {"width": config.width, "batch_norm": config.batch_norm}
    offered: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    offered |= {"input_shape": tuple(input_shape), "classes": classes}
    with current_folder():
        build = _found(config.name)
    names = _named_parameters(build)
    taken = {name: value for name, value in offered.items() if name in names}
    refuse_useless_settings(config, taken)

    def make() -> nn.Module:
        with current_folder():  # for what is imported when the callable is called
            return _called(build, config, taken)

    return make


def refuse_other_outputs(model: nn.Module, name: str, input_shape: tuple[int, ...], classes: int) -> None:
    """Make sure that a model of someone else gives one row of logits per input.

    Args:
        model: The model; as it was when this returns.
        name: Its name, for the error.
        input_shape: Shape of one input.
        classes: Number of outputs.

    Raises:
        StudyError: If it fails on inputs of this shape, or gives something else.
    """
    was_training = model.training
    try:
        with torch.no_grad():
            outputs = model.eval()(torch.zeros(2, *input_shape))
    except Exception as error:  # whatever a user's module raises
        raise StudyError(
            f"{name} failed on two inputs of shape {tuple(input_shape)}: {type(error).__name__}: {error}"
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(outputs, Tensor) or outputs.shape != (2, classes):
        given = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"type {type(outputs).__name__}"
        raise StudyError(
            f"expected {name} to give logits of shape (2, {classes}) for two inputs, got a value of {given}; "
            "let it have as many outputs as the data has classes (a parameter called classes is given their number)"
        )


def _found(name: str) -> Callable[..., Any]:
    place, _, attribute = name.partition(":")
    try:
        found = imported(place, attribute)
    except InvalidInput as error:
        raise StudyError(f"{str(error).removesuffix('.')}; {_EXPECTED}") from error
    if isinstance(found, nn.Module) or not callable(found):
        raise StudyError(f"model: {name} is a value of type {type(found).__name__}; {_EXPECTED}")
    made: Callable[..., Any] = found
    return made


def _named_parameters(build: Callable[..., Any]) -> Collection[str]:
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # of some built-in callables nothing is known
        return ()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {one.name for one in parameters if one.kind in named}


def _called(build: Callable[..., Any], config: ModelConfig, own: Mapping[str, Any]) -> nn.Module:
    """The model; ``own`` are the arguments that the study gives by itself."""
    arguments = {**config.arguments, **own}
    written = f"{config.name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
    try:
        made = build(**arguments)
    except Exception as error:  # whatever a user's code raises
        raise StudyError(f"the model {written} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise StudyError(f"{written} returned a value of type {type(made).__name__}; {_EXPECTED}")
    return made


def refuse_useless_settings(config: ModelConfig, own: Mapping[str, Any]) -> None:
    """Make sure that nothing is asked for that a model does not have: it would describe it wrongly.

    Args:
        config: What is asked for.
        own: What the study gives to the model.

    Raises:
        StudyError: If something is.
    """
    twice = sorted(set(config.arguments) & {*own, "width", "batch_norm"})
    if twice:
        raise StudyError(
            f"model.arguments: leave out {', '.join(twice)}, which the study gives to {config.name} itself (width and "
            "batch_norm are settings of [model])"
        )
    for setting in ("width", "batch_norm"):
        value = getattr(config, setting)
        if setting not in own and value is not None:
            raise StudyError(
                f"model.{setting} is {value}, but {config.name} has no parameter {setting!r}; leave it out, and give "
                "what the model has instead in model.arguments"
            )
