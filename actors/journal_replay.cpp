#include "actors/journal_replay.hpp"

#include "actors/directory.hpp"
#include "actors/log_line.hpp"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

/// One replay. Each step returns an error, or goes on.
class replayer {
public:
  replayer(caf::actor_system& system, const journal_actor& journal, const directory_actor& directory,
           const shards_owned& owned, std::chrono::milliseconds timeout)
    : self_(system)
    , journal_(journal)
    , directory_(caf::actor_cast<caf::actor>(directory))
    , owned_(owned)
    , timeout_(timeout) {}

  result<journal_replay> run() {
    auto users = ask<get_journal_users>(journal_, {});
    if (!users)
      return users.failure();
    users_.insert(users->processes.begin(), users->processes.end());
    std::optional<db::journal_place> after;
    std::vector<journal_record> of_one;
    do {
      read_journal wanted;
      wanted.after = after;
      auto page = ask<read_journal>(journal_, wanted);
      if (!page)
        return page.failure();
      for (auto& record : page->records) {
        if (!of_one.empty() && of_one.front().write->session != record.write->session)
          if (auto done = replay(std::exchange(of_one, {})); !done)
            return done.failure();
        of_one.push_back(std::move(record));
      }
      after = page->next;
    } while (after);
    if (!of_one.empty())
      if (auto done = replay(std::move(of_one)); !done)
        return done.failure();
    return outcome_;
  }

private:
  template <class Request, class Handle>
  result<typename Request::reply> ask(const Handle& whom, Request request) {
    result<typename Request::reply> answer{error{error_code::deadline_exceeded, "no answer within the time allowed"}};
    self_->request(whom, timeout_, std::move(request))
        .receive([&](result<typename Request::reply>& given) { answer = std::move(given); }, [](const caf::error&) {});
    return answer;
  }

  bool has_moved(const journal_record& record) const {
    const auto shard = db::shard_of(record.write->session.id);
    if (!owned_.owned.test(shard) || owned_.previous.size() != db::shard_count)
      return true;
    const auto& last = owned_.previous[shard];
    return !last || (*last != record.origin.process && !users_.contains(*last));
  }

  /// All records of one session, as they were written.
  result<void> replay(std::vector<journal_record> records) {
    const auto key = records.front().write->session;
    std::vector<journal_record> ours, others;
    for (auto& record : records)
      (has_moved(record) ? others : ours).push_back(std::move(record));
    if (auto done = put_aside(key, others, "another process has owned the session meanwhile"); !done)
      return done;
    if (ours.empty())
      return {};
    replay_session wanted{key, {}};
    for (const auto& record : ours)
      wanted.records.writes.push_back(record.write);
    auto answer = ask<replay_session>(directory_, std::move(wanted));
    if (!answer)
      return answer.failure();
    outcome_.durable_already += answer->durable_already;
    outcome_.written_again += answer->written;
    std::vector<journal_record> unfitting;
    journal_forget done;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const auto& not_fit = answer->unfitting;
      if (std::find(not_fit.begin(), not_fit.end(), i) != not_fit.end())
        unfitting.push_back(std::move(ours[i]));
      else
        done.records.push_back(ours[i].place);
    }
    if (auto aside = put_aside(key, unfitting, "its events do not continue the session's log"); !aside)
      return aside;
    // What was written again stands in the journal anew, before this reaches it.
    auto forgotten = ask<journal_forget>(journal_, std::move(done));
    return forgotten ? result<void>{} : result<void>{forgotten.failure()};
  }

  result<void> put_aside(const session_key& key, const std::vector<journal_record>& records, const char* why) {
    if (records.empty())
      return {};
    quarantine wanted;
    wanted.reason = why;
    for (const auto& record : records)
      wanted.records.push_back(record.place);
    auto answer = ask<quarantine>(journal_, std::move(wanted));
    if (!answer)
      return answer.failure();
    outcome_.quarantined += answer->records;
    log_about(spdlog::level::err, {key}, "{} records of the journal go to the quarantine: {}", answer->records, why);
    return {};
  }

  caf::scoped_actor self_;
  const journal_actor journal_;
  const caf::actor directory_;
  const shards_owned& owned_;
  const std::chrono::milliseconds timeout_;
  std::unordered_set<process_id> users_;
  journal_replay outcome_;
};

} // namespace

result<journal_replay> replay_journal(caf::actor_system& system, const journal_actor& journal,
                                      const directory_actor& directory, const shards_owned& owned,
                                      std::chrono::milliseconds request_timeout) {
  return replayer(system, journal, directory, owned, request_timeout).run();
}

} // namespace colloquy::actors
