"""A session's log: appending, and reading messages back."""

import json
import unittest

from support.cases import HttpTest, assistant, at_once, start_module_service, user


def setUpModule():
    HttpTest.service = start_module_service()


def call(*ids):
    return assistant("", tool_calls=[{"id": each, "name": "look_up"} for each in ids])


def answer(to, content="found"):
    return {"role": "tool", "content": content, "tool_call_id": to}


class Appending(HttpTest):
    def test_accepted_and_durable(self):
        path = self.new_path()
        reply = self.assert_status(202, self.client.post(path + "/messages", user()))
        self.assertEqual({"offsets": [0], "durability": "accepted"}, reply.json())
        reply = self.client.post(path + "/messages", user(), query={"durability": "accepted"})
        self.assertEqual({"offsets": [1], "durability": "accepted"}, self.assert_status(202, reply).json())
        reply = self.client.post(path + "/messages", user(), query={"durability": "durable"})
        self.assertEqual({"offsets": [2], "durability": "durable"}, self.assert_status(201, reply).json())
        self.assertEqual((3, 2), tuple(self.client.get(path).json()[name] for name in ("next_offset",
                                                                                       "durable_offset")))
        wrong = self.client.post(path + "/messages", user(), query={"durability": "maybe"})
        self.assertEqual("durability", self.assert_problem(wrong, 400, "invalid_request")["errors"][0]["parameter"])

    def test_durable_is_in_the_database_when_it_is_answered(self):
        session = self.new_session()
        self.append("/v1/sessions/" + session["id"], user("kept"))
        rows = self.service.psql("SELECT e.data FROM events e JOIN sessions s USING (tenant_id, log_id) "
                                 f"WHERE s.id = '{session['id']}'")
        self.assertEqual("kept", json.loads(rows[0][0])["content"])

    def test_many_at_once_from_one_to_a_thousand(self):
        path = self.new_path()
        self.assertEqual([0], self.append(path, user("first")))
        many = [user(f"m{i}") for i in range(1000)]
        self.assertEqual(list(range(1, 1001)), self.append(path, *many))
        for wrong in ([], many + [user()]):
            problem = self.assert_problem(self.client.post(path + "/messages", {"messages": wrong}), 400,
                                          "invalid_request")
            self.assertEqual(["/messages"], self.pointers(problem))
        self.assertEqual(1001, self.client.get(path).json()["next_offset"])

    def test_all_or_none(self):
        path = self.new_path()
        wrong = {"messages": [user("good"), {"role": "nobody", "content": "x"}, user("good"), {"content": "x"}]}
        problem = self.assert_problem(self.client.post(path + "/messages", wrong), 400, "invalid_request")
        self.assertEqual(["/messages/1/role", "/messages/3/role"], self.pointers(problem))
        self.assertEqual([], self.contents(path))

    def test_of_many_writers_each_offset_is_one_ones(self):
        path = self.new_path()
        clients = [self.new_client() for _ in range(8)]

        def write(each, name):
            out = []
            for i in range(20):
                reply = each.post(path + "/messages", {"messages": [user(f"{name}.{i}"), user(f"{name}.{i}+")]})
                out.append((reply.json()["offsets"], f"{name}.{i}"))
            return out
        written = at_once([lambda each=each, name=name: write(each, name) for name, each in enumerate(clients)])
        offsets = {}
        for first, second, text in ((*pair, text) for each in written for pair, text in each):
            self.assertEqual(first + 1, second)
            offsets[first], offsets[second] = text, text + "+"
        self.assertEqual(list(range(320)), sorted(offsets))
        self.assertEqual([offsets[i] for i in range(320)], self.contents(path, limit=1000))

    def test_one_message_has_4_mib_at_most_and_metadata_64_kib(self):
        path = self.new_path()
        frame = len(json.dumps(user("")).encode())
        most = 4 * 1024 * 1024
        self.assert_status(201, self.client.post(path + "/messages", user("x" * (most - frame)),
                                                 query={"durability": "durable"}))
        reply = self.client.post(path + "/messages", user("x" * (most - frame + 1)))
        self.assert_problem(reply, 413, "payload_too_large")
        for size, status in ((65536, 202), (65537, 413)):
            metadata = {"a": "x" * (size - len('{"a": ""}'))}
            self.assertEqual(status, self.client.post(path + "/messages", user(metadata=metadata)).status, size)
            self.assertEqual({202: 201}.get(status, status),
                             self.client.post("/v1/sessions", {"user_id": "a", "metadata": metadata}).status, size)
        self.assertEqual([0, 1], [each["offset"] for each in self.client.get(path + "/messages").json()["items"]])


