"""``capture``: a user's module becomes a :class:`Network` that the engine can trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from transect.engine.program import Program, compile_program
from transect.engine.rounding import spread_along
from transect.errors import InvalidInput, UnsupportedModel, VerificationError, check_one_of, refuse_for_memory
from transect.graph import (
    Called,
    Graph,
    OneModuleAtATime,
    accepted_batch,
    as_batch,
    branches_on_samples,
    canonical_graph,
    check_usable,
    export_model,
    numbers_of_samples,
)
from transect.graph.canonical import refuse_mutated_output, refuse_unwritten_output
from transect.graph.outputs import Step
from transect.graph.state import state_kept, stored_numbers
from transect.networks.report import Report, report_network
from transect.patterns import InputSpace, Pattern, Region, pattern_at, region_at
from transect.rules import fold_batch_norms, prove_coverage, rewrite, without_infinities
from transect.support.precision import full_precision
from transect.support.terminal import quiet
from transect.support.types import TensorLike

WORKING_DTYPES = (torch.float64, torch.float32)

_DEVIATIONS = 64.0  # standard deviations of rounding by which two evaluations may differ
_FEW = 4  # points of a kind at which a captured graph is compared with its module
# Largest difference, relative to the largest output, between the captured graph and the user's module in its own dtype.
AGREEMENT = {torch.float64: 1e-10, torch.float32: 2e-3, torch.bfloat16: 0.3, torch.float16: 0.1}


@dataclass(frozen=True, eq=False)
class Network:
    """A captured network: every operation has a rule, and rows never mix.

    Attributes:
        graph: The exported operations, with their constants in the working dtype.
        program: The same, compiled for the engine.
        input_shape: Shape of one input, without a batch dimension.
        outputs: Number of outputs of one input (all dimensions but the batch, flattened).
        name: Class of the user's module.
        called: The user's own module as it was called; None for a graph from a file.
    """

    graph: Graph
    program: Program
    input_shape: tuple[int, ...]
    outputs: int
    name: str
    called: Called | None = None

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the bending operations, in order of execution: ``layer1.0.relu``, ``relu@1`` for a second call."""
        return self.program.bends

    @property
    def units(self) -> tuple[int, ...]:
        """Number of units of each bending operation."""
        return self.program.units

    @property
    def dtype(self) -> torch.dtype:
        """Working dtype of every value; positions on a path are float64 always."""
        return self.graph.dtype

    @property
    def device(self) -> torch.device:
        """Device the engine works on."""
        return self.graph.device

    def __call__(self, x: TensorLike) -> Tensor:
        """Outputs of one input or a batch of inputs in the working dtype, ``(N, outputs)``.

        Raises:
            InvalidInput: The shape is not that of an input or a batch of inputs.
        """
        batch = as_batch(x, self.input_shape, "x")[0].to(device=self.device, dtype=self.dtype)
        with torch.no_grad(), full_precision():
            return self.graph.evaluate(batch).reshape(len(batch), -1)

    def report(self) -> Report:
        """What the network consists of: every operation, how it is treated, and how many units bend there.

        Example:
            >>> import torch, transect
            >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
            >>> transect.capture(model, torch.zeros(2)).report()
            Sequential: 2 -> 3 outputs, float64
            Can be traced exactly: 1 bending operation with 8 units.
            <BLANKLINE>
            operation            times  treatment        bending units
            -------------------  -----  ---------------  -------------
            aten.relu.default        1  bends: 2 pieces              8
            aten.linear.default      2  affine
        """
        return report_network(self.name, self.graph, self.program, self.input_shape, self.outputs)

    def pattern(self, x: TensorLike) -> Pattern:
        """The activation pattern at one input, or at every input of a batch.

        A unit exactly at its threshold is not above it, and of equal numbers of a window the first wins. A pattern
        belongs to an open region: a point on a border lies in none, and within rounding of one its pattern is chance.

        Raises:
            InvalidInput: ``x`` is neither an input nor a batch of inputs, or not finite.
        """
        return pattern_at(self.program, self._input_space, x)

    def region(self, at: TensorLike | Pattern) -> Region:
        """The linear region of one input, or of the pattern of one point: its affine function and its borders.

        Raises:
            InvalidInput: ``at`` is neither, or the pattern of another network.
        """
        return region_at(self.program, self._input_space, at)

    @property
    def _input_space(self) -> InputSpace:
        return InputSpace(self.input_shape, self.dtype, self.device)

    def __repr__(self) -> str:
        return (
            f"Network({self.name}: {'x'.join(map(str, self.input_shape))} -> {self.outputs}, "
            f"{len(self.operations)} bending operations with {sum(self.units):,} units, {self.dtype})"
        )


