"""`colloquy mcp` on standard input and output: both eras, the tools, and several programs on one folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.request
from pathlib import Path

from mcp_client import (LEGACY, META, PROGRAM, Service, Stdio, StdioCase, error_text, eventually, modern_meta,
                        structured)


class Protocol(StdioCase):
    def test_a_client_of_the_older_era_works_through_a_conversation(self):
        client = self.client()
        told = client.initialize()
        self.assertEqual(LEGACY, told["protocolVersion"])
        self.assertEqual({"name", "title", "version"}, set(told["serverInfo"]))
        self.assertIn("create_session", told["instructions"])
        made = structured(client.call("create_session", user_id="ada", external_id="a-1", title="Trip"))
        again = structured(client.call("create_session", user_id="ada", external_id="a-1"))
        self.assertEqual(made["id"], again["id"])
        self.assertEqual([made["id"]], [each["id"] for each in
                                        structured(client.call("find_sessions", session_id=made["id"]))["items"]])
        appended = structured(client.call("append_messages", session_id=made["id"], durability="durable",
                                          messages=[{"role": "user", "content": "How far is Oslo?"}]))
        self.assertEqual({"offsets": [0], "durability": "durable"}, appended)
        begun = structured(client.call("start_turn", session_id=made["id"]))
        self.assertEqual(["How far is Oslo?"], [each["content"] for each in begun["history"]["items"]])
        turn = begun["turn"]["id"]
        structured(client.call("append_messages", session_id=made["id"], turn_id=turn,
                               messages=[{"role": "assistant", "content": "Far."}]))
        ended = structured(client.call("end_turn", session_id=made["id"], turn_id=turn, outcome="completed",
                                       usage={"input_tokens": 5, "output_tokens": 1}))
        self.assertEqual("completed", ended["status"])
        read = structured(client.call("list_messages", session_id=made["id"], token_budget=1000))
        self.assertEqual(["user", "assistant"], [each["role"] for each in read["items"]])
        changed = structured(client.call("update_session", session_id=made["id"], status="completed"))
        self.assertEqual("completed", changed["status"])
        refused = error_text(client.call("append_messages", session_id=made["id"],
                                         messages=[{"role": "user", "content": "And?"}]))
        self.assertIn("session_not_active", refused)
        self.assertIn("update_session", refused)
        self.assertEqual(0, client.close())
        self.assertEqual([], client.other)

    def test_a_modern_client_says_everything_with_each_request(self):
        client = self.client()
        told = client.modern("server/discover")["result"]
        self.assertEqual("complete", told["resultType"])
        self.assertIn("2026-07-28", told["supportedVersions"])
        self.assertIn(META + "serverInfo", told["_meta"])
        listed = client.modern("tools/list")["result"]
        self.assertLessEqual(len(listed["tools"]), 15)
        self.assertEqual(["public", 300000], [listed["cacheScope"], listed["ttlMs"]])
        self.assertEqual(-32602, client.ask("tools/list", {"_meta": {META + "protocolVersion": "2026-07-28"}})
                         ["error"]["code"])
        wrong = client.ask("tools/list", {"_meta": {**modern_meta(), META + "protocolVersion": "2099-01-01"}})["error"]
        self.assertEqual([-32022, "2099-01-01"], [wrong["code"], wrong["data"]["requested"]])
        self.assertEqual(-32601, client.modern("initialize")["error"]["code"])
        self.assertEqual(-32600, client.ask("tools/list")["error"]["code"])  # neither era

    def test_every_tool_has_hints_and_schemas_that_hold_no_reference(self):
        client = self.client()
        client.initialize()
        tools = client.ask("tools/list")["result"]["tools"]
        for each in tools:
            self.assertRegex(each["name"], r"^[a-z]+(_[a-z]+)+$")
            self.assertEqual({"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"},
                             set(each["annotations"]))
            for name in ("inputSchema", "outputSchema"):
                self.assertEqual("object", each[name]["type"], each["name"])
                self.assertNotIn("$ref", json.dumps(each[name]))
        self.assertEqual(tools, client.ask("tools/list")["result"]["tools"])
        size = len(json.dumps(tools, separators=(",", ":")))
        print(f"tool list: {len(tools)} tools, {size} bytes, about {size // 4} tokens")

    def test_mistakes_of_arguments_are_told_all_at_once_and_by_name(self):
        client = self.client()
        client.initialize()
        text = error_text(client.call("append_messages", session_id="none", messages=[{"role": "nobody"}]))
        self.assertIn("invalid_request", text)
        self.assertIn("/messages/0", text)
        self.assertIn("there is no argument 'sessionid'", error_text(client.call("list_messages", sessionid="x")))
        self.assertIn("session_id is missing", error_text(client.call("list_messages")))
        self.assertEqual(-32602, client.ask("tools/call", {"name": "drop_all", "arguments": {}})["error"]["code"])

    def test_documents_are_put_found_and_deleted_and_fenced(self):
        client = self.client()
        client.initialize()
        first = structured(client.call("put_document", collection="tickets", document={"id": "t1", "open": True}))
        self.assertEqual(0, first["matched"])
        second = structured(client.call("put_document", collection="tickets", document={"id": "t1", "owner": "ada"}))
        self.assertEqual([1, True, "ada"], [second["matched"], second["document"]["open"], second["document"]["owner"]])
        found = client.call("find_documents", collection="tickets", where={"open": {"$eq": True}})
        self.assertEqual(["t1"], [each["id"] for each in structured(found)["items"]])
        text = found["content"][0]["text"]
        mark = text.split("<", 1)[1].split(">", 1)[0]
        self.assertRegex(mark, r"^untrusted-data-[0-9A-Za-z]{22}$")
        self.assertTrue(text.endswith(f"</{mark}>"))
        gone = structured(client.call("delete_document", collection="tickets", where={"id": {"$eq": "t1"}}))
        self.assertEqual(1, gone["deleted"])

    def test_resources_prompts_and_completion(self):
        client = self.client()
        client.initialize()
        made = structured(client.call("create_session", user_id="ada", title="Trip"))
        structured(client.call("append_messages", session_id=made["id"], messages=[{"role": "user", "content": "Hi"}]))
        uri = "session://" + made["id"]
        self.assertIn(uri, [each["uri"] for each in client.ask("resources/list")["result"]["resources"]])
        read = client.ask("resources/read", {"uri": uri})["result"]["contents"][0]
        self.assertEqual(made["id"], json.loads(read["text"])["id"])
        messages = client.ask("resources/read", {"uri": uri + "/messages"})["result"]["contents"][0]
        self.assertEqual(["Hi"], [each["content"] for each in json.loads(messages["text"])["items"]])
        nobody = "session://01890a5d-ac96-774b-bcce-b302099a8057"
        self.assertEqual(-32002, client.ask("resources/read", {"uri": nobody})["error"]["code"])
        self.assertEqual(-32602, client.modern("resources/read", {"uri": nobody})["error"]["code"])
        prompt = client.ask("prompts/get", {"name": "continue_session", "arguments": {"session_id": made["id"]}})
        self.assertIn("Hi", prompt["result"]["messages"][0]["content"]["text"])
        values = client.ask("completion/complete", {"ref": {"type": "ref/resource", "uri": "session://{session_id}"},
                                                    "argument": {"name": "session_id", "value": made["id"][:8]}})
        self.assertIn(made["id"], values["result"]["completion"]["values"])

    def test_subscriptions_hear_of_events_in_the_way_of_each_era(self):
        client = self.client()
        client.initialize()
        made = structured(client.call("create_session", user_id="ada"))
        uri = "session://" + made["id"]
        self.assertEqual({}, client.ask("resources/subscribe", {"uri": uri})["result"])
        number = client.begin("subscriptions/listen", {"notifications": {"resourceSubscriptions": [uri]},
                                                       "_meta": modern_meta()})
        acknowledged = client.note("notifications/subscriptions/acknowledged")["params"]
        self.assertEqual([uri], acknowledged["notifications"]["resourceSubscriptions"])
        structured(client.call("append_messages", session_id=made["id"], messages=[{"role": "user", "content": "Hi"}]))
        heard = [client.note("notifications/resources/updated")["params"] for _ in range(2)]
        self.assertEqual({None, number}, {each.get("_meta", {}).get(META + "subscriptionId") for each in heard})
        client.notify("notifications/cancelled", {"requestId": number})
        client.ask("resources/unsubscribe", {"uri": uri})
        structured(client.call("append_messages", session_id=made["id"], durability="durable",
                               messages=[{"role": "user", "content": "Again"}]))
        client.ask("ping")
        self.assertEqual([], client.notes)

    def test_a_request_that_waits_tells_its_progress_and_can_be_cancelled(self):
        client = self.client()
        client.initialize()
        made = structured(client.call("create_session", user_id="ada"))
        structured(client.call("start_turn", session_id=made["id"]))
        number = client.begin("tools/call", {"name": "start_turn", "_meta": {"progressToken": "p"},
                                             "arguments": {"session_id": made["id"], "wait_s": 50}})
        progress = client.note("notifications/progress")["params"]
        self.assertEqual("p", progress["progressToken"])
        client.notify("notifications/cancelled", {"requestId": number})
        other = client.begin("tools/call", {"name": "start_turn",
                                            "arguments": {"session_id": made["id"], "policy": "interrupt"}})
        self.assertEqual("running", structured(client.wait(other)["result"])["turn"]["status"])
        self.assertNotIn(number, client.answers)

    def test_what_is_no_message_is_told_and_the_next_one_is_served(self):
        client = self.client()
        client.process.stdin.write(b"this is not JSON\n[]\n{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"ping\"}\n\n")
        client.process.stdin.flush()
        self.assertEqual(-32600, client.wait(7)["error"]["code"])
        self.assertEqual({}, client.ask("ping")["result"])
        self.assertEqual([-32700, -32600], client.refused)

    def test_a_message_that_is_too_long_is_refused_by_its_id_and_the_client_goes_on(self):
        client = self.client()
        client.initialize()
        handle = structured(client.call("open_database_session"))["id"]
        structured(client.call("execute_sql", database_session_id=handle, sql="BEGIN"))
        client.send({"method": "ping", "params": {"x": "x" * (17 << 20), "id": 5}, "jsonrpc": "2.0", "id": "long"})
        refused = client.wait("long")["error"]
        self.assertEqual(-32600, refused["code"])
        self.assertIn(str(16 << 20), refused["message"])
        again = structured(client.call("execute_sql", database_session_id=handle, sql="SELECT 1"))
        self.assertEqual("in_transaction", again["transaction_status"])
        # The service says the same to who comes to it by another program.
        with socket.socket(socket.AF_UNIX) as direct:
            direct.connect(str(self.folder / "data/mcp.sock"))
            direct.sendall(b'{"id":8,"method":"ping","x":"' + b"x" * (17 << 20) + b'"}\n'
                           b'{"jsonrpc":"2.0","id":9,"method":"ping"}\n')
            lines = direct.makefile()
            self.assertEqual([8, -32600], [(said := json.loads(next(lines)))["id"], said["error"]["code"]])
            self.assertEqual({"jsonrpc": "2.0", "id": 9, "result": {}}, json.loads(next(lines)))

    def test_a_batch_of_2025_03_26_may_begin_with_a_blank(self):
        client = self.client()
        client.initialize("2025-03-26")
        client.process.stdin.write(b' [{"jsonrpc":"2.0","id":70,"method":"ping"}]\n')
        client.process.stdin.flush()
        self.assertEqual({}, client.wait(70)["result"])

    def test_what_comes_before_the_end_of_input_is_answered(self):
        lines = [{"jsonrpc": "2.0", "id": 1, "method": "initialize",
                  "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
                 {"jsonrpc": "2.0", "method": "notifications/initialized"},
                 {"jsonrpc": "2.0", "id": 2, "method": "tools/call",
                  "params": {"name": "create_session", "arguments": {"user_id": "ada"}}}]
        done = subprocess.run([PROGRAM, "mcp", "--data-dir", str(self.folder / "data")], timeout=200,
                              input="".join(json.dumps(each) + "\n" for each in lines), capture_output=True, text=True,
                              env={"HOME": str(self.folder), "PATH": os.environ["PATH"]}, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([1, 2], [each["id"] for each in answers])
        self.assertEqual("ada", answers[1]["result"]["structuredContent"]["user_id"])


class Sharing(StdioCase):
    def append(self, client, session, text):
        return structured(client.call("append_messages", session_id=session, durability="durable",
                                      messages=[{"role": "user", "content": text}]))["offsets"][0]

    def test_two_programs_and_a_service_on_one_folder_all_append(self):
        service = Service()
        service.data_dir = self.folder / "data"
        try:
            service.start()
            first, second = self.client(), self.client()
            first.initialize()
            second.initialize()
            session = structured(first.call("create_session", user_id="ada"))["id"]
            offsets = [self.append(first, session, "one"), self.append(second, session, "two")]
            request = urllib.request.Request(f"{service.url}/v1/sessions/{session}/messages?durability=durable",
                                             b'{"role": "user", "content": "three"}',
                                             {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as reply:
                offsets += json.load(reply)["offsets"]
            self.assertEqual([0, 1, 2], offsets)
            read = structured(second.call("list_messages", session_id=session))
            self.assertEqual(["one", "two", "three"], [each["content"] for each in read["items"]])
            self.assertEqual([0, 0], [first.close(), second.close()])
        finally:
            service.close()

    def test_another_program_takes_over_when_the_one_with_the_service_ends(self):
        first = self.client()
        first.initialize()
        second = self.client()
        second.initialize()
        session = structured(first.call("create_session", user_id="ada"))["id"]
        self.assertEqual(0, self.append(second, session, "one"))
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        self.assertEqual(1, self.append(second, session, "two"))
        third = self.client()
        third.initialize()
        self.assertEqual(2, self.append(third, session, "three"))
        self.assertEqual([0, 0], [second.close(), third.close()])

    def test_a_client_that_is_killed_leaves_no_process_and_no_server(self):
        # A client of its own process, so that its death closes both pipes, and nothing else does.
        script = ("import subprocess, sys, time\n"
                  "made = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
                  "made.stdin.write(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\\n'); made.stdin.flush()\n"
                  "made.stdout.readline(); print(made.pid, flush=True); time.sleep(600)\n")
        client = subprocess.Popen([sys.executable, "-c", script, PROGRAM, "mcp", "--data-dir", str(self.folder / "data")],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  env={"HOME": str(self.folder), "PATH": os.environ["PATH"]})
        program = int(client.stdout.readline())
        noted = self.folder / "data/postgres/postmaster.pid"
        eventually(lambda: noted.exists() and noted.read_text(), 90)  # a ping is answered before its server is there
        server = int(noted.read_text().split("\n")[0])
        client.send_signal(signal.SIGKILL)
        client.wait()
        client.stdout.close()
        for pid in (program, server):
            eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text(), 90)

    def test_a_password_on_the_command_line_is_not_shown_by_the_system(self):
        client = Stdio(None, ["postgresql://u:opensesame@127.0.0.1:1/d", "--log-level", "error"], home=self.folder)
        self.clients.append(client)
        eventually(lambda: b"opensesame" not in Path(f"/proc/{client.process.pid}/cmdline").read_bytes(), 10)
        self.assertIn(b"mcp", Path(f"/proc/{client.process.pid}/cmdline").read_bytes())
        client.initialize()
        told = error_text(client.call("create_session", user_id="ada"))
        self.assertIn("database_unavailable", told)
        self.assertNotIn("opensesame", told + "\n".join(client.log_lines))

    def test_under_the_name_of_another_program_the_connection_is_the_only_word(self):
        alias = self.folder / "mcp-server-postgres"
        alias.symlink_to(PROGRAM)
        client = Stdio(None, ["postgresql://u@127.0.0.1:1/d"], home=self.folder, program=str(alias))
        self.clients.append(client)
        self.assertEqual("colloquy", client.initialize()["serverInfo"]["name"])
        self.assertIn("database_unavailable", error_text(client.call("find_sessions")))

    def test_the_name_that_is_shown_comes_from_the_environment(self):
        client = self.client(environment={"MCP_SERVER_NAME": "supabase-session-mcp"})
        self.assertEqual("supabase-session-mcp", client.initialize()["serverInfo"]["name"])
        # Others pass through its service, each under a name of its own.
        for environment, name in (({"MCP_SERVER_NAME": "another"}, "another"), ({}, "colloquy")):
            other = self.client(environment=environment)
            self.assertEqual(name, other.initialize()["serverInfo"]["name"])
            self.assertEqual(name, other.modern("server/discover")["result"]["_meta"][META + "serverInfo"]["name"])
            self.assertEqual(name, structured(other.call("describe_service"))["name"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
