"""A model becomes a graph of row-wise operations on tensors."""

from transect.graph.canonical import canonical_graph
from transect.graph.export import check_evaluation_mode, export_model
from transect.graph.node import Graph, Node, Rows, Value

__all__ = ["Graph", "Node", "Rows", "Value", "canonical_graph", "check_evaluation_mode", "export_model"]
