"""Live statistics for notebooks: a widget that follows calls while cells run."""
