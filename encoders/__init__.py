"""Items and queries to vectors: model families, photos, and the threads torch runs in."""

from encoders.families import load
from encoders.lane import EncodePolicy
from encoders.model import Inputs, Model
from encoders.service import EncoderService
from encoders.thread import Turn

__all__ = ["EncodePolicy", "EncoderService", "Inputs", "Model", "Turn", "load"]
