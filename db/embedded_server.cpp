#include "db/embedded_server.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <exception>
#include <fcntl.h>
#include <string_view>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <unistd.h>

#include "db/embedded_catalogs.hpp"
#include "db/embedded_cluster.hpp"
#include "db/embedded_leftovers.hpp"
#include "db/embedded_log.hpp"
#include "db/embedded_process.hpp"
#include "db/embedded_programs.hpp"
#include "db/embedded_roles.hpp"

namespace colloquy::db {

using namespace std::chrono_literals;
using namespace embedded;
namespace fs = std::filesystem;

namespace {

constexpr auto readiness_interval = 5ms;
constexpr auto quit_patience = 7s; ///< PostgreSQL itself kills its children 5 s after SIGQUIT
constexpr auto kill_patience = 5s;

std::string shared_buffers() {
  struct sysinfo machine {};
  constexpr unsigned long long four_gib = 4ull << 30;
  const bool large = ::sysinfo(&machine) == 0 && machine.totalram * 1ull * machine.mem_unit >= four_gib;
  return large ? "256MB" : "128MB";
}

/// On the command line, where nothing that is written in the cluster can change them.
std::vector<std::pair<std::string, std::string>> settings_of_ours() {
  return {
      // Who may come in: the private socket, and who pg_hba.conf names.
      {"listen_addresses", ""},
      {"unix_socket_directories", "socket"}, // in the cluster's folder, wherever that is
      {"unix_socket_permissions", "0700"},
      {"unix_socket_group", ""},
      {"port", "5432"},
      {"hba_file", std::string(child_folder) + "/pg_hba.conf"},
      {"ident_file", std::string(child_folder) + "/pg_ident.conf"},
      // Committed means on disk.
      {"fsync", "on"},
      {"synchronous_commit", "on"},
      {"full_page_writes", "on"},
      // A small machine with a pool of some tens of connections, many short writes, no long reports.
      {"max_connections", "120"},
      {"shared_buffers", shared_buffers()},
      {"max_wal_size", "2GB"},
      {"checkpoint_completion_target", "0.9"},
      {"wal_buffers", "16MB"},
      {"random_page_cost", "1.1"},
      {"jit", "off"},
      {"timezone", "UTC"},
      // The log is ours to keep small, and holds no value of a statement.
      {"logging_collector", "off"},
      {"log_destination", "stderr"},
      {"log_timezone", "UTC"},
      {"log_statement", "none"},
      {"log_min_duration_statement", "-1"},
      {"log_min_messages", "warning"},
      {"log_min_error_statement", "panic"},
      {"log_parameter_max_length", "0"},
      {"log_parameter_max_length_on_error", "0"},
      {"cluster_name", "colloquy"},
  };
}

std::vector<std::string> server_arguments(const embedded_options& options) {
  std::vector<std::string> arguments{"-D", child_folder};
  auto settings = settings_of_ours();
  settings.insert(settings.end(), options.server_settings.begin(), options.server_settings.end());
  for (const auto& [name, value] : settings)
    arguments.insert(arguments.end(), {"-c", name + "=" + value});
  arguments.insert(arguments.end(), {"-c", owner_setting + std::to_string(::getpid())});
  return arguments;
}

/// The server's own note: line 1 is its process id, line 8 its status. Asking it by connecting would fill its log.
bool is_ready(int folder, pid_t pid) {
  const auto note = read_file_at(folder, "postmaster.pid").value_or("");
  std::string_view rest = note;
  std::string_view lines[8];
  for (auto& line : lines) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos)
      return false;
    line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
  }
  return lines[0] == std::to_string(pid) && lines[7].starts_with("ready");
}

/// A path for libpq's `host`, which takes a comma for the end of a path.
std::string host_for(const fs::path& socket_path, int socket_folder) {
  const auto whole = socket_path.string() + "/.s.PGSQL.5432";
  if (whole.size() < sizeof(sockaddr_un::sun_path) && whole.find(',') == std::string::npos)
    return socket_path.string();
  return "/proc/self/fd/" + std::to_string(socket_folder);
}

} // namespace

struct embedded_server::state {
  embedded_options options;
  steady_time deadline;
  data_folder data; // before the child: the folder is held until the child has ended
  embedded::cluster cluster;
  std::optional<os_user> run_as;
  server_programs programs;
  unique_fd socket_folder;
  server_log log;
  std::optional<child_process> server;
  std::string socket_dir;
  std::string owner_conninfo;
  std::string service_conninfo;
  pid_t pid = -1;
  bool created = false;

  fs::path cluster_path() const { return data.path / "postgres"; }
  result<void> open();
  result<void> run();
  result<void> await_ready();
  result<void> stop();
};

/// Up to a cluster that is there and has no server.
result<void> embedded_server::state::open() {
  auto opened = open_data_folder(options.data_dir);
  if (!opened)
    return opened.failure();
  data = std::move(*opened);
  auto existing = open_cluster(data);
  if (!existing)
    return existing.failure();
  auto user = choose_user(*existing, data.path, options.run_as_user);
  if (!user)
    return user.failure();
  run_as = std::move(*user);
  program_search search{options.bin_dir, cluster_path(), {}, run_as};
  if (existing->has_value())
    search.cluster_major = (**existing).major;
  auto found = find_programs(search, deadline);
  if (!found)
    return found.failure();
  programs = std::move(*found);
  if (auto space = check_space(data, existing->has_value() ? options.free_bytes_existing : options.free_bytes_new);
      !space)
    return space;
  if (!existing->has_value()) {
    auto made = make_cluster(data, programs.folder / "initdb", run_as, deadline);
    if (!made)
      return made.failure();
    cluster = std::move(*made);
    created = true;
    return {};
  }
  cluster = std::move(**existing);
  return await_previous_server(cluster.folder.get(), cluster_path(), options.stop_timeout);
}

