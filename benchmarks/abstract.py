"""The real programs of a transfer, compiled for a chip that need not be there."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chips import CHIPS, HERE, find_devices
from jax.sharding import AxisType, Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from jax_nst import Config
from jax_nst.models import vgg as vgg_module
from jax_nst.models.extractor import Extractor, Params
from jax_nst.models.partition import Partition
from jax_nst.models.shards import ROWS
from jax_nst.models.vgg import vgg
from jax_nst.models.wavelet import wavelet
from jax_nst.optim.step import Controls
from jax_nst.runtime.platform import GPU, TPU, Platform, current_platform
from jax_nst.transfer.by_shape import num_bytes
from jax_nst.transfer.layout import Sharded
from jax_nst.transfer.needs import state_of
from jax_nst.transfer.network import Network
from jax_nst.transfer.pictures import Source
from jax_nst.transfer.plan import objects_of
from jax_nst.transfer.programs import step_programs
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import learning_rate_of, resolve, resolve_level_weights
from jax_nst.transfer.target_programs import target_programs
from jax_nst.transfer.targets import Preparation


@dataclasses.dataclass(frozen=True)
class Case:
    """What is compiled.

    Attributes:
      chip: a name of `chips.CHIPS`.
      size: pixels a side.
      height: pixels down, if they are fewer.
      precision: of the features.
      program: `loop`; `rows`, that of one picture whose rows all chips share; or the targets of a picture,
        `content` or `style`.
      features: the extractor.
      optimizer: its name.
      pairs: type of what L-BFGS remembers; `auto` is that of the platform.
      style_loss: a name of `losses.STYLE_TERMS`.
      content_loss: a name of `losses.CONTENT_TERMS`.
      remat: one of `partition.REMATS`.
      tile_size: largest side of tiles in pixels; 0: the picture is computed whole.
      num_pairs: that L-BFGS remembers; 0 for as many as usual.
      items: in a batch; 0 is one picture without a batch. With `rows`, as many groups of chips.
      count: of chips, which share the items.
    """

    chip: str
    size: int = 512
    height: int = 0
    precision: str = "bfloat16"
    program: str = "loop"
    features: str = "vgg19"
    optimizer: str = "lbfgs"
    pairs: str = "auto"
    style_loss: str = "gram"
    content_loss: str = "features"
    remat: str = "none"
    tile_size: int = 0
    num_pairs: int = 0
    items: int = 0
    count: int = 1

    @property
    def platform(self) -> Platform:
        """Of the chip."""
        if self.chip == HERE:
            return current_platform()
        return TPU if CHIPS[self.chip].platform == "tpu" else GPU


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled program."""

    executable: Any
    seconds: float
    """That it took to compile."""
    cpu_seconds: float
    """The same of all threads; it does not depend on what else the machine does."""
    arguments: Any
    """As shapes, with the number of steps last if it is a loop on the device."""

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of each device: of arguments, of temporaries, of results that are written over arguments,
        and of all together."""
        analysis = self.executable.memory_analysis()
        return {
            "arguments": analysis.argument_size_in_bytes,
            "temporaries": analysis.temp_size_in_bytes,
            "donated": analysis.alias_size_in_bytes,
            "total": num_bytes(self.executable),
        }


def compile_case(case: Case) -> Compiled:
    """Compiles the program of a case.

    Raises:
      NoCompilerError: the compiler for its chip is not installed.
    """
    devices = find_devices(case.chip, case.count)
    lowered, arguments = lower(case, devices)
    options = dict(case.platform.compiler_options)
    began = time.perf_counter(), time.process_time()
    executable = lowered.compile(options)
    seconds = time.perf_counter() - began[0], time.process_time() - began[1]
    return Compiled(executable, *seconds, arguments)


def random_arguments(compiled: Compiled) -> Any:
    """Arguments of the program, on its device."""

    def fill(x: jax.ShapeDtypeStruct) -> jax.Array:
        is_float = jnp.issubdtype(x.dtype, jnp.floating)
        values = rng.random(x.shape, np.float32) if is_float else np.zeros(x.shape)
        return jax.device_put(values.astype(x.dtype), x.sharding)

    rng = np.random.default_rng(0)
    return jax.block_until_ready(jax.tree.map(fill, compiled.arguments))


def measure(compiled: Compiled, arguments: Any, loop_on_device: bool, steps: int = 16) -> float:
    """Seconds of a step on the device that the program was compiled for, the fastest of two times `steps`.

    Args:
      compiled: the program.
      arguments: of `random_arguments`; the state is donated.
      loop_on_device: see `Platform`.
      steps: of a call, or so many calls where the host loops.
    """
    state, rest, count = arguments[0], arguments[1:], steps
    if loop_on_device:
        rest, count = (*arguments[1:-1], jnp.asarray(steps, compiled.arguments[-1].dtype)), 1
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        for _ in range(count):
            state, losses = compiled.executable(state, *rest)
            np.asarray(losses)  # waits
        seconds.append((time.perf_counter() - began) / steps)
    return min(seconds)


def lower(case: Case, devices: tuple[Any, ...]) -> tuple[Any, Any]:
    """The program of a case for these devices, before it is compiled, and its arguments as shapes."""
    network = _network(case)
    shape = (case.height or case.size, case.size, 3)
    config = Config(
        size=case.size,
        optimizer=case.optimizer,
        scales=1,
        remat="auto" if case.tile_size else case.remat,
        tile_size=case.tile_size or "auto",
        num_pairs=case.num_pairs or None,
        lbfgs_pairs=case.pairs if case.optimizer == "lbfgs" else "auto",
        style_loss=(case.style_loss,),
        content_loss=(case.content_loss,),
    )
    spec = resolve(config, network.extractor, shape, case.platform)
    level = spec.levels[-1]
    weights = resolve_level_weights(config, spec)[level]
    source = [Source(shape, _no_picture)]
    preparation = Preparation(network, level, spec.platform, source, source, fetch=lambda x: x)
    content, style = preparation.abstract()
    controls = Controls(weights, np.float32(learning_rate_of(config)))
    if case.program in ("content", "style"):
        programs = target_programs(network.extractor, level.terms, case.platform)
        pixels, positions = jax.ShapeDtypeStruct(shape, jnp.float32), preparation.positions
        named = {"style": (programs.statistics, (None,)), "content": (programs.content, (None, positions))}
        program, more = named[case.program]
        arguments = _on(devices[0], (network.params, pixels, *more))
        return program.lower(*arguments), arguments
    count = [0] if case.platform.loop_on_device else []
    if not case.items:
        mesh = _mesh(devices, ROWS) if case.program == "rows" else None
        partition = Partition(case.remat, case.tile_size or None)
        programs = step_programs(objects_of(spec, level), partition, mesh)
        state = state_of(spec, level, spec.choices[0])
        arguments = (network.params, {**content, **style}, controls, *count)
        if programs.rows is None:
            arguments = _on(devices[0], (state, *arguments))
        else:
            arguments = (programs.rows.abstract(state), *programs.rows.copies(arguments))
        return programs.program.lower(*arguments), arguments
    mesh = _mesh(devices, *((ITEMS, ROWS) if case.program == "rows" else (ITEMS,)), groups=case.items)
    programs = step_programs(objects_of(spec, level), Partition(case.remat), mesh)
    per_device = -(-case.items // mesh.shape[ITEMS])
    layout = Sharded(mesh, programs, (content, style), controls, level.shape, per_device, 1, 1)
    whole = NamedSharding(mesh, P())
    steps = [jax.ShapeDtypeStruct((), jnp.int32, sharding=whole) for _ in count]
    arguments = (*layout.abstract(network.params), *steps)
    return programs.program.lower(*arguments), arguments


def _mesh(devices: tuple[Any, ...], *axes: str, groups: int = 1) -> Mesh:
    """All devices along one axis; those of two axes are in groups."""
    shape = (len(devices),) if len(axes) == 1 else (groups, -1)
    return Mesh(np.array(devices).reshape(shape), axes, axis_types=(AxisType.Auto,) * len(axes))


def _network(case: Case) -> Network:
    if case.features == "wavelet":
        return Network(wavelet(precision=case.precision), {}, None)
    extractor = vgg(case.features, precision=case.precision)
    return Network(extractor, jax.eval_shape(extractor.prepare, _params(extractor)), None)


def _params(extractor: Extractor) -> Params:
    """The shapes of the params that the default layers need."""
    layers = (*extractor.content_layers, *extractor.style_layers)
    params = {}
    for conv in vgg_module.needed_convs(extractor.name, layers):
        shape = vgg_module.kernel_shape(conv)
        kernel, bias = (jax.ShapeDtypeStruct(x, jnp.float32) for x in (shape, shape[-1:]))
        params[conv] = {"kernel": kernel, "bias": bias}
    return params


def _on(device: Any, tree: Any) -> Any:
    """The tree as shapes of arrays on a device."""
    sharding = SingleDeviceSharding(device)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x), sharding=sharding), tree
    )


def _no_picture() -> np.ndarray:
    raise RuntimeError("programs are compiled from shapes alone")
