"""The databases of the integration tests, for the pages that begin with one."""

from tests.integration.conftest import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]
