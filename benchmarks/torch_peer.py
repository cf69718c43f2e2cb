"""The peer: neural style transfer in PyTorch as its users have it, with the objective of jax_nst.

Eager, or `torch.compile`d; channels last; on a GPU in TF32, or with bfloat16 autocast. Its process has
neither JAX nor jax_nst in it, whose memory would count as PyTorch's: what it needs is in a file.
"""

from contextlib import nullcontext

import numpy as np
import torch
from torch.nn import functional

STYLE_WEIGHT, TV_WEIGHT = 1000, 65

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_problem(path):
    """What `step.save_for_torch` wrote: name -> array."""
    with np.load(path) as file:
        return dict(file)


def to_tensor(pixels):
    """`[H, W, 3]` -> `[1, 3, H, W]` on the device."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])).to(DEVICE)


def to_pixels(tensor):
    """`[1, 3, H, W]` -> `[H, W, 3]`."""
    return tensor.detach()[0].permute(1, 2, 0).cpu().numpy()


def make_loss(problem, settings=()):
    """`loss(x [1, 3, H, W]) -> []` of recipe normalized.

    Args:
      problem: of `load_problem`: kernels, biases, content `[H, W, 3]` at the size of the picture, style
        `[H', W', 3]`, and which layers count.
      settings: any of `compiled`: by `torch.compile`; `bfloat16`: features by autocast, Gram matrices and
        losses in float32; `nchw`: not channels last.
    """
    content_layers, style_layers = (problem[f"{name} layers"].tolist() for name in ("content", "style"))
    wanted = {*content_layers, *style_layers}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    form = torch.contiguous_format if "nchw" in settings else torch.channels_last
    kernels = {}
    for conv in problem["convs"].tolist():
        kernel = torch.from_numpy(problem[f"{conv} kernel"].transpose(3, 2, 0, 1))
        bias = torch.from_numpy(problem[f"{conv} bias"])
        kernels[conv] = kernel.to(DEVICE).clone(memory_format=form), bias.to(DEVICE)
    mean = torch.from_numpy(problem["mean"]).to(DEVICE).view(1, 3, 1, 1)

    def lower():
        return torch.autocast(DEVICE.type, torch.bfloat16) if "bfloat16" in settings else nullcontext()

    def features(x):
        out, block = {}, "1"
        x = (255 * x.flip(1) - mean).contiguous(memory_format=form)
        with lower():
            for conv, (kernel, bias) in kernels.items():
                if conv[4] != block:
                    block, x = conv[4], functional.max_pool2d(x, 2)
                x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
                if conv.replace("conv", "relu") in wanted:
                    out[conv.replace("conv", "relu")] = x
        return {layer: value.float() for layer, value in out.items()}

    def gram(x):
        flat = x.flatten(2)[0]
        return flat @ flat.T / flat.shape[1]

    with torch.no_grad():
        of_content = features(to_tensor(problem["content"]))
        p = {layer: of_content[layer] for layer in content_layers}
        del of_content
        of_style = features(to_tensor(problem["style"]))
        a = {layer: gram(of_style[layer]) for layer in style_layers}
        del of_style

    def loss(x):
        f = features(x)
        total = sum(((f[k] - v) ** 2).mean() / (v**2).mean() for k, v in p.items()) / len(p)
        total = total + STYLE_WEIGHT * sum(
            ((gram(f[k]) - v) ** 2).mean() / (v**2).mean() for k, v in a.items()
        ) / len(a)
        down, across = x.diff(dim=2), x.diff(dim=3)
        return total + TV_WEIGHT * ((down**2).mean() + (across**2).mean())

    return torch.compile(loss) if "compiled" in settings else loss


def loss_and_gradient(loss, x):
    """Of `x`, a leaf: the loss as a number, and its gradient, when they are there."""
    x.grad = None
    total = loss(x)
    total.backward()
    value = float(total.detach())  # waits for the device
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return value, x.grad
