"""The admin service."""

from __future__ import annotations

from api.kernel.service import Service
from api.services.admin.kinds.session import SESSION
from api.services.admin.kinds.token import TOKEN
from api.services.admin.kinds.user import USER

SERVICE = Service("admin", "Admin", [USER, SESSION, TOKEN], description="Users, logins and tokens.")
