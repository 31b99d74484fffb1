#include "tests/support/own_cluster.hpp"

#include "db/embedded_cluster.hpp"
#include "db/embedded_programs.hpp"
#include "db/embedded_roles.hpp"
#include "db/libpq_handles.hpp"
#include "db/migrator.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/test_cluster.hpp"

#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <map>
#include <sstream>
#include <sys/shm.h>
#include <sys/stat.h>

namespace colloquy::test {

namespace {

namespace embedded = db::embedded;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using embedded::unique_fd;
using setting_list = std::vector<std::pair<std::string, std::string>>;

constexpr auto patience = 60s; ///< for what takes a moment, on a machine that may be busy
constexpr int ports_max = 10;  ///< that are tried before one is settled on

setting_list settings_of_ours(int port, bool tls) {
  setting_list settings{
      {"listen_addresses", own_cluster::host()},
      {"port", std::to_string(port)},
      {"unix_socket_directories", "socket"}, // in the cluster's folder
      {"unix_socket_permissions", "0700"},
      {"password_encryption", "scram-sha-256"},
      {"max_connections", "60"},
      // Small, quick, and nothing left in the machine's shared memory however it ends.
      {"shared_buffers", "16MB"},
      {"min_wal_size", "32MB"},
      {"max_wal_size", "128MB"},
      {"dynamic_shared_memory_type", "mmap"},
      {"fsync", "off"},
      {"full_page_writes", "off"},
      {"jit", "off"},
      {"timezone", "UTC"},
      {"logging_collector", "off"},
      {"log_destination", "stderr"},
  };
  if (tls)
    settings.insert(settings.end(), {{"ssl", "on"}, {"ssl_cert_file", "server.crt"}, {"ssl_key_file", "server.key"}});
  return settings;
}

std::vector<std::string> hba_lines(const own_cluster_options& options) {
  if (!options.hba.empty())
    return options.hba;
  if (options.tls)
    return {"hostnossl all all all reject", "hostssl all all all scram-sha-256"};
  return {"host all all all scram-sha-256"};
}

/// Every process of a server works in its cluster's folder; one that has ended works nowhere.
std::vector<pid_t> processes_in(int folder) {
  std::vector<pid_t> found;
  const auto here = embedded::identify(folder);
  std::error_code ignored;
  for (fs::directory_iterator entry("/proc", ignored), end; here && entry != end; entry.increment(ignored)) {
    const auto name = entry->path().filename().string();
    pid_t pid = 0;
    struct stat work {};
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr == name.data() + name.size() &&
        ::stat((entry->path() / "cwd").c_str(), &work) == 0 && embedded::folder_id{work.st_dev, work.st_ino} == *here)
      found.push_back(pid);
  }
  return found;
}

} // namespace

struct own_cluster::state {
  own_cluster_options options;
  setting_list settings; ///< the test's own, later ones win
  temp_dir folder{"colloquy-own"};
  server_log log{folder / "server.log"};
  std::optional<embedded::os_user> run_as = server_user();
  embedded::data_folder data;
  embedded::server_programs programs;
  embedded::cluster cluster;
  unique_fd socket;
  std::optional<embedded::child_process> server;
  std::map<std::string, std::string> passwords;
  int port = 0;

  ~state() {
    if (server)
      end(stop_kind::immediate);
  }

  int place() const { return cluster.folder.get(); }
  void write(const char* name, std::string_view text) const { write_private(place(), name, text, run_as); }
  std::string superuser(const std::string& database) const {
    return embedded::conninfo(folder / "postgres/socket", "postgres", database);
  }

  void make();
  void write_hba(const std::vector<std::string>& lines) const;
  void write_certificate(const certificate& fresh) const;
  std::vector<std::string> arguments() const;
  bool launch();
  bool await_ready() const;
  void find_port();
  void make_roles();
  void reload() const;
  void end(stop_kind how);
  void forget_shared_memory() const;
  [[noreturn]] void fail(const std::string& what) const { throw std::runtime_error(what + "; log:\n" + log.text()); }
};