result<void> embedded_server::state::run() {
  auto socket = prepare_cluster(data, cluster, run_as);
  if (!socket)
    return socket.failure();
  socket_folder = std::move(*socket);
  auto opened = server_log::open(data);
  if (!opened)
    return opened.failure();
  log = std::move(*opened);
  child_plan plan;
  plan.program = programs.folder / "postgres";
  plan.arguments = server_arguments(options);
  plan.run_as = run_as;
  plan.folder = cluster.folder.get();
  plan.output = plan.errors = log.descriptor();
  plan.death_signal = SIGINT; // a fast but clean stop
  auto started = child_process::start(std::move(plan), [this] { log.trim(); });
  if (!started)
    return started.failure();
  server = std::move(*started);
  pid = server->pid();
  if (auto ready = await_ready(); !ready)
    return ready;
  socket_dir = host_for(cluster_path() / "socket", socket_folder.get());
  owner_conninfo = conninfo(socket_dir, "colloquy_owner", "colloquy");
  service_conninfo = conninfo(socket_dir, "colloquy", "colloquy");
  return ensure_roles(socket_dir);
}

result<void> embedded_server::state::await_ready() {
  while (!is_ready(cluster.folder.get(), pid)) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline)
      return error{error_code::deadline_exceeded,
                   "PostgreSQL in " + cluster_path().string() + " was not ready within " +
                       std::to_string(options.start_timeout.count()) +
                       " ms; it may still be recovering from a crash: start again with more time, or see " +
                       (data.path / "postgres.log").string()};
    if (const auto status = server->wait_until(std::min(deadline, now + readiness_interval)))
      return explain_failure(data,
                             "PostgreSQL in " + cluster_path().string() + " ended at its start with " +
                                 describe_exit(*status) + " (log: " + (data.path / "postgres.log").string() + ")",
                             log.since_open());
  }
  return {};
}

result<void> embedded_server::state::stop() {
  if (!server)
    return {};
  const auto earlier = server->wait_until({});
  std::optional<int> status;
  std::string forced;
  for (const auto& [number, patience] : {std::pair<int, std::chrono::milliseconds>{SIGINT, options.stop_timeout},
                                         {SIGQUIT, quit_patience},
                                         {SIGKILL, kill_patience}}) {
    server->signal(number);
    if (number != SIGINT)
      server->signal(SIGCONT); // one that was stopped takes no other signal
    status = server->wait_until(std::chrono::steady_clock::now() + patience);
    if (status)
      break;
    forced = number == SIGINT ? " and had to be stopped at once" : " and had to be killed";
  }
  server.reset();
  data.lock.reset();
  const auto name = "the PostgreSQL server in " + cluster_path().string();
  if (earlier && *earlier != 0)
    return error{error_code::database_unavailable, name + " had already ended, with " + describe_exit(*earlier)};
  if (!forced.empty())
    return error{error_code::deadline_exceeded, name + " did not stop within " +
                                                    std::to_string(options.stop_timeout.count()) + " ms" + forced +
                                                    "; nothing committed is lost"};
  if (status && *status != 0)
    return error{error_code::database_unavailable, name + " stopped with " + describe_exit(*status)};
  return {};
}

embedded_server::embedded_server(std::unique_ptr<state> fresh)
  : state_(std::move(fresh)) {}
embedded_server::embedded_server(embedded_server&&) noexcept = default;

embedded_server& embedded_server::operator=(embedded_server&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

embedded_server::~embedded_server() {
  [[maybe_unused]] const auto stopped = stop();
}

result<embedded_server> embedded_server::start(const embedded_options& options) try {
  auto fresh = std::make_unique<state>();
  fresh->options = options;
  fresh->deadline = std::chrono::steady_clock::now() + options.start_timeout;
  embedded_server server(std::move(fresh)); // from here on a failure stops what runs
  if (auto opened = server.state_->open(); !opened)
    return opened.failure();
  if (auto runs = server.state_->run(); !runs)
    return runs.failure();
  return server;
} catch (const std::exception& e) {
  return error{error_code::internal, std::string("cannot start the embedded database: ") + e.what()};
}

result<void> embedded_server::stop() {
  return state_ ? state_->stop() : result<void>();
}

const std::string& embedded_server::socket_dir() const {
  return state_->socket_dir;
}
const std::string& embedded_server::owner_conninfo() const {
  return state_->owner_conninfo;
}
const std::string& embedded_server::service_conninfo() const {
  return state_->service_conninfo;
}
result<void> embedded_server::close_catalogs() const {
  return embedded::close_catalogs(state_->socket_dir, "colloquy");
}
pid_t embedded_server::pid() const {
  return state_->pid;
}
int embedded_server::major_version() const {
  return state_->programs.major;
}
bool embedded_server::created() const {
  return state_->created;
}
bool embedded_server::running() const {
  return state_->server && state_->server->running();
}

} // namespace colloquy::db
