"""Label Studio under gunicorn, with database connections that outlive a request.

Stock Label Studio opens a new connection for each request; on Postgres that is a quarter of the
cost of an annotation. And every few requests it halts for a quarter of a second, while Python looks
for garbage among all that the application is made of.
"""

import gc

from core.wsgi import application  # type: ignore[import-not-found]
from django.db import connections  # type: ignore[import-not-found]

__all__ = ["application"]

# A settings module of our own that imports theirs does not work (it wants SENTRY_DSN first).
connections.settings["default"]["CONN_MAX_AGE"] = 600
connections.settings["default"]["CONN_HEALTH_CHECKS"] = True
# What was opened while the application loaded was opened under the old rule.
connections.close_all()

# What is loaded now lives as long as the process: no collection need walk through it again.
gc.collect()
gc.freeze()
