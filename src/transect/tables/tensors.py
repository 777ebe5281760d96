"""Results as files: one safetensors file each, which is data and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from transect._version import __version__
from transect.errors import InvalidInput
from transect.support.untrusted import Untrusted, parse_json, refuse, regular_file
from transect.tables.files import replacing

Shape: TypeAlias = tuple[int, ...]
Declared: TypeAlias = Mapping[str, tuple[str, Shape]]
"""Tensors by name: what a file says of their kinds, as safetensors calls them, and of their shapes."""
Expected: TypeAlias = Mapping[str, tuple[str, Shape]]
"""Tensors by name: the kind wanted, one of ``KINDS``, and the shape."""
About: TypeAlias = Mapping[str, Any]

KINDS = {
    "A": ("F64", "F32", "F16", "BF16"),
    "D": ("F64",),
    "F": ("F64", "F32"),
    "I": ("I64", "I32"),
    "U": ("U8", "I32", "I16", "I64"),
}
WORKING_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float64, torch.float32)}
_MOST = 2**63
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class TensorFile:
    """A kind of file: tensors by name, and a header that says what they are of.

    Attributes:
        noun: What it holds: ``"trace"``.
        writer: What writes it: ``"Trace.save"``.
        format: Number of its format; files of another are refused.
    """

    noun: str
    writer: str
    format: int

    @property
    def key(self) -> str:
        """Under what the header is found in the metadata of safetensors."""
        return f"transect.{self.noun}"

    def save(self, path: str | os.PathLike[str], about: About, tensors: Mapping[str, Tensor]) -> Path:
        """Write a file, atomically.

        Args:
            path: The file.
            about: What the header says beside the format and the version: plain values.
            tensors: The tensors.

        Returns:
            ``path``.
        """
        path = _path(path)
        header = json.dumps({"format": self.format, "transect": __version__, **about})
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        with replacing(path) as temporary:
            safetensors.torch.save_file(whole, temporary, {self.key: header})
        return path

    def load(
        self,
        path: str | os.PathLike[str],
        expected: Callable[[About, Declared], Expected],
        made: Callable[[About, Mapping[str, Tensor]], _Result],
    ) -> _Result:
        """Read a file. Nothing in it is executed.

        Args:
            path: The file.
            expected: Says which tensors of which kinds and shapes there must be, of what the header says and of what is
                declared; no tensor is read before they are held against each other.
            made: Makes the result of the header and the tensors.

        Raises:
            InvalidInput: There is no such file, it is another one, is damaged, or is of another format.
        """
        path = _path(path)
        try:
            return made(*self._read(regular_file(path), expected))
        except Untrusted as error:
            raise InvalidInput(f"path: cannot read the {self.noun} {path}: {error}.") from error
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise InvalidInput(f"path: cannot read the {self.noun} {path}: {error}") from error
        except (
            LookupError,
            TypeError,
            ValueError,
            ArithmeticError,
            AttributeError,
        ) as error:  # of a header of other things
            if isinstance(error, InvalidInput) and str(error).startswith("path:"):
                raise
            raise InvalidInput(
                f"path: {path} is a damaged {self.noun}: its header is not one that {self.writer} writes."
            ) from error

    def damaged(self, why: str) -> NoReturn:
        """Refuse a file that does not hold what it says.

        Raises:
            Untrusted: Always.
        """
        refuse(f"it is a damaged {self.noun}: {why}")

    def check_whole(self, *numbers: Any) -> None:
        """Hold that counts and indices of a header are whole numbers of 63 bits.

        Raises:
            Untrusted: They are not.
        """
        if not all(type(number) is int and 0 <= number < _MOST for number in numbers):
            self.damaged("counts and indices are not whole numbers of 63 bits")

    def check_indices(self, indices: Tensor, limit: Tensor | int, what: str, least: int = 0) -> None:
        """Hold that indices are of something there is.

        Raises:
            Untrusted: One is below ``least``, or at its limit or beyond.
        """
        if bool(((indices < least) | (indices >= limit)).any()):
            self.damaged(f"{what} that there is not")

    def _read(self, path: Path, expected: Callable[[About, Declared], Expected]) -> tuple[About, Mapping[str, Tensor]]:
        try:
            with safe_open(path, framework="pt") as file:
                about = self._about((file.metadata() or {}).get(self.key), path)
                parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                declared = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
                wanted = expected(about, declared)
                self._check(wanted, declared)
                return about, {name: file.get_tensor(name) for name in wanted}
        except OSError as error:
            raise InvalidInput(f"path: cannot read the {self.noun} {path}: {error}") from error
        except SafetensorError as error:
            raise InvalidInput(f"path: expected a {self.noun} written by {self.writer} in {path}: {error}") from error

    def _about(self, header: str | None, path: Path) -> About:
        about = None if header is None else parse_json(header)
        if not isinstance(about, dict):
            raise InvalidInput(
                f"path: expected a {self.noun} written by {self.writer}, {path} is another safetensors file."
            )
        if about.get("format") != self.format:
            raise InvalidInput(
                f"path: expected a {self.noun} of format {self.format} in {path}, found format "
                f"{str(about.get('format'))[:80]}, written by Transect {str(about.get('transect'))[:80]}; read it with "
                "that version."
            )
        return about

    def _check(self, expected: Expected, declared: Declared) -> None:
        for name, (kind, wanted) in expected.items():
            dtype, found = declared.get(name, ("nothing", ()))
            if dtype not in KINDS[kind] or found != wanted:
                self.damaged(f"expected {name[:80]} of shape {wanted}, found {dtype} of shape {found}")


def _path(given: str | os.PathLike[str]) -> Path:
    try:
        return Path(given)
    except TypeError as error:
        raise InvalidInput(f"path: expected a path, a text or a pathlib.Path, got {type(given).__name__}.") from error


def narrow(indices: Tensor) -> Tensor:
    """Indices in 4 bytes where they fit: they are most of a file."""
    fits = not len(indices) or int(indices.max()) < 2**31
    return indices.to(torch.int32) if fits else indices
