"""Early-exit language models: configuration, weights, row-wise and full-sequence forward."""

from drex_runtime.model.confidence import CONFIDENCE_KINDS, confidence, exit_ready
from drex_runtime.model.config import ModelConfig, parse_config, read_config
from drex_runtime.model.early_exit import EarlyExitConfig
from drex_runtime.model.llama import DecoderLayer, EarlyExitLlama, random_model
from drex_runtime.model.loading import load_model, save_model
from drex_runtime.model.tokenizer import TextStream, Tokenizer

__all__ = [
    "CONFIDENCE_KINDS",
    "DecoderLayer",
    "EarlyExitConfig",
    "EarlyExitLlama",
    "ModelConfig",
    "TextStream",
    "Tokenizer",
    "confidence",
    "exit_ready",
    "load_model",
    "parse_config",
    "random_model",
    "read_config",
    "save_model",
]