class Content(HttpTest):
    def test_what_was_said_comes_back_byte_by_byte(self):
        path = self.new_path()
        said = ('{"role":"user","content":[{"type":"text","text":"\\u00e9\\ud83c\\udf0d \\/ \u00e9 \U0001f30d \\n",'
                '"n":[1.50,1e+2,-0,-0.0,0.1e-7,12345678901234567890,1E400],"b":[true,false,null]},'
                '{"z":{},"type":"image","a":[]}],"metadata":{"k":1.00}}')
        self.assert_status(202, self.client.post(path + "/messages", said.encode()))
        body = self.client.get(path + "/messages").text
        content = said[said.index("[{"):said.index(',"metadata"')]
        self.assertIn('"content":' + content, body)
        self.assertIn('"metadata":{"k":1.00}', body)
        turn = self.client.post(path + "/turns").text
        self.assertIn('"content":' + content, turn)
        self.service.restart()
        self.client.close()
        self.assertIn('"content":' + content, self.client.get(path + "/messages").text)

    def test_strings_of_every_kind(self):
        path = self.new_path()
        texts = ["", " ", "\"\\/\b\f\n\r\t", "\u0001\u001f\u007f", "\u2028\u2029", "\ufeff", "\uffff",
                 "\U0010ffff", "e\u0301", "\u202eabc", "{\"a\": 1}", "'; DROP TABLE events; --", "a" * 100_000]
        self.append(path, *[user(each) for each in texts])
        self.assertEqual(texts, self.contents(path))

    def test_all_fields_of_a_message(self):
        path = self.new_path()
        full = assistant([{"type": "text", "text": "x"}], tool_calls=[{"id": "c1", "f": {"x": 1}}], name="guide",
                         tokens=12, metadata={"a": 1})
        self.append(path, {"role": "system", "content": "be kind"}, user(), full, answer("c1"))
        items = self.client.get(path + "/messages").json()["items"]
        self.assertEqual(["system", "user", "assistant", "tool"], [each["role"] for each in items])
        for name, value in full.items():
            self.assertEqual(value, items[2][name], name)
        self.assertEqual("c1", items[3]["tool_call_id"])
        self.assertEqual((None, None), (items[0]["turn_id"], items[0]["author"]))
        self.assertNotIn("tokens", items[0])

    def test_every_mistake_of_a_message_is_told_with_its_pointer(self):
        path = self.new_path()
        wrong = {"role": "nobody", "content": 5, "tool_calls": {}, "tokens": -1}
        problem = self.assert_problem(self.client.post(path + "/messages", wrong), 400, "invalid_request")
        self.assertEqual(["/content", "/role", "/tokens", "/tool_calls"], self.pointers(problem))
        problem = self.assert_problem(self.client.post(path + "/messages", {"messages": [user(5)]}), 400,
                                      "invalid_request")
        self.assertEqual(["/messages/0/content"], self.pointers(problem))

    def test_what_is_no_message(self):
        path = self.new_path()
        for wrong, pointer in (({"role": "user"}, "/content"), ({"content": "x"}, "/role"),
                               ({"role": "User", "content": "x"}, "/role"), ({"role": 1, "content": "x"}, "/role"),
                               ({"role": "user", "content": None}, "/content"),
                               ({"role": "user", "content": 5}, "/content"),
                               ({"role": "user", "content": {"type": "text"}}, "/content"),
                               ({"role": "user", "content": ["x"]}, "/content"),
                               ({"role": "user", "content": [{"text": "x"}]}, "/content"),
                               ({"role": "user", "content": [{"type": 5}]}, "/content"),
                               (user(tool_calls={}), "/tool_calls"), (user(tool_calls=[{}]), "/tool_calls"),
                               (user(tool_call_id=""), "/tool_call_id"), (user(name="n" * 256), "/name"),
                               (user(tokens=-1), "/tokens"), (user(tokens=1.5), "/tokens"),
                               (user(tokens=2**31), "/tokens"), (user(metadata=[]), "/metadata"),
                               (user(contents="x"), "/contents")):
            with self.subTest(wrong=wrong):
                reply = self.client.post(path + "/messages", wrong)
                problem = self.assert_problem(reply, 400, "invalid_request")
                told = problem["errors"][0]
                self.assertTrue(pointer == told["pointer"] or pointer[1:] in told["detail"], problem)


