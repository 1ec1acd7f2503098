"""Weights of a PyTorch network, rows, and PyTorch's scores of them, as the test of the frozen network reads them.

    python benches/peers/mlp_fixture.py tests/data/pytorch_mlp.safetensors

One file of arrays: `layerN.weight` (inputs x outputs), `layerN.bias`, `rows` (n x features), `scores` (n).
"""

import json
import sys

import torch

WIDTHS = (9, 21, 16, 5, 1)


def main():
    torch.manual_seed(1)
    layers = [torch.nn.Linear(*pair) for pair in zip(WIDTHS, WIDTHS[1:])]
    arrays = {}
    for depth, layer in enumerate(layers):
        # Larger than at the start: scores shall spread over (0, 1).
        layer.weight.data *= 3
        arrays[f"layer{depth}.weight"] = layer.weight.data.T.contiguous()
        arrays[f"layer{depth}.bias"] = layer.bias.data
    arrays["rows"] = torch.randn(60, WIDTHS[0])
    units = arrays["rows"]
    with torch.inference_mode():
        for layer in layers[:-1]:
            units = torch.relu(layer(units))
        # Half of the scores above 0.5.
        layers[-1].bias -= layers[-1](units).median()
        arrays["scores"] = torch.sigmoid(layers[-1](units)).flatten()
    header, data = {}, b""
    for name, array in sorted(arrays.items()):
        raw = array.numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(sys.argv[1], "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


main()
