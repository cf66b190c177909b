"""Public RouterOS REST clients against the double: list, filter, create, change, delete, errors.

Each client is used as its own documentation says; an adapter gives the same names to the same deeds.
Usage: clients.py CLIENT URL CA USER PASSWORD. Prints one line per deed; any difference ends it.
"""

import json
import os
import sys
from urllib.parse import urlparse

MEMBERS = [".id", "name", "max-limit"]


class Refused(Exception):
    """The router said no: the status (if the client tells it) and the text."""


class RosRestPy:
    """rosrestpy: requests with a pool of connections, replies into classes of its own."""

    def __init__(self, url, ca, user, password):
        import requests
        from ros import Ros

        # This setting of the machine would come before the CA that we give.
        os.environ["REQUESTS_CA_BUNDLE"] = ca
        # Without a session of its own, all its instances share one, and with it the password.
        self.ros = Ros(url, user, password, session=requests.Session(), secure=ca)

    def _try(self, deed):
        from ros import Error

        try:
            return deed()
        except Error as error:
            raise Refused(f"{error.error} {error.detail}") from error
        except json.JSONDecodeError as error:
            raise Refused("no JSON") from error

    @staticmethod
    def _row(queue):
        return {".id": queue.id, "name": queue.name, "max-limit": queue.max_limit, "invalid": queue.invalid}

    def list(self):
        return [self._row(queue) for queue in self._try(lambda: self.ros.queue.tree())]

    def find(self, name):
        return [self._row(queue) for queue in self._try(lambda: self.ros.queue.tree(name=name))]

    def create(self, name, parent, queue, limit):
        from ros.queue import QueueTree

        wanted = QueueTree(name=name, parent=parent, packet_mark="", queue=queue, max_limit=limit)
        return self._row(self._try(lambda: self.ros.queue.tree.add(wanted)))

    def change(self, row, member, value):
        tree, name = self.ros.queue.tree, row["name"]
        queue = tree(name=name)[0] if name else None
        return self._row(self._try(lambda: tree.set(queue, {member: value})))

    def delete(self, row):
        # Its own remove() leaves the router's address out.
        reply = self.ros.session.delete(f"{self.ros.url}/queue/tree/{row['.id']}")
        if reply.status_code not in (200, 204):
            raise Refused(f"{reply.status_code} {reply.json().get('detail')}")

    def version(self):
        return self.ros.system.resource.version


class RouterosClient:
    """routeros-client: urllib, one connection per request, rows as they come."""

    def __init__(self, url, ca, user, password):
        from routeros_client import rest_connect

        os.environ["SSL_CERT_FILE"] = ca
        where = urlparse(url)
        self.api = rest_connect(where.hostname, user, password, port=where.port, max_retries=1)

    def _try(self, deed):
        from routeros_client import RouterOSAPIError

        try:
            return deed()
        except RouterOSAPIError as error:
            raise Refused(str(error).replace("HTTP ", "").replace(" :", "")) from error

    def list(self):
        return self._try(lambda: self.api.get("/queue/tree"))

    def find(self, name):
        query = {".query": [f"name={name}"], ".proplist": MEMBERS}
        return self._try(lambda: self.api.print("/queue/tree", **query))

    def create(self, name, parent, queue, limit):
        members = {"name": name, "parent": parent, "queue": queue, "max-limit": limit}
        return self._try(lambda: self.api.add("/queue/tree", **members))

    def change(self, row, member, value):
        return self._try(lambda: self.api.set(f"/queue/tree/{row['.id']}", **{member: value}))

    def delete(self, row):
        self._try(lambda: self.api.remove(f"/queue/tree/{row['.id']}"))

    def version(self):
        return self._try(lambda: self.api.get("/system/resource"))["version"]


