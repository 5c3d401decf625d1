"""Items and queries to vectors: model families, photos, and the threads torch runs in."""

from encoders.batching.executor import Priority
from encoders.lane import EncodePolicy
from encoders.model import Inputs, Model
from encoders.models.load import load
from encoders.service import EncoderService

__all__ = ["EncodePolicy", "EncoderService", "Inputs", "Model", "Priority", "load"]
