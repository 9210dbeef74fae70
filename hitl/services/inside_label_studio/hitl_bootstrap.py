"""Migrate Label Studio's database and create its administrator, without a browser.

Run once per database, with the server's environment less DJANGO_SETTINGS_MODULE. Safe to repeat:
applied migrations are skipped; an administrator that exists gets this password and token.
Arguments: the file to write when all is done, and what to write into it.
Private names of label_studio.server, hence the exact pin in label_studio.lock.
"""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

from label_studio import server  # type: ignore[import-not-found]

server._setup_env()
server._apply_database_migrations()

wanted = SimpleNamespace(
    username=None, password=None, user_token=None, enable_legacy_api_token=True, quiet_mode=True
)
user = server._create_user(wanted, {})
if user is None:
    raise SystemExit("no administrator was created")

password, token = os.environ["LABEL_STUDIO_PASSWORD"], os.environ["LABEL_STUDIO_USER_TOKEN"]
if not user.check_password(password):
    user.set_password(password)
    user.save()
if user.auth_token.key != token:
    type(user.auth_token).objects.filter(user=user).delete()
    type(user.auth_token).objects.create(user=user, key=token)

# The last line: whoever started this believes nothing else.
Path(sys.argv[1]).write_text(sys.argv[2], encoding="utf-8")
