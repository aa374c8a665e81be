from toolops_plugins.telemetry.prometheus import child_exit  # noqa: F401 - gunicorn calls it
