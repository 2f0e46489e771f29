"""The TypeScript client, on the deployed template."""

import os
import subprocess

from local.layout import ROOT
from tests.conftest import Platform


def test_the_typescript_client_does_the_main_job(platform: Platform) -> None:
    user = next(user for user in platform.users if user.username == "user@acme")
    account = {"EMAIL_SENDER_USER": user.username, "EMAIL_SENDER_PASSWORD": user.password}
    environment = os.environ | account | {"EMAIL_SENDER_URL": platform.cloud.api_url}
    command = ["npm", "--prefix", str(ROOT / "clients/typescript"), "test", "--silent"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SKIP" not in result.stdout
    assert "the main job" in result.stdout