class Reading(HttpTest):
    def setUp(self):
        super().setUp()
        self.path = self.new_path()
        self.append(self.path, *[user(f"m{i}") for i in range(10)])

    def read(self, **query):
        reply = self.assert_status(200, self.client.get(self.path + "/messages", query=query))
        return [each["offset"] for each in reply.json()["items"]], reply.json()["next_cursor"]

    def test_order_after_before_limit(self):
        for query, expected in (({}, range(10)), ({"order": "asc"}, range(10)), ({"order": "desc"}, range(9, -1, -1)),
                                ({"after": -1}, range(10)), ({"after": 3}, range(4, 10)), ({"before": 3}, range(3)),
                                ({"after": 2, "before": 6}, range(3, 6)), ({"after": 9}, []), ({"before": 0}, []),
                                ({"after": 10**12}, []),
                                ({"order": "desc", "after": 2, "before": 6}, range(5, 2, -1))):
            with self.subTest(query=query):
                self.assertEqual((list(expected), None), self.read(**query))
        self.assertEqual([0, 1, 2], self.read(limit=3)[0])
        self.assertEqual([9, 8, 7], self.read(limit=3, order="desc")[0])

    def test_a_page_has_100_unless_told(self):
        path = self.new_path()
        self.append(path, *[user(str(i)) for i in range(150)])
        for list_path in (path + "/messages", path + "/events"):
            pages = self.client.pages(list_path)
            self.assertEqual([100, 50], [len(page) for page in pages if page])
            self.assertEqual(150, len(self.client.get(list_path, query={"limit": 1000}).json()["items"]))

    def test_pages_in_both_orders(self):
        for order, expected in (("asc", list(range(10))), ("desc", list(range(9, -1, -1)))):
            pages = self.client.pages(self.path + "/messages", {"limit": 4, "order": order})
            self.assertEqual(expected, [each["offset"] for page in pages for each in page])
            self.assertLessEqual(len(pages), 4)

    def test_pages_see_what_is_written_meanwhile_once(self):
        _, cursor = self.read(limit=5)
        self.append(self.path, user("late"))
        self.assertEqual(list(range(5, 11)), self.read(cursor=cursor)[0])

    def test_cursors_that_are_not_of_this_list(self):
        _, other = self.read(limit=2, order="desc")
        sessions = self.client.get("/v1/sessions", query={"limit": 1}).json()["next_cursor"]
        for cursor in (other, sessions or "x", "", "x", "1a", "1azz", "1A5", " 1a5", "1a" + "f" * 30):
            with self.subTest(cursor=cursor):
                reply = self.client.get(self.path + "/messages", query={"cursor": cursor})
                self.assert_problem(reply, 400, "invalid_request")

    def test_a_cursor_before_the_first_page(self):
        for cursor in ("1a-2", "1a-ff"):
            self.assert_problem(self.client.get(self.path + "/messages", query={"cursor": cursor}), 400,
                                "invalid_request")

    def test_wrong_parameters(self):
        for query, name in (({"order": "up"}, "order"), ({"after": -2}, "after"), ({"before": -1}, "before"),
                            ({"after": "x"}, "after"), ({"limit": 0}, "limit"), ({"limit": 1001}, "limit"),
                            ({"token_budget": 0}, "token_budget"), ({"token_budget": 10_000_001}, "token_budget"),
                            ({"after": 10**30}, "after"), ({"offset": 1}, "offset")):
            problem = self.assert_problem(self.client.get(self.path + "/messages", query=query), 400,
                                          "invalid_request")
            self.assertEqual(name, problem["errors"][0]["parameter"])
        twice = self.client.get(self.path + "/messages?limit=1&limit=2")
        self.assert_problem(twice, 400, "invalid_request")
        self.assert_problem(self.client.get(self.path + "/messages?after=%zz"), 400, "invalid_request")


