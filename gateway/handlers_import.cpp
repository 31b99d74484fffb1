// Putting a tenant's data in, as it was exported.
#include "gateway/edge.hpp"
#include "gateway/import_reader.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

/// Makes sessions one after the other; if one cannot be made, those before it are erased again.
class importer {
public:
  importer(call& of, std::vector<session_to_import> sessions)
    : of_(of)
    , sessions_(std::move(sessions)) {}

  task<result<std::vector<session_id>>> run() {
    for (auto& each : sessions_)
      if (auto problem = co_await make(each)) {
        for (const auto& id : made_) {
          erase_session undo{{of_.who.tenant, id}};
          co_await of_.at.ask(std::move(undo));
        }
        co_return error{*problem};
      }
    co_return made_;
  }

  const std::vector<session_to_import>& sessions() const noexcept { return sessions_; }

private:
  task<std::optional<error>> make(session_to_import& from) {
    from.wanted.tenant = of_.who.tenant;
    const bool is_expired = from.status == session_status::expired;
    const auto expires_in = std::exchange(from.wanted.expires_in, std::nullopt); // not while it is being filled
    auto made = co_await of_.at.ask(from.wanted);
    if (!made)
      co_return made.failure();
    made_.push_back(made->key.id);
    for (auto& piece : from.pieces)
      if (auto problem = co_await append(made->key, piece))
        co_return problem;
    for (std::size_t at = 0; at < from.deleted.size(); at += limits::deleted_ranges_max)
      if (auto problem = co_await delete_again(made->key, from.deleted, at))
        co_return problem;
    for (const auto& each : from.participants) {
      set_participant wanted{made->key, each.user_id, each.role};
      auto set = co_await of_.at.ask(std::move(wanted));
      if (!set)
        co_return set.failure();
    }
    update_session last;
    last.session = made->key;
    if (from.status == session_status::paused || from.status == session_status::completed)
      last.status = from.status;
    if (is_expired)
      last.expires_in = std::chrono::seconds{1};
    else if (expires_in)
      last.expires_in = expires_in;
    if (!last.status && !last.expires_in)
      co_return std::nullopt;
    auto changed = co_await of_.at.ask(std::move(last));
    co_return changed ? std::nullopt : std::optional(changed.failure());
  }

  task<std::optional<error>> append(session_key to, session_to_import::piece& piece) {
    append_events wanted;
    wanted.session = to;
    wanted.events = std::move(piece.events);
    wanted.wanted = durability::durable;
    wanted.imported = std::make_shared<const imported_log>(std::move(piece.log));
    auto answer = co_await of_.at.ask(std::move(wanted));
    co_return answer ? std::nullopt : std::optional(answer.failure());
  }

  task<std::optional<error>> delete_again(session_key in, const std::vector<event_range>& all, std::size_t from) {
    delete_events wanted;
    wanted.session = in;
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(from);
    wanted.ranges.assign(first,
                         first + static_cast<std::ptrdiff_t>(std::min(limits::deleted_ranges_max, all.size() - from)));
    auto answer = co_await of_.at.ask(std::move(wanted));
    co_return answer ? std::nullopt : std::optional(answer.failure());
  }

  call& of_;
  std::vector<session_to_import> sessions_;
  std::vector<session_id> made_;
};

bool is_all_of(const session_to_import& from, const std::string& user) {
  const auto is_ok = [&](const std::string& author) { return author.empty() || author == user; };
  return from.wanted.user_id == user && std::all_of(from.pieces.begin(), from.pieces.end(), [&](const auto& piece) {
           return std::all_of(piece.log.authors.begin(), piece.log.authors.end(), is_ok);
         });
}

void write_imported(json_writer& to, const std::vector<session_to_import>& from, const std::vector<session_id>& made) {
  to.open_object().key("sessions").open_array();
  for (std::size_t i = 0; i < from.size(); ++i)
    to.open_object()
        .member_or_null("exported_id", from[i].exported_id)
        .member("id", made[i].to_string())
        .member("events", from[i].events)
        .member("turns", from[i].turns)
        .close_object();
  to.close_array().close_object();
}

} // namespace

task<http_reply> handle_import_sessions(call& of) {
  const auto limits = of.at.limits_of(of);
  const auto read_now = [&] { return read_import(of.said.raw_body, limits, system_time()); };
  auto reading = co_await run_aside(of.at.aside(), read_now);
  if (reading.mistake_count > 0) {
    call_reading wrong;
    wrong.mistakes = std::move(reading.mistakes);
    wrong.mistake_count = reading.mistake_count;
    wrong.is_too_large = reading.is_too_large;
    co_return make_problem(wrong, of.request.id);
  }
  for (const auto& each : reading.sessions)
    if (of.who.as_user && !is_all_of(each, *of.who.as_user))
      co_return make_problem({error_code::forbidden, "this token makes sessions and events of its own user alone"},
                             of.request.id);
  const auto& most = of.tenant->record.quotas.sessions_max;
  if (most && of.tenant->record.sessions + static_cast<std::int64_t>(reading.sessions.size()) > *most)
    co_return make_problem(
        {error_code::quota_exceeded, "the tenant's quota would be passed: sessions_max is " + std::to_string(*most)},
        of.request.id);
  importer work(of, std::move(reading.sessions));
  auto made = co_await work.run();
  if (!made)
    co_return make_problem(made.failure(), of.request.id);
  of.tenant->sessions_made += static_cast<std::int64_t>(made->size());
  for (const auto& id : *made)
    of.at.audit(of, "session.import", "session", id.to_string());
  co_return json_reply(201, *made, [&](json_writer& to, const std::vector<session_id>& ids) {
    write_imported(to, work.sessions(), ids);
  });
}

} // namespace colloquy::gateway
