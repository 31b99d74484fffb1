"""Tenants and keys as an operator makes them."""

import itertools

from .client import Client

numbers = itertools.count(1)


class Operator:
    """The one who holds the admin key."""

    def __init__(self, service):
        self.client = Client(service, service.admin_key)

    def new_tenant(self, quotas=None, name=None):
        """The id of a tenant that was just made."""
        body = {"id": name or f"tenant-{next(numbers)}"}
        if quotas:
            body["quotas"] = quotas
        reply = self.client.post("/v1/tenants", body)
        assert reply.status == 201, reply
        return body["id"]

    def new_key(self, tenant, scopes=("read", "write", "admin"), **more):
        """The key and its record."""
        reply = self.client.post(f"/v1/tenants/{tenant}/keys", {"scopes": list(scopes), **more})
        assert reply.status == 201, reply
        made = reply.json()
        return made["key"], made["record"]

    def new_tenant_key(self, quotas=None, scopes=("read", "write", "admin")):
        tenant = self.new_tenant(quotas)
        return tenant, self.new_key(tenant, scopes)[0]
