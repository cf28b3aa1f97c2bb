"""Inference engines beside PyTorch: a network of tests/oracle as a function of its input, in F32 on so many threads.

ONNX Runtime and OpenVINO read PyTorch's own ONNX export. The wheel of ncnn holds no converter, so `ncnn_model` writes its two files
from the traced modules. Every engine's first result is held against PyTorch's: an engine that computes something else takes no part.
"""
import io
import operator
import tempfile
from pathlib import Path

import numpy
import torch
from torch import nn

ENGINES = ["onnxruntime", "openvino", "ncnn"]
# How far an engine's result in [-1, 1] may be from PyTorch's.
TOLERANCE = 1e-2


def engine(name, net, x, threads):
    """The network as a function of the NumPy array `[N, C, H, W]`.

    Raises `RuntimeError` where the engine is not installed, cannot convert the network or does not compute what it computes.
    """
    make = {"onnxruntime": onnxruntime_session, "openvino": openvino_model, "ncnn": ncnn_net}[name]
    try:
        run = make(net, x, threads)
        result = run(x.numpy())
    except ImportError as error:
        raise RuntimeError(f"{name} is not installed: {error}") from error
    with torch.inference_mode():
        expected = net(x).numpy()
    difference = float(numpy.abs(result - expected).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{name}: its result is {difference} from PyTorch's")
    return run


def onnx_bytes(net, x):
    buffer = io.BytesIO()
    torch.onnx.export(net, (x,), buffer, input_names=["x"], dynamo=False)
    return buffer.getvalue()


def onnxruntime_session(net, x, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(onnx_bytes(net, x), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def openvino_model(net, x, threads):
    import openvino

    core = openvino.Core()
    # On processors with AMX the default is BF16.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    model = core.read_model(onnx_bytes(net, x))
    model.reshape(list(x.shape))
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda x: request.infer({0: x}, share_inputs=True)[0]


def ncnn_net(net, x, threads):
    import ncnn

    if x.shape[0] != 1:
        raise RuntimeError("ncnn: it takes one image at a time")
    model = ncnn.Net()
    model.opt.num_threads = threads
    for option in [o for o in dir(model.opt) if o.startswith(("use_fp16", "use_bf16", "use_int8"))]:
        setattr(model.opt, option, False)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in zip(["model.param", "model.bin"], ncnn_model(net, x)):
            Path(folder, name).write_bytes(content)
        if model.load_param(f"{folder}/model.param") or model.load_model(f"{folder}/model.bin"):
            raise RuntimeError("ncnn: it does not read the network")

    def run(x):
        extractor = model.create_extractor()
        extractor.input("x", ncnn.Mat(x[0]))
        return numpy.array(extractor.extract("y")[1])[None]

    return run


def ncnn_model(net, x):
    """The contents of ncnn's two files, `param` and `bin`.

    Raises `RuntimeError` for a layer that has no counterpart here.
    """
    graph = torch.fx.symbolic_trace(net).graph
    modules = dict(net.named_modules())
    # Inputs by name, layers as (type, inputs, settings), weights. A layer in place replaces its input for those that read it later.
    layers, weights, value = [], [], {}
    for node in graph.nodes:
        if node.op == "placeholder":
            value[node] = "x"
        elif node.op == "output":
            layers.append(["Noop", [value[node.args[0]]], "y", {}])
        elif node.target in (torch.cat, operator.add):
            inputs = node.args[0] if node.target is torch.cat else node.args
            kind = "Concat" if node.target is torch.cat else "BinaryOp"
            layers.append([kind, [value[i] for i in inputs], node.name, {0: 0}])
            value[node] = node.name
        elif node.op == "call_module":
            module = modules[node.target]
            source = value[node.args[0]]
            value[node] = source if isinstance(module, (nn.Dropout, nn.Identity)) else node.name
            if value[node] != source:
                kind, settings, arrays = ncnn_layer(module)
                layers.append([kind, [source], node.name, settings])
                weights += arrays
            if getattr(module, "inplace", False):
                value[node.args[0]] = value[node]
        else:
            raise RuntimeError(f"ncnn: no counterpart of {node.target}")
    param = ncnn_text(layers, x.shape[1:])
    return param.encode(), b"".join(weights)


def ncnn_layer(module):
    """ncnn's type, settings and weights of a layer."""

    def raw(tensor):
        return tensor.detach().numpy().astype("<f4").tobytes()

    def flagged(tensor):
        return b"\0\0\0\0" + raw(tensor)  # 0: these are F32

    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and module.groups == 1:
        transposed = isinstance(module, nn.ConvTranspose2d)
        (kh, kw), (sh, sw), (ph, pw) = module.kernel_size, module.stride, module.padding
        weight = module.weight.transpose(0, 1) if transposed else module.weight
        settings = {0: module.out_channels, 1: kw, 11: kh, 3: sw, 13: sh, 4: pw, 14: ph, 5: int(module.bias is not None), 6: weight.numel()}
        if transposed:
            settings |= {18: module.output_padding[1], 19: module.output_padding[0]}
        bias = [] if module.bias is None else [raw(module.bias)]
        return "Deconvolution" if transposed else "Convolution", settings, [flagged(weight), *bias]
    if isinstance(module, nn.BatchNorm2d):
        arrays = [module.weight, module.running_mean, module.running_var, module.bias]
        return "BatchNorm", {0: module.num_features, 1: module.eps}, [raw(a) for a in arrays]
    if isinstance(module, nn.InstanceNorm2d) and not module.affine:
        return "InstanceNorm", {0: module.num_features, 1: module.eps, 2: 0}, []
    if isinstance(module, nn.ReflectionPad2d):
        left, right, top, bottom = module.padding
        return "Padding", {0: top, 1: bottom, 2: left, 3: right, 4: 2}, []
    if isinstance(module, (nn.ReLU, nn.LeakyReLU)):
        return "ReLU", {0: getattr(module, "negative_slope", 0.0)}, []
    if isinstance(module, nn.Tanh):
        return "TanH", {}, []
    raise RuntimeError(f"ncnn: no counterpart of {module}")


def ncnn_text(layers, shape):
    """The text of a `param` file. A value that several layers read passes a layer `Split`, which gives each its own."""
    c, h, w = shape
    readers = {}
    for layer in layers:
        for i in layer[1]:
            readers[i] = readers.get(i, 0) + 1
    lines, blobs = [], 0

    def write(kind, name, inputs, outputs, settings):
        nonlocal blobs
        blobs += len(outputs)
        words = [kind, name, len(inputs), len(outputs), *inputs, *outputs, *(f"{k}={v}" for k, v in settings.items())]
        lines.append(" ".join(map(str, words)))

    taken = {}

    def split(name):
        if readers.get(name, 0) > 1:
            write("Split", f"split_{name}", [name], [f"{name}.{i}" for i in range(readers[name])], {})

    def take(name):
        if readers[name] == 1:
            return name
        taken[name] = taken.get(name, -1) + 1
        return f"{name}.{taken[name]}"

    write("Input", "x", [], ["x"], {0: w, 1: h, 2: c})
    split("x")
    for kind, inputs, name, settings in layers:
        write(kind, name, [take(i) for i in inputs], [name], settings)
        split(name)
    return "\n".join(["7767517", f"{len(lines)} {blobs}", *lines, ""])