class MikrotikRestMcp:
    """The client inside mikrotik-rest-mcp-server: urllib; it tells whole error bodies."""

    def __init__(self, url, ca, user, password):
        os.environ.update(SSL_CERT_FILE=ca, MIKROTIK_BASE=url, MIKROTIK_USERNAME=user, MIKROTIK_PASSWORD=password)
        from mikrotik_rest_mcp.client import RouterOSClient

        self.client = RouterOSClient()

    def _ask(self, method, path, data=None):
        from mikrotik_rest_mcp.client import RouterOSError

        try:
            return self.client.request(method, f"/rest{path}", data)
        except RouterOSError as error:
            status, _, body = str(error).removeprefix("HTTP ").partition(": ")
            detail = json.loads(body).get("detail") if body.strip() else "no JSON"
            raise Refused(f"{status.split()[0]} {detail}") from error

    def list(self):
        return self._ask("GET", "/queue/tree")

    def find(self, name):
        return self._ask("GET", f"/queue/tree?name={name}&.proplist={','.join(MEMBERS)}")

    def create(self, name, parent, queue, limit):
        given = {"name": name, "parent": parent, "queue": queue, "max-limit": limit}
        made = self._ask("POST", "/queue/tree/add", given)
        return self._ask("GET", f"/queue/tree/{made['ret']}")

    def change(self, row, member, value):
        done = self._ask("POST", "/queue/tree/set", {".id": row[".id"], member: value})
        same(done, [], "set answers an empty list")
        return self._ask("GET", f"/queue/tree/{row['.id']}")

    def delete(self, row):
        same(self._ask("DELETE", f"/queue/tree/{row['.id']}")["ok"], True, "an empty body")

    def version(self):
        return self._ask("GET", "/system/resource")["version"]


CLIENTS = {
    "rosrestpy": RosRestPy,
    "routeros-client": RouterosClient,
    "mikrotik-rest-mcp-server": MikrotikRestMcp,
}


def same(got, wanted, what):
    if got != wanted:
        sys.exit(f"{what}: {got!r} instead of {wanted!r}")
    print(what)


def refused(deed, words, what):
    try:
        got = deed()
    except Refused as error:
        missing = [word for word in words if word not in str(error)]
        same(missing, [], f"{what}: {error}")
    else:
        sys.exit(f"{what}: not refused but {got!r}")


def main(name, url, ca, user, password):
    client = CLIENTS[name](url, ca, user, password)
    same(client.version().split()[0].split(".")[0], "7", "the version of a single object")

    rows = client.list()
    same([row["name"] for row in rows], ["wan1-dl", "wan1-ul"], "a list")
    same([row["max-limit"] for row in rows], ["100000000", "20000000"], "values as text")
    same({row[".id"][0] for row in rows}, {"*"}, "ids begin with a star")

    found = client.find("wan1-ul")
    same([row[".id"] for row in found], [rows[1][".id"]], "a filter by name")
    same(client.find("nobody"), [], "a filter that fits nothing")

    made = client.create("guest", "ether2", "cake", "10M")
    same(made["max-limit"], "10000000", "10M reads back as a number")
    same([row["name"] for row in client.list()], ["wan1-dl", "wan1-ul", "guest"], "a new row is the last")

    changed = client.change(made, "max-limit", "12M")
    same((changed[".id"], changed["max-limit"]), (made[".id"], "12000000"), "a change")
    same(client.find("guest")[0]["max-limit"], "12000000", "it is there for the next reader")

    refused(lambda: client.create("guest", "ether2", "cake", "1M"), ["400", "already have"], "a second of one name")
    refused(lambda: client.change(made, "vrf", "x"), ["400", "unknown parameter vrf"], "an unknown member")
    refused(lambda: client.change(made, "queue", "x"), ["400", "does not match"], "an unknown queue type")

    client.delete(made)
    same(len(client.list()), 2, "a row is gone")
    refused(lambda: client.delete(made), ["404"], "it can't go twice")

    stranger = CLIENTS[name](url, ca, user, password + "x")
    # A 401 has no body: what a client makes of that is its own matter.
    refused(stranger.list, [], "a wrong password")


if __name__ == "__main__":
    main(*sys.argv[1:])
