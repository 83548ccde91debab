"""RMOD, the training data: a seed gives a mix specification, which is rendered to a mix and its one-shots."""

from dose.rmod.config import RmodConfig
from dose.rmod.dataset import TestItem, items, stream
from dose.rmod.draw import draw
from dose.rmod.mix_spec import MixSpec
from dose.rmod.render import Rendered, render

__all__ = ["MixSpec", "Rendered", "RmodConfig", "TestItem", "draw", "items", "render", "stream"]
