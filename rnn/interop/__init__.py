"""Convert weights and models of PyTorch, Keras and ONNX, both ways: a format a file."""

from rnn.interop.keras import export_keras, from_keras, import_keras, to_keras
from rnn.interop.keras_layers import KerasEmbedding, KerasMasking, KerasModel, KerasRecurrent
from rnn.interop.onnx import export_onnx, import_onnx
from rnn.interop.onnx_cells import OnnxGRUCell, OnnxLSTMCell, OnnxRNNCell
from rnn.interop.pytorch import from_pytorch, to_pytorch

__all__ = ["KerasEmbedding", "KerasMasking", "KerasModel", "KerasRecurrent",
           "OnnxGRUCell", "OnnxLSTMCell", "OnnxRNNCell", "export_keras",
           "export_onnx", "from_keras", "from_pytorch", "import_keras", "import_onnx",
           "to_keras", "to_pytorch"]  # fmt: skip
