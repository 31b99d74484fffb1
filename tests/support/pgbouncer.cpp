#include "tests/support/pgbouncer.hpp"

#include "tests/support/eventually.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/own_cluster.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_dir.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace colloquy::test {

namespace {

namespace embedded = db::embedded;
using namespace std::chrono_literals;
using embedded::unique_fd;

constexpr const char* console_login = "fixture_console";
constexpr auto patience = 60s;
constexpr int ports_max = 10;

/// Empty if there is none. In the system's folders first, which not every user's PATH names.
std::string program() {
  const auto* path = std::getenv("PATH");
  std::istringstream folders("/usr/sbin:/usr/bin:" + std::string(path == nullptr ? "" : path));
  for (std::string folder; std::getline(folders, folder, ':');)
    if (auto file = folder + "/pgbouncer"; ::access(file.c_str(), X_OK) == 0)
      return file;
  return "";
}

/// A file below its folder, which it reaches by a descriptor and by no path.
std::string below(const std::string& name) {
  return std::string(embedded::child_folder) + "/" + name;
}

std::string userlist_quoted(const std::string& value) {
  std::string text = "\"";
  for (const char c : value)
    text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

} // namespace

struct pgbouncer::state {
  pgbouncer_options options;
  std::string console_password = random_password();
  temp_dir folder{"colloquy-pgbouncer"};
  server_log log{folder / "pgbouncer.log"};
  std::optional<embedded::os_user> run_as = server_user();
  unique_fd place; ///< a folder that it can read
  std::optional<embedded::child_process> process;
  int port = 0;

  std::string to(const std::string& database, const std::string& login, const std::string& password,
                 const std::string& extra) const {
    return std::string("host=") + host() + " port=" + std::to_string(port) + " user=" + login +
           " password=" + conninfo_quoted(password) + " dbname=" + database + " gssencmode=disable " + extra;
  }
  std::string console() const {
    return to("pgbouncer", console_login, console_password, "connect_timeout=10 sslmode=prefer");
  }

  void make_folder();
  void write(const char* name, std::string_view text) const { write_private(place.get(), name, text, run_as); }
  std::string settings() const;
  void write_files() const;
  bool answers() const;
  bool launch();
  [[noreturn]] void fail(const std::string& what) const { throw std::runtime_error(what + "; log:\n" + log.text()); }
};

void pgbouncer::state::make_folder() {
  const auto path = folder / "files";
  if (::mkdir(path.c_str(), 0700) == 0)
    place = unique_fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!place || (run_as && ::fchown(place.get(), run_as->uid, run_as->gid) != 0))
    fail("cannot make a folder for pgbouncer");
}

std::string pgbouncer::state::settings() const {
  std::ostringstream text;
  text << "[databases]\n"
       << options.database << " = host=" << options.server_host << " port=" << options.server_port << "\n"
       << "[pgbouncer]\n"
       << "listen_addr = " << host() << "\nlisten_port = " << port << "\nunix_socket_dir =\n"
       << "auth_type = " << (options.passwords_asked ? "scram-sha-256" : "trust") << "\n"
       << "auth_file = " << below("users.txt") << "\nadmin_users = " << console_login << "\n"
       << "pool_mode = " << options.pool_mode << "\ndefault_pool_size = " << options.default_pool_size << "\n"
       << "max_client_conn = " << options.max_client_conn << "\n"
       << "query_wait_timeout = " << options.query_wait_timeout_s << "\n"
       << "server_login_retry = 1\n"; // a server that comes back is found at once
  if (options.tls)
    text << "client_tls_sslmode = require\nclient_tls_key_file = " << below("client.key")
         << "\nclient_tls_cert_file = " << below("client.crt") << "\n";
  for (const auto& [name, value] : options.settings)
    text << name << " = " << value << "\n";
  return text.str();
}

void pgbouncer::state::write_files() const {
  auto users = userlist_quoted(console_login) + " " + userlist_quoted(console_password) + "\n";
  for (const auto& [login, password] : options.passwords)
    users += userlist_quoted(login) + " " + userlist_quoted(password) + "\n";
  write("users.txt", users);
  write("pgbouncer.ini", settings());
  if (options.tls) {
    write("client.key", options.tls->key_pem);
    write("client.crt", options.tls->certificate_pem);
  }
}

/// Only ours knows the console's password: another program on that port is not taken for it.
bool pgbouncer::state::answers() const {
  const db::connection_ptr c(PQconnectdb(console().c_str()));
  return PQstatus(c.get()) == CONNECTION_OK;
}

/// False if it ended instead of taking connections.
bool pgbouncer::state::launch() {
  write_files();
  embedded::child_plan plan;
  plan.program = program();
  plan.arguments = {below("pgbouncer.ini")};
  plan.run_as = run_as;
  plan.folder = place.get();
  plan.output = plan.errors = log.descriptor();
  process = must(embedded::child_process::start(std::move(plan)));
  bool ready = false;
  const auto settled = eventually(
      [&] {
        ready = answers();
        return ready || !process->running();
      },
      patience);
  if (!settled)
    fail("pgbouncer takes no connections");
  if (!ready)
    process.reset();
  return ready;
}

pgbouncer_options in_front_of(const own_cluster& server, const std::string& pool_mode) {
  pgbouncer_options options;
  options.server_port = server.port();
  options.pool_mode = pool_mode;
  for (const auto* login : {"colloquy", "colloquy_owner"})
    options.passwords[login] = server.password_of(login);
  return options;
}

bool pgbouncer::installed() {
  return !program().empty();
}

pgbouncer::pgbouncer(pgbouncer_options options)
  : state_(std::make_unique<state>()) {
  if (!installed())
    throw std::runtime_error("there is no pgbouncer here; ./dev setup installs it");
  state_->options = std::move(options);
  state_->make_folder();
  for (int tries = 0; tries < ports_max; ++tries) {
    state_->port = free_port();
    if (state_->launch())
      return;
    if (state_->log.text().find("cannot listen on") == std::string::npos)
      break;
  }
  state_->fail("pgbouncer does not start");
}

pgbouncer::pgbouncer(pgbouncer&&) noexcept = default;
pgbouncer& pgbouncer::operator=(pgbouncer&&) noexcept = default;
pgbouncer::~pgbouncer() = default; // the process is killed with its owner

int pgbouncer::port() const {
  return state_->port;
}

pid_t pgbouncer::pid() const {
  return state_->process ? state_->process->pid() : -1;
}

bool pgbouncer::running() const {
  return state_->process && state_->process->running();
}

std::string pgbouncer::conninfo(const std::string& login, const std::string& extra) const {
  return state_->to(state_->options.database, login, state_->options.passwords.at(login), extra);
}

text_rows pgbouncer::admin(const std::string& command) const {
  return test_connection(state_->console()).exec(command);
}

void pgbouncer::stop() {
  state_->process.reset();
}

void pgbouncer::start() {
  if (running())
    return;
  if (!state_->launch())
    state_->fail("pgbouncer does not start again");
}

std::string pgbouncer::log() const {
  return state_->log.text();
}

} // namespace colloquy::test