class Fitting(HttpTest):
    """token_budget: tokens that are not given count as the bytes of the content / 4, rounded up, and 4 more."""

    def fit(self, path, budget, **query):
        reply = self.client.get(path + "/messages", query={"token_budget": budget, **query})
        body = self.assert_status(200, reply).json()
        self.assertIsNone(body["next_cursor"])
        return [each["content"] for each in body["items"]], body["trimmed"]

    def test_the_newest_that_fit_oldest_first(self):
        path = self.new_path()
        self.append(path, *[user(f"m{i}", tokens=10) for i in range(5)])
        self.assertEqual((["m3", "m4"], 3), self.fit(path, 20))
        self.assertEqual((["m3", "m4"], 3), self.fit(path, 29))
        self.assertEqual((["m2", "m3", "m4"], 2), self.fit(path, 30))
        self.assertEqual(([f"m{i}" for i in range(5)], 0), self.fit(path, 10_000_000))
        self.assertEqual((["m1", "m2"], 1), self.fit(path, 20, before=3))
        turn = self.start_turn(path, token_budget=20)
        self.assertEqual((["m3", "m4"], 3), ([each["content"] for each in turn["history"]["items"]],
                                             turn["history"]["trimmed"]))

    def test_a_leading_system_message_is_always_among_them(self):
        path = self.new_path()
        self.append(path, {"role": "system", "content": "rules", "tokens": 50},
                    *[user(f"m{i}", tokens=10) for i in range(5)])
        self.assertEqual((["rules", "m4"], 4), self.fit(path, 60))
        self.assertEqual((["rules", "m3", "m4"], 3), self.fit(path, 70))
        self.assertIn("rules", self.fit(path, 1)[0])

    def test_a_call_is_never_parted_from_its_results(self):
        path = self.new_path()
        self.append(path, user("q", tokens=10), {**call("a", "b"), "tokens": 10}, {**answer("a", "ra"), "tokens": 10},
                    {**answer("b", "rb"), "tokens": 10}, user("end", tokens=10))
        self.assertEqual((["end"], 4), self.fit(path, 39))
        self.assertEqual((["", "ra", "rb", "end"], 1), self.fit(path, 40))

    def test_tokens_that_are_not_given_are_estimated(self):
        path = self.new_path()
        self.append(path, user("x" * 40), user("y" * 41))
        full = 10 + 4 + 11 + 4
        kept = [len(self.fit(path, budget)[0]) for budget in range(1, 120)]
        self.assertEqual(sorted(kept), kept)
        self.assertEqual(2, kept[-1])
        self.assertGreaterEqual(kept.index(2) + 1, full)

    def test_what_it_does_not_go_with(self):
        path = self.new_path()
        for query in ({"order": "asc"}, {"after": 1}, {"cursor": "1a0"}):
            reply = self.client.get(path + "/messages", query={"token_budget": 5, **query})
            self.assert_problem(reply, 400, "invalid_request")


if __name__ == "__main__":
    unittest.main(verbosity=2)