void own_cluster::state::make() {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  data = must(embedded::open_data_folder(folder.path()));
  programs = must(embedded::find_programs({{}, folder / "postgres", {}, run_as}, deadline));
  cluster = must(embedded::make_cluster(data, programs.folder / "initdb", run_as, deadline));
  // Also lets us in over the socket, and makes its folder.
  socket = must(embedded::prepare_cluster(data, cluster, run_as));
  write_hba(hba_lines(options));
  if (options.tls)
    write_certificate(*options.tls);
}

void own_cluster::state::write_hba(const std::vector<std::string>& lines) const {
  std::string text = "local all all peer map=colloquy\n";
  for (const auto& line : lines)
    text += line + "\n";
  write("pg_hba.conf", text);
}

void own_cluster::state::write_certificate(const certificate& fresh) const {
  write("server.key", fresh.key_pem);
  write("server.crt", fresh.certificate_pem);
}

std::vector<std::string> own_cluster::state::arguments() const {
  std::vector<std::string> words{"-D", embedded::child_folder};
  auto all = settings_of_ours(port, options.tls.has_value());
  all.insert(all.end(), settings.begin(), settings.end());
  for (const auto& [name, value] : all)
    words.insert(words.end(), {"-c", name + "=" + value});
  return words;
}

/// False if the server ended instead of taking connections.
bool own_cluster::state::launch() {
  // What is ours over the socket asks for PostgreSQL's usual port, as for the embedded server.
  const auto name = ".s.PGSQL." + std::to_string(port);
  ::unlinkat(place(), "postmaster.pid", 0); // after kill -9: all have ended, and its number may be another's by now
  for (const auto& left : {name, name + ".lock", std::string(".s.PGSQL.5432")})
    ::unlinkat(socket.get(), left.c_str(), 0);
  if (::symlinkat(name.c_str(), socket.get(), ".s.PGSQL.5432") != 0)
    fail("cannot link the socket");
  embedded::child_plan plan;
  plan.program = programs.folder / "postgres";
  plan.arguments = arguments();
  plan.run_as = run_as;
  plan.folder = place();
  plan.output = plan.errors = log.descriptor();
  plan.death_signal = SIGKILL; // which reaches one that a test has frozen, too; its sessions notice
  server = must(embedded::child_process::start(std::move(plan)));
  if (await_ready())
    return true;
  server.reset();
  return false;
}

bool own_cluster::state::await_ready() const {
  bool ready = false;
  const auto settled = eventually(
      [&] {
        ready = PQping(superuser("postgres").c_str()) == PQPING_OK;
        return ready || !server->running();
      },
      patience);
  if (!settled)
    fail("the test's own server takes no connections");
  return ready;
}

void own_cluster::state::find_port() {
  for (int tries = 0; tries < ports_max; ++tries) {
    port = free_port();
    if (launch())
      return;
    if (log.text().find("could not bind") == std::string::npos)
      break;
  }
  fail("the test's own server does not start");
}

void own_cluster::state::make_roles() {
  must(embedded::ensure_roles(folder / "postgres/socket"));
  if (options.migrated)
    must(db::migrate(embedded::conninfo(folder / "postgres/socket", "colloquy_owner", "colloquy"), "public",
                     {"colloquy"}));
}

/// The first process tells each new session when it has last read its files.
void own_cluster::state::reload() const {
  const auto loaded = [&] { return test_connection(superuser("postgres")).value("SELECT pg_conf_load_time()"); };
  const auto before = loaded();
  server->signal(SIGHUP);
  if (!eventually([&] { return loaded() != before; }, patience))
    fail("the test's own server does not read its files again");
}

void own_cluster::state::end(stop_kind how) {
  for (const auto pid : processes_in(place()))
    ::kill(pid, SIGCONT); // a frozen one takes no other signal
  const int number = how == stop_kind::orderly ? SIGINT : how == stop_kind::immediate ? SIGQUIT : SIGKILL;
  server->signal(number);
  if (!server->wait_until(std::chrono::steady_clock::now() + patience))
    server->signal(SIGKILL);
  server->wait_until(std::chrono::steady_clock::now() + patience);
  // Without the first process the others end by themselves, but for one in the middle of long work.
  if (!eventually([&] { return processes_in(place()).empty(); }, 5s))
    eventually([&] {
      const auto left = processes_in(place());
      for (const auto pid : left)
        ::kill(pid, SIGKILL);
      return left.empty();
    });
  forget_shared_memory();
  server.reset();
}

