"""The peer: neural style transfer in PyTorch as its users have it, with the objective of jax_nst.

Eager, or `torch.compile`d; channels last where that helps; on a GPU in TF32, or with bfloat16 autocast.
"""

import contextlib

import numpy as np
import torch
from torch.nn import functional

from jax_nst.vgg import BGR_MEAN, CONTENT_LAYERS, STYLE_LAYERS, needed_convs

STYLE_WEIGHT, TV_WEIGHT = 1000, 65

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_tensor(pixels):
    """`[H, W, 3]` -> `[1, 3, H, W]` on the device."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])).to(DEVICE)


def to_pixels(tensor):
    """`[1, 3, H, W]` -> `[H, W, 3]`."""
    return tensor.detach()[0].permute(1, 2, 0).cpu().numpy()


def make_loss(params, content, style, *, compiled=False, bfloat16=False):
    """`loss(x [1, 3, H, W]) -> []` of recipe normalized.

    Args:
      params: of VGG19, as `load_params` reads them.
      content: `[H, W, 3]`, at the size of the picture.
      style: `[H', W', 3]`.
      compiled: by `torch.compile`.
      bfloat16: features by autocast, Gram matrices and losses in float32.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    form = torch.channels_last
    kernels = {}
    for conv in needed_convs("vgg19", STYLE_LAYERS):
        p = params[conv]
        kernel = torch.from_numpy(np.array(np.asarray(p["kernel"]).transpose(3, 2, 0, 1)))
        bias = torch.from_numpy(np.array(p["bias"]))
        kernels[conv] = kernel.to(DEVICE).contiguous(memory_format=form), bias.to(DEVICE)
    mean = torch.tensor(BGR_MEAN, device=DEVICE).view(1, 3, 1, 1)

    def features(x):
        out, block = {}, "1"
        x = (255 * x.flip(1) - mean).contiguous(memory_format=form)
        lower = torch.autocast(DEVICE.type, torch.bfloat16) if bfloat16 else contextlib.nullcontext()
        with lower:
            for conv, (kernel, bias) in kernels.items():
                if conv[4] != block:
                    block, x = conv[4], functional.max_pool2d(x, 2)
                x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
                out[conv.replace("conv", "relu")] = x
        return {layer: value.float() for layer, value in out.items()}

    def gram(x):
        flat = x.flatten(2)[0]
        return flat @ flat.T / flat.shape[1]

    with torch.no_grad():
        p = {layer: features(to_tensor(content))[layer] for layer in CONTENT_LAYERS}
        of_style = features(to_tensor(style))
        a = {layer: gram(of_style[layer]) for layer in STYLE_LAYERS}
        del of_style

    def loss(x):
        f = features(x)
        total = sum(((f[k] - v) ** 2).mean() / (v**2).mean() for k, v in p.items()) / len(p)
        total = total + STYLE_WEIGHT * sum(
            ((gram(f[k]) - v) ** 2).mean() / (v**2).mean() for k, v in a.items()
        ) / len(a)
        down, across = x.diff(dim=2), x.diff(dim=3)
        return total + TV_WEIGHT * ((down**2).mean() + (across**2).mean())

    return torch.compile(loss) if compiled else loss


def loss_and_gradient(loss, x):
    """Of `x`, a leaf: the loss as a number, and its gradient, when they are there."""
    x.grad = None
    total = loss(x)
    total.backward()
    value = float(total.detach())  # waits for the device
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return value, x.grad
