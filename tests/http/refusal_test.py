"""How it refuses to begin: wrong usage, doors that are too open, folders and databases that are not for it."""

import subprocess
import unittest

from support.cases import HttpTest
from support.client import Client
from support.postgres import Pooler, Server, program
from support.service import Service, run_program
from support.tenants import Operator


class RefusalTest(HttpTest):
    def setUp(self):
        pass


class Refusing(RefusalTest):
    def test_wrong_usage(self):
        for arguments, words in ((["--listen", "nonsense"], ["listen", "nonsense"]),
                                 (["--shutdown-timeout", "5"], ["shutdown_timeout"]), (["--nothing"], ["nothing"]),
                                 (["--message-bytes-max", "1GiB"], ["message_bytes_max", "1GiB"]),
                                 (["--config", "/nonexistent/file"], ["/nonexistent/file"]),
                                 (["--jwt-secret", "short"], ["jwt_secret"])):
            code, out, err = run_program("serve", *arguments)
            self.assertEqual((2, ""), (code, out), err)
            for word in words:
                self.assertIn(word, err.replace("-", "_") if "_" in word else err)
        self.assertNotIn('"short"', run_program("serve", "--jwt-secret", "short")[2])

    def test_elsewhere_without_keys(self):
        service = Service(listen="0.0.0.0:0")
        self.addCleanup(service.close)
        self.assertEqual(2, service.launch().wait())
        self.assertIn("0.0.0.0", service.log())
        self.assertIsNone(service.server_pid())
        service.listen = "127.0.0.1:0"
        service.start()
        _, key = Operator(service).new_tenant_key()
        self.assertEqual(0, service.stop())
        service.listen = "0.0.0.0:0"
        service.start()
        service.host = "127.0.0.1"
        client = Client(service, key)
        self.addCleanup(client.close)
        self.assert_status(200, client.get("/v1/sessions"))
        self.assert_problem(client.get("/v1/sessions", key=None), 401, "unauthenticated")

    def test_a_folder_that_another_one_uses(self):
        first = self.service = Service()
        self.addCleanup(first.close)
        first.start()
        self.client = self.new_client()
        second = Service()
        self.addCleanup(second.close)
        second.data_dir = first.data_dir
        self.assertIn(second.launch().wait(), (1, 2))
        self.assertIn(str(first.data_dir), second.log())
        self.assert_status(200, self.client.get("/readyz"))


@unittest.skipUnless(program("pgbouncer"), "PgBouncer is not here")
class Pooled(RefusalTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)

    def through(self, mode):
        pooler = Pooler(self.server, mode)
        self.addCleanup(pooler.close)
        service = Service(arguments=["--database", self.server.uri(port=pooler.port)])
        self.addCleanup(service.close)
        return service, pooler

    def test_in_session_mode_it_serves(self):
        self.service, _ = self.through("session")
        self.service.start()
        self.client = self.new_client()
        self.append(self.new_path())
        self.assertEqual(0, self.service.stop())

    def test_in_transaction_mode_it_refuses_and_names_the_port(self):
        service, pooler = self.through("transaction")
        try:
            code = service.launch().wait(10)
        except subprocess.TimeoutExpired:
            service.kill()
            code = None
        self.assertEqual(2, code, service.log())
        self.assertIn(str(pooler.port), service.log())
        self.assertIn("transaction", service.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