@OneModuleAtATime()
@quiet()
def capture(
    model: nn.Module,
    example: TensorLike,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
    *,
    output: Step | Sequence[Step] | None = None,
    preprocess: nn.Module | Callable[[Tensor], Tensor] | None = None,
    fixed: Mapping[int | str, object] | None = None,
    argument: int | str | None = None,
) -> Network:
    """Capture a module through ``torch.export`` and prove that it can be traced exactly.

    The module is left exactly as it was; the network holds a copy of its weights in the working dtype.

    Args:
        model: Any ``nn.Module`` that maps a batch of inputs to tensors with a row for each.
        example: One input, or a batch of inputs (recognised by trying; what the module takes both ways is a batch), as
            anything ``torch.as_tensor`` takes.
        dtype: Working dtype: float64 (exact to rounding, the default) or float32 (a fast mode).
        device: Where the engine works; the module's own device by default.
        output: Which tensor to trace, where the module returns several: an index, a key or an attribute (``1``,
            ``"out"``, ``"logits"``); what a submodule returns (``"layer3"``, ``"layer3@1"`` for its second call in a
            forward pass); or a sequence of these to go deeper (``("hidden_states", 2)``).
        preprocess: A module or function between the inputs and the module, piecewise affine too (normalisation,
            resizing): paths and ``example`` then live in the space before it.
        fixed: Values of the other parameters of the forward pass, by name or position. Tensors of them are given as
            they are, or with one row for each input where the module takes nothing else.
        argument: The parameter that moves along a path, by name or position; the first that is not fixed by default.

    Raises:
        InvalidInput: An argument is not usable, or the model is in training mode with batch norm or dropout.
        OutOfMemory: There was not enough memory, which says nothing of the model.
        UnsupportedModel: Lists *every* operation that cannot be traced exactly.
        VerificationError: The captured graph and the module disagree.

    Example:
        >>> import torch, transect
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> transect.capture(model, torch.zeros(2))
        Network(Sequential: 2 -> 3, 1 bending operations with 8 units, torch.float64)
        >>> transect.capture(model, torch.zeros(2), output="0", preprocess=lambda x: (x - 0.5) / 0.2)
        Network(Sequential['0']: 2 -> 8, 0 bending operations with 0 units, torch.float64)
    """
    if not isinstance(model, nn.Module):
        program = " Its module is program.module()." * isinstance(model, torch.export.ExportedProgram)
        raise InvalidInput(f"model: expected a torch.nn.Module, got {type(model).__name__}.{program}")
    model = _unwrapped(model)
    check_one_of("dtype", dtype, WORKING_DTYPES)
    called = Called(model, argument, fixed, preprocess, output)
    check_usable(called)
    own_dtype, own_device = _own(model)
    working_device = own_device if device is None else _as_device(device)
    with torch.random.fork_rng(
        devices=[own_device] if own_device.type == "cuda" else []
    ):  # a random model is called before it is refused
        try:
            return _captured(called, example, dtype, own_dtype, own_device, working_device)
        except Exception as error:
            refuse_for_memory(error)
            raise


def _captured(
    called: Called,
    example: TensorLike,
    dtype: torch.dtype,
    own_dtype: torch.dtype,
    own_device: torch.device,
    working_device: torch.device,
) -> Network:
    with state_kept(called) as changed:
        batch = accepted_batch(called, example, own_dtype, own_device)
        notes = tuple(f"the forward pass changes the buffer {name!r}; the change is ignored" for name in changed())
    _check_numbers(called.model)
    with state_kept(called):
        exported = export_model(called, batch[:1])
    refuse_mutated_output(exported)
    refuse_unwritten_output(exported, batch)
    with full_precision():
        graph = replace(canonical_graph(exported, dtype, working_device), notes=notes)
    network = network_of(graph, tuple(batch.shape[1:]), type(called.model).__name__ + called.choice.label)
    network = replace(network, called=called)
    called.coarsest = _coarsest_dtype(exported, own_dtype)
    with state_kept(called), full_precision():
        _check_agreement(called, network, batch, numbers_of_samples(exported))
    return network


@full_precision()
def network_of(graph: Graph, input_shape: tuple[int, ...], name: str) -> Network:
    """The network of a captured graph, which is proved to be covered by the rules and compiled.

    Raises:
        UnsupportedModel: Lists every operation that cannot be traced exactly.
    """
    rewritten = without_infinities(rewrite(graph))
    prove_coverage(rewritten)  # as the user wrote it; batch norms are folded only after that
    folded = fold_batch_norms(rewritten)
    program = compile_program(folded, prove_coverage(folded))
    return Network(graph, program, input_shape, math.prod(graph.output.unit_shape), name)


def _unwrapped(model: nn.Module) -> nn.Module:
    """The module itself where it was compiled, or spread over devices, in whatever order."""
    spread = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, spread) or "_orig_mod" in model._modules:
        model = model.get_submodule("module" if isinstance(model, spread) else "_orig_mod")
    return model


def _coarsest_dtype(exported: torch.export.ExportedProgram, own: torch.dtype) -> torch.dtype:
    """The floating dtype with the largest rounding that the model computes in: ``x.float()`` makes islands."""
    made = [node.meta.get("val") for node in exported.graph.nodes]
    found = {value.dtype for value in made if isinstance(value, Tensor) and value.is_floating_point()}
    return max(found | {own}, key=lambda dtype: torch.finfo(dtype).eps)


