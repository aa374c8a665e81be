"""Prices of models by their tokens: published ones, and the user's own on top."""

from toolops_plugins.prices.client_prices import ModelPrices
from toolops_plugins.prices.tables import TokenPrice

__all__ = ["ModelPrices", "TokenPrice"]
