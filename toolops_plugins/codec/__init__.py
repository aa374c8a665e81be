"""Encoding of values as bytes and back, by registered type and without pickle."""

from toolops_plugins.codec.codec import ERROR, JSON, MAX_VALUE_BYTES, TAGGED, Codec
from toolops_plugins.codec.payload import Payload

__all__ = ["ERROR", "JSON", "MAX_VALUE_BYTES", "TAGGED", "Codec", "Payload"]
