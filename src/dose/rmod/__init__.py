"""RMOD, the training data: a seed becomes a recipe, a recipe becomes a mix and the one-shots in it."""

from dose.rmod.config import RmodConfig
from dose.rmod.dataset import TestItem, items, stream
from dose.rmod.draw import draw
from dose.rmod.mix_spec import MixSpec
from dose.rmod.render import Rendered, render

__all__ = ["MixSpec", "Rendered", "RmodConfig", "TestItem", "draw", "items", "render", "stream"]
