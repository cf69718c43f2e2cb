"""Which devices share the pictures of a batch, and the rows of a picture."""

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jax_nst.losses.grouped import network_layers
from jax_nst.models.shards import ROWS, count_shares
from jax_nst.transfer.network import Network
from jax_nst.transfer.rows import ITEMS
from jax_nst.transfer.spec import Level, Spec

LEAST_ROWS = 64
"""Rows of a device; with fewer, most of what it evaluates are rows of its neighbours."""


def mesh_of_picture(network: Network, spec: Spec, level: Level) -> Mesh | None:
    """The devices that share the rows of one picture; None if one device has them all."""
    if not spec.platform.shares_rows:
        return None
    # One of each process before the second of any: each has a part in every level.
    devices = sorted(jax.devices(), key=lambda device: (device.id - _first_id(device), device.id))
    sharing = num_sharing(network, level, len(devices))
    if sharing < max(2, jax.process_count()):
        return None
    return Mesh(np.asarray(devices[:sharing]), (ROWS,), axis_types=(AxisType.Auto,))


def mesh_of_items() -> Mesh:
    """All devices, each with items of its own."""
    return _mesh_of_groups(jax.device_count(), 1)


def mesh_of_batch(network: Network, spec: Spec, level: Level, num_groups: int) -> Mesh:
    """So many groups of devices, each with items of its own, whose rows it shares.

    At a level with few rows, some devices of each group have none.

    Args:
      network: gives the features.
      spec: of the items.
      level: of the spec.
      num_groups: divides the number of all devices.
    """
    most = jax.device_count() // num_groups if spec.platform.shares_rows else 1
    return _mesh_of_groups(num_groups, num_sharing(network, level, most))


def count_groups(network: Network, spec: Spec, num_items: int) -> int:
    """The number of groups of devices that paint so many items in the least time.

    Where there are fewer items than devices, the devices of a group share the rows of its pictures; they
    belong to one process. As many groups as devices share none.
    """
    num_devices, most = jax.device_count(), jax.local_device_count()
    if num_items >= num_devices or not spec.platform.shares_rows:
        return num_devices

    def time(num_groups: int) -> float:
        sharing = num_sharing(network, spec.levels[-1], num_devices // num_groups)
        return math.ceil(num_items / num_groups) / sharing

    candidates = (num_devices // size for size in range(1, most + 1) if most % size == 0)
    return min(candidates, key=lambda num_groups: (time(num_groups), -num_groups))


def num_sharing(network: Network, level: Level, num_devices: int) -> int:
    """How many of so many devices share the rows of a picture of a level."""
    layers = network_layers(level.terms)
    least = LEAST_ROWS if num_devices <= jax.local_device_count() else 1  # each process has a part
    if not layers:
        return 1
    return count_shares(network.extractor, network.params, level.shape, layers, num_devices, least)


def _mesh_of_groups(num_groups: int, sharing: int) -> Mesh:
    """Of the axis `ITEMS`, and `ROWS` where more than one device of a group shares them."""
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    groups = np.asarray(devices).reshape(num_groups, -1)
    if sharing == 1:
        return Mesh(groups[:, 0], (ITEMS,), axis_types=(AxisType.Auto,))
    return Mesh(groups[:, :sharing], (ITEMS, ROWS), axis_types=(AxisType.Auto,) * 2)


def _first_id(device: Any) -> int:
    """The least number of a device of the same process."""
    return min(other.id for other in jax.devices() if other.process_index == device.process_index)
