#include "tests/support/watched_pool.hpp"

#include "actors/io_reactor.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace colloquy::test {

using namespace std::chrono_literals;

watched_pool::watched_pool(caf::actor_config& config, actors::supervisor_actor real,
                           std::shared_ptr<last_leaseholder> holder)
  : actors::supervisor_actor::base(config)
  , real_(std::move(real))
  , holder_(std::move(holder)) {}

watched_pool::behavior_type watched_pool::make_behavior() {
  return {[this](actors::run_unit& request) { return delegate(real_, std::move(request)); },
          [this](actors::lease_connection& request) {
            holder_->set(current_sender());
            return delegate(real_, std::move(request));
          },
          [this](const actors::end_lease& ended) { send(real_, ended); }};
}

void watched_pool::on_exit() {
  real_ = nullptr;
}

open_service::open_service(std::size_t batch_events_max)
  : database_(test_database::make())
  , system_(config_) {
  auto connecting = std::make_shared<actors::connection_options>();
  connecting->target = db::service_target(database_.service_conninfo(), "public", "colloquy-test", {30s, 60s, 10s});
  connecting->connect_timeout = 10s;
  connecting->unit_timeout = 35s;
  connecting->reactor = std::make_shared<actors::io_reactor>();
  actors::pool_options pool;
  pool.connections_min = 2;
  pool.connections_max = 4;
  pool.acquire_timeout = 10s;
  supervisor_ = caf::actor_cast<actors::supervisor_actor>(system_.spawn<actors::supervisor>(pool, connecting));
  watched_ = caf::actor_cast<actors::supervisor_actor>(system_.spawn<watched_pool>(supervisor_, holder_));
  actors::directory_options options;
  options.budget = std::make_shared<byte_budget>(std::size_t{1} << 30);
  options.request_timeout = 60s;
  options.writing.batch_events_max = batch_events_max;
  options.writing.batch_timeout = 40s;
  options.writing.barrier_timeout = 60s;
  directory_ = caf::actor_cast<directory_actor>(system_.spawn<actors::directory>(watched_, std::move(options)));
  caf::scoped_actor self{system_};
  self->request(caf::actor_cast<caf::actor>(directory_), 60s, actors::await_ownership{})
      .receive([](const result<actors::shards_owned>&) {}, [](const caf::error&) {});
}

open_service::~open_service() {
  caf::scoped_actor self{system_};
  for (const auto& handle : {caf::actor_cast<caf::actor>(directory_), caf::actor_cast<caf::actor>(watched_),
                             caf::actor_cast<caf::actor>(supervisor_)}) {
    self->send_exit(handle, caf::exit_reason::user_shutdown);
    self->wait_for(handle);
  }
}

session_key open_service::make_session(const std::string& tenant_name) {
  create_session create;
  create.tenant = tenant_id::parse(tenant_name).value();
  create.user_id = "ada";
  std::optional<session_key> made;
  caf::scoped_actor self{system_};
  self->request(directory_, 60s, std::move(create))
      .receive(
          [&](const result<session_record>& answer) {
            if (answer)
              made = answer->key;
          },
          [](const caf::error&) {});
  if (!made)
    throw std::runtime_error("no session was made");
  return *made;
}

void open_service::append(const session_key& session, const std::vector<std::string>& texts) {
  append_events request;
  request.session = session;
  for (const auto& text : texts) {
    event_input input;
    input.role = message_role::user;
    input.data = text;
    request.events.push_back(std::move(input));
  }
  caf::scoped_actor self{system_};
  self->request(directory_, 60s, std::move(request))
      .receive(
          [](const result<appended>& answer) {
            if (!answer)
              throw std::runtime_error("not accepted: " + answer.failure().message);
          },
          [&](const caf::error& failed) { throw std::runtime_error("not accepted: " + system_.render(failed)); });
}

result<flushed> open_service::flush_all() {
  result<flushed> outcome{error{error_code::deadline_exceeded, "no answer"}};
  caf::scoped_actor self{system_};
  self->request(directory_, 60s, flush{})
      .receive([&](const result<flushed>& answer) { outcome = answer; }, [](const caf::error&) {});
  return outcome;
}

std::vector<std::string> open_service::stored(const session_key& session) const {
  std::vector<std::string> texts;
  const auto rows = database_.exec("SELECT \"offset\", data FROM events WHERE log_id = '" + session.id.to_string() +
                                   "' ORDER BY \"offset\"");
  for (const auto& row : rows) {
    if (row[0] != std::to_string(texts.size()))
      throw std::runtime_error("a gap in the log before offset " + row[0]);
    texts.push_back(row[1]);
  }
  return texts;
}

void open_service::kill_writer() {
  caf::anon_send_exit(holder_->get(), caf::exit_reason::kill);
}

int open_service::writer_backend() const {
  const auto text = database_.value("SELECT coalesce(max(backend_pid), 0) FROM writers");
  int pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  return pid;
}

void cut_database_sockets() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const auto name = entry.path().filename().string();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    sockaddr_un peer{};
    socklen_t length = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0 && peer.sun_family == AF_UNIX &&
        std::string_view(peer.sun_path).find(".s.PGSQL.") != std::string_view::npos)
      shutdown(fd, SHUT_RDWR);
  }
}

} // namespace colloquy::test
