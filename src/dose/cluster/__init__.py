"""Work that is split into shards: in this process, in worker processes, or on a Ray cluster."""

from dose.cluster.capacity import describe_cluster, require_room
from dose.cluster.ray_session import start_ray, stop_ray
from dose.cluster.shards import map_shards
from dose.cluster.source import SOURCE, check_source

__all__ = [
    "SOURCE",
    "check_source",
    "describe_cluster",
    "map_shards",
    "require_room",
    "start_ray",
    "stop_ray",
]
