"""/mcp over Streamable HTTP: both eras on one path, who may call, and what is told when somebody may not."""

import http.client
import json
import threading
import time
import unittest

from mcp_client import LEGACY, META, MODERN, Http, Service, error_text, eventually, modern_meta, structured
from support.client import Client
from support.tenants import Operator

SECRET = "0123456789abcdef0123456789abcdef"


class Events:
    """A stream of server-sent events that is read beside the test."""

    def __init__(self, service, method, headers, body=None):
        self.connection = http.client.HTTPConnection(service.host, service.port, timeout=60)
        self.connection.request(method, "/mcp", body, headers)
        self.reply = self.connection.getresponse()
        self.messages = []
        self.is_over = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.reply:
                if line.startswith(b"data: "):
                    self.messages.append(json.loads(line[6:]))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        self.is_over = True

    def wait_for(self, method):
        return eventually(lambda: next((each for each in self.messages if each.get("method") == method), None), 20)

    def close(self):
        self.connection.sock.shutdown(2)
        self.connection.close()


class HttpCase(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.service = Service(settings=cls.settings).start()

    @classmethod
    def tearDownClass(cls):
        cls.service.close()


class Modern(HttpCase):
    def test_each_request_stands_alone(self):
        client = Http(self.service)
        status, told, _ = client.modern("server/discover")
        self.assertEqual(200, status)
        self.assertIn(MODERN, told["result"]["supportedVersions"])
        status, made, _ = client.modern("tools/call", {"name": "create_session", "arguments": {"user_id": "ada"}})
        session = structured(made["result"])
        self.assertEqual(["complete", "ada"], [made["result"]["resultType"], session["user_id"]])
        _, read, _ = client.modern("resources/read", {"uri": "session://" + session["id"]})
        self.assertEqual(["private", 0], [read["result"]["cacheScope"], read["result"]["ttlMs"]])

    def test_what_headers_say_must_be_what_the_body_says(self):
        client = Http(self.service)
        for headers, code in (({"MCP-Protocol-Version": None}, -32020), ({"MCP-Protocol-Version": LEGACY}, -32020),
                              ({"Mcp-Method": "tools/call"}, -32020), ({"Mcp-Method": None}, -32020)):
            status, answer, _ = client.modern("tools/list", headers=headers)
            self.assertEqual((400, code), (status, answer["error"]["code"]), headers)
        call = {"name": "find_sessions", "arguments": {}}
        for name, status in (("find_documents", 400), (None, 400), ("=?base64?ZmluZF9zZXNzaW9ucw==?=", 200)):
            self.assertEqual(status, client.modern("tools/call", call, headers={"Mcp-Name": name})[0], name)

    def test_mistakes_have_the_codes_and_statuses_of_the_version(self):
        client = Http(self.service)
        for method, meta, headers, expected in (
                ("tools/list", {}, {}, (400, -32602)),
                ("tools/list", {META + "protocolVersion": MODERN}, {}, (400, -32602)),
                ("tools/list", {**modern_meta(), META + "protocolVersion": "2099-01-01"},
                 {"MCP-Protocol-Version": "2099-01-01"}, (400, -32022)),
                ("initialize", None, {}, (404, -32601)), ("ping", None, {}, (404, -32601)),
                ("resources/subscribe", None, {}, (404, -32601))):
            status, answer, _ = client.modern(method, headers=headers, meta=meta)
            self.assertEqual(expected, (status, answer["error"]["code"]), (method, meta))
        self.assertEqual(202, client.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}},
                                          {"MCP-Protocol-Version": MODERN, "Mcp-Method": "notifications/cancelled"})[0])
        status, _, answer = client.post(None, {"MCP-Protocol-Version": MODERN}, body="{")
        self.assertEqual((400, -32700), (status, answer["error"]["code"]))

    def test_a_listener_hears_of_a_sessions_events_until_it_goes(self):
        client = Http(self.service)
        session = structured(client.modern("tools/call", {"name": "create_session", "arguments": {"user_id": "ada"}})
                             [1]["result"])["id"]
        params = {"notifications": {"resourceSubscriptions": ["session://" + session]}, "_meta": modern_meta()}
        listener = Events(self.service, "POST", {"Content-Type": "application/json", "MCP-Protocol-Version": MODERN,
                                                 "Mcp-Method": "subscriptions/listen"},
                          json.dumps({"jsonrpc": "2.0", "id": "L", "method": "subscriptions/listen", "params": params}))
        listener.wait_for("notifications/subscriptions/acknowledged")
        client.modern("tools/call", {"name": "append_messages",
                                     "arguments": {"session_id": session, "messages": [{"role": "user", "content": "x"}]}})
        heard = listener.wait_for("notifications/resources/updated")
        self.assertEqual(["L", "session://" + session],
                         [heard["params"]["_meta"][META + "subscriptionId"], heard["params"]["uri"]])
        listener.close()

    def test_who_goes_away_gives_up_the_place_in_line(self):
        client = Http(self.service)
        ask = lambda name, **arguments: client.modern("tools/call", {"name": name, "arguments": arguments})[1]["result"]
        session = structured(ask("create_session", user_id="ada"))["id"]
        first = structured(ask("start_turn", session_id=session))["turn"]["id"]
        params = {"name": "start_turn", "arguments": {"session_id": session, "wait_s": 50}, "_meta": modern_meta()}
        waiting = http.client.HTTPConnection(self.service.host, self.service.port)
        waiting.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
                        {"Content-Type": "application/json", "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call",
                         "Mcp-Name": "start_turn"})
        queued = lambda: [each["status"] for each in self.turns(session)].count("queued")
        eventually(lambda: queued() == 1)
        waiting.close()
        eventually(lambda: queued() == 0)
        structured(ask("end_turn", session_id=session, turn_id=first, outcome="cancelled"))

    def turns(self, session):
        connection = http.client.HTTPConnection(self.service.host, self.service.port)
        connection.request("GET", f"/v1/sessions/{session}/turns")
        return json.loads(connection.getresponse().read())["items"]


