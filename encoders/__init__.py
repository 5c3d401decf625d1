"""Items and queries to vectors: model families, photos, and the threads in which models run."""

from encoders.batching.executor import Priority
from encoders.model import Inputs, Model
from encoders.models.load import load
from encoders.policy import EncodePolicy
from encoders.service import EncoderService

__all__ = ["EncodePolicy", "EncoderService", "Inputs", "Model", "Priority", "load"]