def _as_device(device: torch.device | str) -> torch.device:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidInput(f'device: expected a device of torch such as "cpu" or "cuda", got {device!r}.') from error


def _own(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Floating dtype and device of the module's parameters and buffers."""
    tensors = [*model.parameters(), *model.buffers()]
    floating = next((t for t in tensors if t.is_floating_point()), None)
    device = tensors[0].device if tensors else torch.device("cpu")
    return (floating.dtype if floating is not None else torch.get_default_dtype()), device


def _check_numbers(model: nn.Module) -> None:
    """Make sure that weights are finite, and that buffers are numbers: of these masks may be infinite.

    Raises:
        InvalidInput: They are not.
    """
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    unusable = []
    for name, value in model.state_dict().items():
        numbers = stored_numbers(value)
        if not bool((numbers.isfinite() if name in parameters else ~numbers.isnan()).all()):
            unusable.append(name)
    if unusable:
        raise InvalidInput(f"model: expected finite weights, but these contain NaN or infinity: {', '.join(unusable)}.")


def _check_agreement(called: Called, network: Network, batch: Tensor, sizes: Mapping[int, str]) -> None:
    """Compare the captured graph with the module: at the example, elsewhere, and in batches of some sizes.

    Raises:
        InvalidInput: Outputs at the example are not finite.
        UnsupportedModel: Two calls of the module differ, or samples depend on the batch they are in.
        VerificationError: The captured graph is another function.
    """
    with torch.no_grad():
        points = batch[torch.arange(_FEW) % len(batch)]
        own = _outputs(called, points)
        if not bool(own.isfinite().all()):
            raise InvalidInput(
                f"model: its outputs at the example overflow {called.coarsest}; look for very large weights."
            )
        _compare(called, network, points, own, sizes, "the example")
        for points in _elsewhere(batch):
            try:
                own = _outputs(called, points)
            except Exception as error:  # it is no function of such points
                refuse_for_memory(error)
                continue
            if bool(own.isfinite().all()):
                _compare(called, network, points, own, sizes, "random points")
                return


def _elsewhere(batch: Tensor) -> Iterator[Tensor]:
    """Points around an example and around zero, of its size, or of size one where it is zero: nothing hides there.

    For models that take no such points, others between zero and the example.
    """
    example, made = batch[0].double().cpu(), torch.Generator().manual_seed(0)
    size = float(example.abs().max()) or 1.0
    noise = torch.randn(_FEW, *example.shape, generator=made, dtype=torch.float64)
    yield (size * noise + torch.stack([example, torch.zeros_like(example)])[torch.arange(_FEW) % 2]).to(batch)
    yield (example * torch.rand(noise.shape, generator=made, dtype=torch.float64)).to(batch)


def _outputs(called: Called, points: Tensor) -> Tensor:
    made: Tensor = called(points.clone())
    return made.reshape(len(points), -1).double()


def _compare(
    called: Called, network: Network, points: Tensor, own: Tensor, sizes: Mapping[int, str], where: str
) -> None:
    """Compare with the module, whose outputs are given, and these with each other in batches of other sizes."""
    coarsest = called.coarsest
    size, eps = float(own.abs().max().clamp_min(1e-300)), torch.finfo(coarsest).eps
    allowed = max(AGREEMENT.get(coarsest, 2e-3), AGREEMENT[network.dtype])

    def differ(found: Tensor, expected: Tensor) -> bool:
        apart = float((found - expected).abs().max())
        return not apart <= allowed * size and not _is_rounding(apart, network, points, eps)

    if float((own - _outputs(called, points)).abs().max()) > 16 * eps * size:
        raise UnsupportedModel(
            "model: it is another function at every call, since two calls with the same inputs differ. Is it random, "
            "or does its output depend on buffers that its forward pass changes? Freeze them in evaluation mode."
        )
    for rows, line in sizes.items():
        places = (len(points) - 1 - torch.arange(rows, device=points.device)) % len(points)
        try:
            found = _outputs(called, points[places])
        except Exception as error:
            refuse_for_memory(error)
            raise UnsupportedModel(branches_on_samples(rows, line)) from error
        if differ(found, own[places]):
            raise UnsupportedModel(
                branches_on_samples(rows, line) if rows > 1 else
                "model: it mixes the samples of a batch, since its outputs for one input depend on whether there are "
                "others; make it treat each sample on its own."
            )  # fmt: skip
    found = network(points).to(own)
    if differ(found, own):
        raise VerificationError(
            f"capture: the captured graph and the model differ by {float((found - own).abs().max()) / size:.1e} of the "
            f"largest output at {where} (at most {allowed:.0e} is expected of {coarsest}). Does the model branch on "
            "its values, or change from call to call? Otherwise please report it with the model."
        )


def _is_rounding(difference: float, network: Network, points: Tensor, eps: float) -> bool:
    """Whether rounding inside the model explains a difference, as where outputs are differences of large values."""
    spread = spread_along(network.program, points.to(device=network.device, dtype=network.dtype)).outputs
    return difference <= _DEVIATIONS * float(spread.max()) * max(1.0, eps / torch.finfo(network.dtype).eps)