class Legacy(HttpCase):
    def test_a_session_is_opened_used_and_ended(self):
        client = Http(self.service)
        self.assertEqual(LEGACY, client.initialize()["protocolVersion"])
        self.assertEqual(43, len(client.session))
        made = structured(client.call("create_session", user_id="ada"))
        self.assertEqual("ada", made["user_id"])
        other = Http(self.service)
        other.session, other.version = "x" * 43, LEGACY
        self.assertEqual(404, other.ask("tools/list")[0])
        other.session = None
        self.assertEqual(400, other.ask("tools/list")[0])
        connection = http.client.HTTPConnection(self.service.host, self.service.port)
        connection.request("DELETE", "/mcp", headers={"Mcp-Session-Id": client.session})
        self.assertEqual(204, connection.getresponse().status)
        self.assertEqual(404, client.ask("tools/list")[0])

    def test_a_client_of_2025_03_26_may_send_several_at_once(self):
        client = Http(self.service)
        self.assertEqual("2025-03-26", client.initialize("2025-03-26")["protocolVersion"])
        status, _, answers = client.post([{"jsonrpc": "2.0", "id": 1, "method": "ping"},
                                          {"jsonrpc": "2.0", "method": "notifications/initialized"},
                                          {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}])
        self.assertEqual((200, [1, 2]), (status, [each["id"] for each in answers]))
        newer = Http(self.service)
        newer.initialize()
        self.assertEqual(400, newer.post([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])[0])

    def test_the_stream_tells_of_events_that_were_subscribed_to(self):
        client = Http(self.service)
        client.initialize()
        session = structured(client.call("create_session", user_id="ada"))["id"]
        stream = Events(self.service, "GET", {"Accept": "text/event-stream", "Mcp-Session-Id": client.session})
        self.assertEqual(200, stream.reply.status)
        second = Events(self.service, "GET", {"Accept": "text/event-stream", "Mcp-Session-Id": client.session})
        self.assertEqual(409, second.reply.status)
        self.assertEqual({}, client.ask("resources/subscribe", {"uri": "session://" + session})[1]["result"])
        structured(client.call("append_messages", session_id=session, messages=[{"role": "user", "content": "x"}]))
        heard = stream.wait_for("notifications/resources/updated")
        self.assertEqual({"uri": "session://" + session}, heard["params"])
        stream.close()

    def test_get_and_delete_are_for_sessions_alone(self):
        for method in ("GET", "DELETE"):
            connection = http.client.HTTPConnection(self.service.host, self.service.port)
            connection.request(method, "/mcp", headers={"MCP-Protocol-Version": MODERN})
            reply = connection.getresponse()
            self.assertEqual((405, "POST, OPTIONS"), (reply.status, reply.getheader("Allow")))


    def test_a_version_that_no_session_is_spoken_in_is_refused(self):
        client = Http(self.service)
        client.initialize()
        ping = {"jsonrpc": "2.0", "id": "v", "method": "ping"}
        for version, status in (("1999-01-01", 400), (MODERN, 400), (LEGACY, 200), ("2025-03-26", 200), (None, 200)):
            headers = {"MCP-Protocol-Version": version}
            self.assertEqual(status, client.post(ping, headers)[0], version)
        stream = Events(self.service, "GET", {"Accept": "text/event-stream", "Mcp-Session-Id": client.session,
                                              "MCP-Protocol-Version": "1999-01-01"})
        self.assertEqual(400, stream.reply.status)

    def test_a_session_is_initialized_once(self):
        client = Http(self.service)
        client.initialize()
        again = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        status, answer = client.ask("initialize", again)
        self.assertEqual((400, -32600), (status, answer["error"]["code"]))
        self.assertEqual({}, client.ask("ping")[1]["result"])


