"""One fit of the network by PyTorch, measured in a process of its own. In: a task as JSON. Out: a line of JSON.

The same network as fraudml's: Glorot uniform weights, zero biases, ReLU, dropout, Adam 0.9 / 0.999 / 1e-7, mean binary
cross-entropy, shuffled batches, the last short one kept. `adam`: `plain` (PyTorch's default on a processor) or `fused`.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

import forest_data as data


def main():
    task = json.loads(sys.argv[1])
    if task["verb"] == "peak":
        print(json.dumps({"gflops": peak(), "threads": torch.get_num_threads()}))
        return
    torch.manual_seed(task["seed"])
    folder = Path(task["data"])
    marks = np.fromfile(task["split"], "u1")
    rows, labels = data.read_rows(folder, marks == 0)
    widths = [rows.shape[1], *task["hidden"], 1]
    network = build(widths, task["dropout"])
    line = {"rows": len(rows), "features": rows.shape[1], "torch": torch.__version__}
    before = resident_since_reset()
    line |= train(network, torch.from_numpy(rows), torch.from_numpy(labels.astype("f4")), task)
    line["extra_bytes"] = status_bytes("VmHWM:") - before
    test, _ = data.read_rows(folder, marks == 1)
    network.eval()
    if len(test):
        test = torch.from_numpy(test)
        line["one_row_us"] = one_row(network, test)
        line["one_row_onnx_us"] = one_row_onnx(network, test, 1)
        line["one_row_onnx2_us"] = one_row_onnx(network, test, 2)
        with torch.inference_mode():
            start = time.perf_counter()
            scores = torch.cat([torch.sigmoid(network(block)) for block in test.split(4096)])
            line["batch_rows_per_s"] = len(test) / (time.perf_counter() - start)
        if task.get("scores"):
            scores.flatten().numpy().astype("<f4").tofile(task["scores"])
    print(json.dumps(line))


def build(widths, dropout):
    modules = []
    for depth, pair in enumerate(zip(widths, widths[1:])):
        linear = torch.nn.Linear(*pair)
        torch.nn.init.xavier_uniform_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
        modules.append(linear)
        if depth + 2 < len(widths):
            modules += [torch.nn.ReLU(), torch.nn.Dropout(dropout)]
    return torch.nn.Sequential(*modules)


def train(network, rows, labels, task):
    fused = {"fused": True} if task["adam"] == "fused" else {}
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, eps=1e-7, **fused)
    loss_of = torch.nn.BCEWithLogitsLoss()
    epoch_s, losses = [], []
    for _ in range(task["epochs"]):
        start, total = time.perf_counter(), 0.0
        order = torch.randperm(len(rows))
        for batch in order.split(task["batch"]):
            optimizer.zero_grad()
            loss = loss_of(network(rows[batch]).squeeze(1), labels[batch])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch)
        losses.append(float(total) / len(rows))
        epoch_s.append(time.perf_counter() - start)
    return {"epoch_s": epoch_s, "losses": losses}


def one_row(network, test):
    """Median microseconds, over up to 1,000 rows."""
    times = []
    with torch.inference_mode():
        for row in test[:1000].split(1):
            start = time.perf_counter()
            torch.sigmoid(network(row))
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def one_row_onnx(network, test, threads):
    """The same by ONNX Runtime, whose graph is written node by node; a second thread spins between rows, as by default."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, name = [], [], "row"
    for depth, layer in enumerate(layer for layer in network if isinstance(layer, torch.nn.Linear)):
        for part in ("weight", "bias"):
            array = getattr(layer, part).detach().numpy()
            weights.append(numpy_helper.from_array(np.ascontiguousarray(array.T), f"{part}{depth}"))
        if nodes:
            nodes.append(helper.make_node("Relu", [name], [f"units{depth}"]))
            name = f"units{depth}"
        nodes.append(helper.make_node("Gemm", [name, f"weight{depth}", f"bias{depth}"], [f"sums{depth}"]))
        name = f"sums{depth}"
    nodes.append(helper.make_node("Sigmoid", [name], ["score"]))
    n_features = test.shape[1]
    inputs = [helper.make_tensor_value_info("row", TensorProto.FLOAT, [1, n_features])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])]
    graph = helper.make_graph(nodes, "mlp", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    times = []
    for row in test[:1000].numpy():
        row = row[None]
        start = time.perf_counter()
        session.run(None, {"row": row})
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def resident_since_reset():
    """Sets the highest resident memory back to what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return status_bytes("VmRSS:")


def status_bytes(name):
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024


def peak():
    """GFLOP/s of 2048 x 2048 x 2048, the best of five."""
    a, b = torch.full((2048, 2048), 0.5), torch.full((2048, 2048), 0.25)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best / 1e9


if __name__ == "__main__":
    main()
