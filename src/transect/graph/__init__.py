"""A model becomes a graph of row-wise operations on tensors."""

from transect.graph.calling import Called
from transect.graph.canonical import canonical_graph
from transect.graph.examples import accepted_batch, as_batch, as_float_tensor, check_usable
from transect.graph.export import OneModuleAtATime, branches_on_samples, export_model, numbers_of_samples
from transect.graph.node import Graph, Node, Rows, Value, is_random

__all__ = [
    "Called",
    "Graph",
    "Node",
    "OneModuleAtATime",
    "Rows",
    "Value",
    "accepted_batch",
    "as_batch",
    "as_float_tensor",
    "branches_on_samples",
    "canonical_graph",
    "check_usable",
    "export_model",
    "is_random",
    "numbers_of_samples",
]