class Databases(HttpCase):
    """Database sessions of clients over HTTP: statements that are cancelled, clients that end."""

    def sql(self, client, handle, text, **more):
        return structured(client.call("execute_sql", database_session_id=handle, sql=text, **more))

    def locked(self, table):
        """A client in a transaction that has the table locked, its stream, and its handle."""
        client = Http(self.service)
        client.initialize()
        handle = structured(client.call("open_database_session", access="read_write"))["id"]
        self.sql(client, handle, f"CREATE TABLE {table} (n int)")
        stream = Events(self.service, "GET", {"Accept": "text/event-stream", "Mcp-Session-Id": client.session})
        self.assertEqual(200, stream.reply.status)
        self.sql(client, handle, "BEGIN")
        self.sql(client, handle, f"LOCK TABLE {table}")
        return client, stream, handle

    def assert_free(self, table):
        """Before anything but the end of who has locked it frees it: that was idle for far less than it may be."""
        other = Http(self.service)
        other.initialize()
        handle = structured(other.call("open_database_session", access="read_write"))["id"]
        began = time.monotonic()
        self.sql(other, handle, f"INSERT INTO {table} VALUES (1)", timeout_s=60)
        print(f"the lock of {table} was free after {time.monotonic() - began:.2f} s")

    def test_a_client_whose_stream_breaks_off_for_good_holds_nothing_any_more(self):
        _, stream, _ = self.locked("dropped")
        stream.close()
        self.assert_free("dropped")

    def test_a_client_that_is_deleted_holds_nothing_any_more(self):
        client, stream, _ = self.locked("deleted")
        connection = http.client.HTTPConnection(self.service.host, self.service.port)
        connection.request("DELETE", "/mcp", headers={"Mcp-Session-Id": client.session})
        self.assertEqual(204, connection.getresponse().status)
        self.assert_free("deleted")
        stream.close()

    def test_a_client_that_comes_back_or_asks_for_something_keeps_its_transaction(self):
        client, stream, handle = self.locked("kept")
        for has_stream in (True, False):
            stream.close()
            if has_stream:
                headers = {"Accept": "text/event-stream", "Mcp-Session-Id": client.session}
                stream = eventually(lambda: (made := Events(self.service, "GET", headers)).reply.status == 200 and made)
            else:
                # Asked while it was not noticed yet would be before the stream broke off.
                until = time.monotonic() + 2
                while time.monotonic() < until:
                    client.ask("ping")
            time.sleep(2)
            self.assertEqual("in_transaction", self.sql(client, handle, "SELECT 1")["transaction_status"])

    def test_a_statement_is_cancelled_with_its_request_in_the_way_of_each_era(self):
        client = Http(self.service)
        client.initialize()
        handle = structured(client.call("open_database_session"))["id"]
        self.sql(client, handle, "SET search_path = 'pg_catalog'")
        call = {"name": "execute_sql", "arguments": {"database_session_id": handle, "sql": "SELECT pg_sleep(600)",
                                                     "timeout_s": 300}}
        running = threading.Thread(target=client.post, args=(
            {"jsonrpc": "2.0", "id": "long", "method": "tools/call", "params": call},))
        running.start()
        self.await_statement()
        self.assertEqual(202, client.post({"jsonrpc": "2.0", "method": "notifications/cancelled",
                                           "params": {"requestId": "long"}})[0])
        # It waits behind the other one, and its own time would be over long before that one's.
        self.assertEqual([["pg_catalog"]], self.sql(client, handle, "SHOW search_path", timeout_s=60)["rows"])
        running.join()

        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**call, "_meta": modern_meta()}}
        leaving = http.client.HTTPConnection(self.service.host, self.service.port)
        leaving.request("POST", "/mcp", json.dumps(body), {"Content-Type": "application/json", "Mcp-Name": "execute_sql",
                                                           "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call"})
        self.await_statement()
        leaving.close()
        self.assertEqual([["pg_catalog"]], self.sql(client, handle, "SHOW search_path", timeout_s=60)["rows"])

    def await_statement(self):
        sql = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'"
        eventually(lambda: self.service.psql(sql) == [["1"]], 30)