/// One that was killed leaves a few bytes of System V memory, noted in line 7 of postmaster.pid: key and id. Any other
/// takes the note away.
void own_cluster::state::forget_shared_memory() const {
  std::istringstream note(embedded::read_file_at(place(), "postmaster.pid").value_or(""));
  std::string line;
  for (int i = 0; i < 7; ++i)
    std::getline(note, line);
  std::istringstream words(line);
  unsigned long key = 0;
  int id = -1;
  if (words >> key >> id)
    ::shmctl(id, IPC_RMID, nullptr);
}

own_cluster::own_cluster(own_cluster_options options)
  : state_(std::make_unique<state>()) {
  state_->options = std::move(options);
  state_->settings = state_->options.settings;
  state_->make();
  state_->find_port();
  state_->make_roles();
  for (const auto* login : {"colloquy", "colloquy_owner"})
    set_password(login, random_password());
}

own_cluster::own_cluster(own_cluster&&) noexcept = default;
own_cluster& own_cluster::operator=(own_cluster&&) noexcept = default;
own_cluster::~own_cluster() = default;

int own_cluster::port() const {
  return state_->port;
}

std::string own_cluster::socket_dir() const {
  return state_->folder / "postgres/socket";
}

const std::string& own_cluster::password_of(const std::string& login) const {
  return state_->passwords.at(login);
}

void own_cluster::set_password(const std::string& login, const std::string& password) {
  test_connection connection(superuser_conninfo("postgres"));
  const db::text_ptr literal(PQescapeLiteral(connection.raw(), password.data(), password.size()));
  connection.exec("ALTER ROLE " + login + " PASSWORD " + literal.get());
  state_->passwords[login] = password;
}

std::string own_cluster::conninfo(const std::string& login, const std::string& extra) const {
  return conninfo_with(login, password_of(login), extra);
}

std::string own_cluster::conninfo_with(const std::string& login, const std::string& password,
                                       const std::string& extra) const {
  return std::string("host=") + host() + " port=" + std::to_string(port()) + " user=" + login +
         " password=" + conninfo_quoted(password) + " dbname=colloquy gssencmode=disable " + extra;
}

std::string own_cluster::superuser_conninfo(const std::string& database) const {
  return state_->superuser(database);
}

std::string own_cluster::value(const std::string& sql) const {
  return test_connection(superuser_conninfo()).value(sql);
}

void own_cluster::restart(stop_kind how, const setting_list& settings) {
  stop(how);
  state_->settings.insert(state_->settings.end(), settings.begin(), settings.end());
  start();
}

void own_cluster::stop(stop_kind how) {
  if (state_->server)
    state_->end(how);
}

void own_cluster::start() {
  if (running())
    return;
  stop();
  // Its port is known to clients by now; whoever else has taken it will most likely give it back.
  for (int tries = 0; tries < ports_max; ++tries)
    if (state_->launch())
      return;
  state_->fail("the test's own server does not start again");
}

bool own_cluster::running() const {
  return state_->server && state_->server->running();
}

void own_cluster::replace_certificate(const certificate& fresh) {
  state_->write_certificate(fresh);
  state_->reload();
}

void own_cluster::replace_hba(const std::vector<std::string>& lines) {
  state_->write_hba(lines);
  state_->reload();
}

pid_t own_cluster::pid() const {
  return state_->server ? state_->server->pid() : -1;
}

void own_cluster::signal_backend(pid_t backend, int number) const {
  if (::kill(backend, number) != 0)
    state_->fail("there is no process " + std::to_string(backend) + " of the test's own server");
}

void own_cluster::signal_all(int number) const {
  for (const auto pid : processes_in(state_->place()))
    ::kill(pid, number);
}

std::string own_cluster::log() const {
  return state_->log.text();
}

} // namespace colloquy::test
