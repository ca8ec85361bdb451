"""What it costs to guess a password from its hash; the other tests hash cheaply."""

from __future__ import annotations

import subprocess
import sys


def test_a_hash_is_as_costly_as_owasp_says() -> None:
    program = (
        "from api.kernel.credentials.passwords import hash_password; print(hash_password('a long enough password'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