class Doors(HttpCase):
    settings = {"mcp_allowed_hosts": "mcp.example.com", "mcp_allowed_origins": "https://app.example.com"}

    def test_pages_of_elsewhere_and_names_of_elsewhere_are_refused(self):
        client = Http(self.service)
        for headers, status in (({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 403),
                                ({"Origin": "null"}, 403), ({"Origin": "http://localhost.evil.example"}, 403),
                                ({"Origin": "http://127.0.0.1:80@evil.example"}, 403),
                                ({"Origin": "http://localhost:80@evil.example:80"}, 403),
                                ({"Host": "localhost:80@evil.example"}, 403), ({"Host": "127.0.0.1:8080x"}, 403),
                                ({"Origin": "https://app.example.com"}, 200), ({"Host": "mcp.example.com:80"}, 200),
                                ({"Origin": "http://localhost:3000"}, 200), ({"Host": "[::1]:8080"}, 200)):
            self.assertEqual(status, client.modern("server/discover", headers=headers)[0], headers)


class Revocation(HttpCase):
    def test_what_a_key_has_opened_ends_when_it_is_revoked(self):
        operator = Operator(self.service)
        tenant = operator.new_tenant()
        key, record = operator.new_key(tenant)
        other = Http(self.service, key=operator.new_key(tenant)[0])
        other.initialize()
        client = Http(self.service, key=key)
        client.initialize()
        session = structured(client.call("create_session", user_id="ada"))["id"]
        handle = structured(client.call("open_database_session", access="read_write"))["id"]
        plain = Client(self.service, key)
        plain_handle = plain.post("/v1/database-sessions", {"access": "read_write"}).json()["id"]
        for sql in ("CREATE TABLE one (n int)", "CREATE TABLE two (n int)", "BEGIN", "LOCK TABLE one"):
            structured(client.call("execute_sql", database_session_id=handle, sql=sql))
        for sql in ("BEGIN", "LOCK TABLE two"):
            self.assertEqual(200, plain.post(f"/v1/database-sessions/{plain_handle}/execute", {"sql": sql}).status)
        authorization = {"Authorization": "Bearer " + key}
        stream = Events(self.service, "GET", {"Accept": "text/event-stream", "Mcp-Session-Id": client.session,
                                              **authorization})
        params = {"notifications": {"resourceSubscriptions": ["session://" + session]}, "_meta": modern_meta()}
        listener = Events(self.service, "POST", {"Content-Type": "application/json", "MCP-Protocol-Version": MODERN,
                                                 "Mcp-Method": "subscriptions/listen", **authorization},
                          json.dumps({"jsonrpc": "2.0", "id": "L", "method": "subscriptions/listen", "params": params}))
        listener.wait_for("notifications/subscriptions/acknowledged")
        self.assertEqual(204, operator.client.delete(f"/v1/tenants/{tenant}/keys/{record['id']}").status)
        eventually(lambda: stream.is_over and listener.is_over, 20)
        structured(other.call("append_messages", session_id=session, messages=[{"role": "user", "content": "x"}]))
        self.assertNotIn("notifications/resources/updated",
                         [each.get("method") for each in stream.messages + listener.messages])
        self.assertEqual(401, client.ask("tools/list")[0])
        free = structured(other.call("open_database_session", access="read_write"))["id"]
        for table in ("one", "two"):
            structured(other.call("execute_sql", database_session_id=free, sql=f"INSERT INTO {table} VALUES (1)",
                                  timeout_s=60))


class Authorization(HttpCase):
    settings = {"jwt_secret": SECRET, "jwt_issuer": "https://auth.example.com",
                "mcp_resource_url": "https://mcp.example.com/mcp", "mcp_allowed_hosts": "mcp.example.com"}

    def token(self, **claims):
        from support.tokens import hs256
        said = {"tenant": "default", "sub": "ada", "iss": "https://auth.example.com", "exp": int(time.time()) + 600,
                "aud": "https://mcp.example.com/mcp", "scope": "read write", **claims}
        return hs256(SECRET, {name: value for name, value in said.items() if value is not None})

    def test_where_tokens_are_had_is_told(self):
        connection = http.client.HTTPConnection(self.service.host, self.service.port)
        connection.request("GET", "/.well-known/oauth-protected-resource/mcp")
        told = json.loads(connection.getresponse().read())
        self.assertEqual(["https://mcp.example.com/mcp", ["https://auth.example.com"], ["read", "write"], ["header"]],
                         [told[name] for name in ("resource", "authorization_servers", "scopes_supported",
                                                  "bearer_methods_supported")])

    def test_without_a_token_or_with_anothers_it_is_401_with_the_way_to_one(self):
        for key in (None, self.token(aud="https://other.example.com/mcp"), self.token(aud=None), "cq_no_such_key"):
            status, headers, _ = Http(self.service, key=key).post(
                {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": modern_meta()}},
                {"MCP-Protocol-Version": MODERN, "Mcp-Method": "server/discover"})
            self.assertEqual(401, status, key)
            self.assertIn('resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"',
                          headers["WWW-Authenticate"])
        in_query = Http(self.service, path="/mcp?access_token=" + self.token())
        self.assertIn(in_query.modern("server/discover")[0], (400, 401))

    def test_scopes_filter_the_list_of_tools_and_bind_its_use(self):
        reader = Http(self.service, key=self.token(scope="read"))
        names = {each["name"] for each in reader.modern("tools/list")[1]["result"]["tools"]}
        self.assertIn("find_sessions", names)
        self.assertNotIn("create_session", names)
        self.assertEqual("private", reader.modern("tools/list")[1]["result"]["cacheScope"])
        status, headers, _ = reader.post(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
             "params": {"name": "create_session", "arguments": {"user_id": "ada"}, "_meta": modern_meta()}},
            {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "create_session"})
        self.assertEqual(403, status)
        self.assertIn('error="insufficient_scope", scope="write"', headers["WWW-Authenticate"])
        writer = Http(self.service, key=self.token())
        structured(writer.modern("tools/call", {"name": "create_session", "arguments": {"user_id": "ada"}})[1]["result"])

    def test_no_token_is_in_the_log_or_at_the_database(self):
        token = self.token()
        structured(Http(self.service, key=token).modern("tools/call", {"name": "find_sessions", "arguments": {}})
                   [1]["result"])
        self.assertNotIn(token, self.service.log())
        self.assertEqual([["0"]], self.service.psql(
            f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{token[:40]}%' AND pid <> pg_backend_pid()"))

    def test_a_session_of_one_is_not_there_for_another(self):
        ada, bob = Http(self.service, key=self.token()), Http(self.service, key=self.token(sub="bob"))
        ada.initialize()
        bob.session, bob.version = ada.session, LEGACY
        self.assertEqual(404, bob.ask("tools/list")[0])


class OwnAddress(HttpCase):
    """Without mcp_resource_url: what a token must name is where the service is, and not what a caller says it is."""
    settings = {"jwt_secret": SECRET}

    def status(self, audience, host):
        from support.tokens import hs256
        token = hs256(SECRET, {"tenant": "default", "sub": "ada", "exp": int(time.time()) + 600, "aud": audience,
                               "scope": "read write"})
        return Http(self.service, key=token).modern("server/discover", headers={"Host": host})[0]

    def test_a_token_for_another_port_is_not_taken_whatever_host_is_said(self):
        port = self.service.port
        for name in ("localhost", "127.0.0.1", "[::1]"):
            own = f"{name}:{port}"
            self.assertEqual(200, self.status(f"http://{own}/mcp", own))
            for other in (f"{name}:9", name, name + ":"):
                self.assertEqual(401, self.status(f"http://{other}/mcp", other), other)
                self.assertEqual(401, self.status(f"http://{other}/mcp", own), other)
            self.assertEqual(200, self.status(f"http://{own}/mcp", f"{name}:9"))

    def test_the_resource_is_told_with_the_port_that_is_listened_on(self):
        connection = http.client.HTTPConnection(self.service.host, self.service.port)
        connection.request("GET", "/.well-known/oauth-protected-resource/mcp", headers={"Host": "localhost:9"})
        told = json.loads(connection.getresponse().read())
        self.assertEqual(f"http://localhost:{self.service.port}/mcp", told["resource"])


class OwnPort(unittest.TestCase):
    def test_mcp_server_port_adds_a_listener(self):
        import socket
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        service = Service(settings={"mcp_server_port": str(port)})
        try:
            service.start()
            service.host, service.port = "127.0.0.1", port
            self.assertEqual(200, Http(service).modern("server/discover")[0])
        finally:
            service.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
