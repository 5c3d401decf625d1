"""Items and queries to vectors: model families, photos, and the thread torch runs in."""

from encoders.families import load
from encoders.model import Inputs, Model
from encoders.service import EncodePolicy, EncoderService

__all__ = ["EncodePolicy", "EncoderService", "Inputs", "Model", "load"]
