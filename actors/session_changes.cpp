// A session's life: changed, shared, forked, expired, erased. See session.hpp for the rules.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"
#include "actors/session_labels.hpp"
#include "actors/session_status.hpp"
#include "actors/session_turns.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

const error not_in_time{error_code::deadline_exceeded,
                        "the change was not durable within the time allowed; it may still become so", 1000ms};

} // namespace

// --- changing --------------------------------------------------------------------------------------------------------

void session::serve(promise_of<update_session>& answer, update_session& request, const caf::actor_addr&) {
  const auto refuse = [&](error why) { reply(answer, result<session_record>(std::move(why))); };
  auto& record = known_->record;
  if (auto problem = check_update(request, record))
    return refuse(*problem);
  if (request.expected_version && *request.expected_version != record.version)
    return refuse({error_code::precondition_failed, "the session is at version " + std::to_string(record.version) +
                                                        ", not " + std::to_string(*request.expected_version)});
  auto labels = labels_after(request, record);
  auto consumption = consumption_after(request, record);
  const auto bytes = status_event_bytes + (request.metadata ? request.metadata->size() : 0) +
                     (request.title ? request.title->size() : 0) + label_bytes(labels, consumption);
  auto reservation = reserve(bytes);
  if (!reservation)
    return refuse(reservation.failure());

  const bool changes_status = request.status && *request.status != record.status;
  if (changes_status && *request.status != session_status::active)
    end_running(turn_status::cancelled, /*starts_next=*/false); // before the status, as it happened
  if (request.title)
    record.title = request.title->empty() ? std::nullopt : std::move(request.title);
  if (request.metadata)
    record.metadata = std::move(*request.metadata);
  record.labels = std::move(labels);
  record.mode = request.mode.value_or(record.mode);
  record.consumption_offsets = std::move(consumption);
  if (request.expires_in) {
    record.expires_in = *request.expires_in;
    record.expires_at =
        record.expires_in ? std::optional(environment_->now() + *record.expires_in) : std::optional<timestamp>{};
  }
  ++record.version;
  record.updated_at = environment_->now();
  auto writing = new_draft(std::move(reservation).value());
  if (changes_status) {
    log_about(spdlog::level::debug, subject(), "from {} to {}", to_string(record.status), to_string(*request.status));
    record.status = *request.status;
    add_status(writing, session_status_json(record.status), turn_id{});
  }
  const auto changed = std::make_shared<const session_record>(record);
  writing.write->changed = changed;
  writing.write->bytes += bytes;
  const auto number = send_draft(std::move(writing));
  if (changes_status && record.status != session_status::active)
    if (auto problem = why_not_writable())
      refuse_queue(*problem);
  when_durable(
      number,
      [this, answer, changed](const error* problem) mutable {
        if (problem)
          return reply(answer, result<session_record>(*problem));
        auto now = *changed; // as this request left it, whatever others have changed since
        now.next_offset = known_->record.next_offset;
        now.durable_offset = known_->record.durable_offset;
        reply(answer, result<session_record>(std::move(now)));
      },
      not_in_time);
}

void session::serve(promise_of<set_participant>& answer, set_participant& request, const caf::actor_addr&) {
  const auto refuse = [&](error why) { reply(answer, result<participant_list>(std::move(why))); };
  if (!is_storable_name(request.user_id))
    return refuse({error_code::invalid_request, "user_id must be valid UTF-8 without NUL, 1 to " +
                                                    std::to_string(limits::name_chars_max) + " characters"});
  if (request.user_id == known_->record.user_id)
    return refuse({error_code::invalid_request, "\"" + request.user_id + "\" owns the session"});
  const auto& all = known_->participants;
  const bool is_there =
      std::any_of(all.begin(), all.end(), [&](const participant& each) { return each.user_id == request.user_id; });
  if (request.role && !is_there && all.size() >= limits::participants_max)
    return refuse({error_code::invalid_request,
                   "more than " + std::to_string(limits::participants_max) + " participants of one session"});
  auto reservation = reserve(limits::event_overhead_bytes);
  if (!reservation)
    return refuse(reservation.failure());
  const db::participant_change change{request.user_id, request.role};
  change_participant(change);
  revoke(request.user_id);
  auto writing = new_draft(std::move(reservation).value());
  writing.write->participants.push_back(change);
  writing.write->bytes = limits::event_overhead_bytes;
  when_durable(
      send_draft(std::move(writing)),
      [this, answer](const error* problem) mutable {
        reply(answer, problem ? result<participant_list>(*problem)
                              : result<participant_list>(participant_list{known_->participants}));
      },
      not_in_time);
}

void session::serve(promise_of<list_participants>& answer, list_participants&, const caf::actor_addr&) {
  extend_life();
  reply(answer, result<participant_list>(participant_list{known_->participants}));
}

/// Ends what the user waits for and may not have any more. A turn of theirs that runs goes on, bounded by its lease:
/// what they want to write in it is refused.
void session::revoke(const std::string& user) {
  if (!doing_)
    return;
  const auto is_theirs = [&user](const std::optional<std::string>& as_user) { return as_user == user; };
  if (auto problem = why_not(access::reads, user)) {
    std::vector<subscription_id> theirs;
    for (const auto& [id, to] : doing_->listeners)
      if (is_theirs(to.as_user))
        theirs.push_back(id);
    for (const auto id : theirs)
      end_listening(id, *problem);
    std::erase_if(doing_->readers, [&](const waiting_reader& each) {
      if (is_theirs(each.request.as_user))
        reply(each.answer, result<event_page>(*problem));
      return is_theirs(each.request.as_user);
    });
  }
  if (auto problem = why_not(access::writes, user)) {
    const auto drop_repeats = [&](waiting_turn& of) {
      std::erase_if(of.repeats, [&](repeated_turn& each) {
        if (is_theirs(each.as_user))
          reply(each.answer, result<granted_turn>(*problem));
        return is_theirs(each.as_user);
      });
    };
    for (auto& each : doing_->turn_queue)
      drop_repeats(each);
    if (doing_->granting)
      drop_repeats(doing_->granting->whose);
    std::erase_if(doing_->turn_queue, [&](waiting_turn& each) {
      if (is_theirs(each.request.as_user))
        answer_all(each, result<granted_turn>(*problem));
      return is_theirs(each.request.as_user);
    });
    if (doing_->granting && !doing_->granting->is_let_go && is_theirs(doing_->granting->whose.request.as_user)) {
      let_go(*doing_->granting);
      answer_all(doing_->granting->whose, result<granted_turn>(*problem));
    }
  }
}

void session::take(forget_user& request) {
  auto answer = make_response_promise<user_forgotten>();
  auto forget = [this, answer, user = request.user_id]() mutable {
    if (phase_ == phase::awake && user != known_->record.user_id) {
      std::erase_if(known_->participants, [&](const participant& each) { return each.user_id == user; });
      revoke(user);
      environment_->tails->forget(known_->record.log);
      if (doing_)
        doing_->first_message.reset();
    }
    answer.deliver(user_forgotten{});
  };
  if (phase_ == phase::waking) // what it reads may have been there before the erasure
    doing().waiting.push_back(std::move(forget));
  else
    forget();
}

// --- forking ---------------------------------------------------------------------------------------------------------

void session::serve(promise_of<fork_session>& answer, fork_session& request, const caf::actor_addr&) {
  if (request.repeat)
    fork_once(answer, std::move(request), false);
  else
    fork(answer, std::move(request), false);
}

void session::fork_once(promise_of<fork_session> answer, fork_session request, bool is_last_try) {
  const auto repeat = *request.repeat;
  const requester by{access::owns, request.as_user};
  recall("fork", repeat, by, [this, answer, held = std::move(request), is_last_try](recalled found) mutable {
    if (!found)
      return reply(answer, result<session_record>(found.failure()));
    if (!*found)
      return fork(std::move(answer), std::move(held), is_last_try);
    if ((*found)->reply) // as it was answered the first time
      return reply(answer, result<session_record>(*(*found)->reply));
    answer.delegate(environment_->owner, get_session{{key_.tenant, (*found)->made}, held.as_user});
  });
}

/// What is shared must be durable first: the other log refers to it.
void session::fork(promise_of<fork_session> answer, fork_session request, bool is_last_try) {
  const auto refuse = [&](error why) { reply(answer, result<session_record>(std::move(why))); };
  if (phase_ != phase::awake) // it has come to its end while the fork waited
    return refuse(phase_ == phase::failed ? *failure_ : error{error_code::not_found, "no such session"});
  const auto at = request.at_offset;
  if (at < 0 || at >= known_->record.next_offset)
    return refuse({error_code::invalid_request, "at_offset is " + std::to_string(at) + "; the log has offsets 0 to " +
                                                    std::to_string(known_->record.next_offset - 1)});
  if (turn_runs() && at >= known_->last_turn->first_offset)
    return refuse({error_code::turn_in_progress, "offset " + std::to_string(at) + " lies in or behind turn " +
                                                     std::to_string(known_->last_turn->number) + ", which is running"});
  if (at > known_->record.durable_offset || hides_undurably()) // the fork begins with what the database has of it
    return when_durable(
        last_number_,
        [this, answer, request, is_last_try](const error* problem) mutable {
          if (problem)
            reply(answer, result<session_record>(*problem));
          else
            fork(std::move(answer), std::move(request), is_last_try);
        },
        error{error_code::deadline_exceeded, "what the fork is to share was not durable within the time allowed",
              1000ms});
  ++doing().others_under_way;
  ask_database(db::find_fork_point(source(), at), "find_fork_point",
               [this, answer, request, is_last_try](const db::unit_outcome& outcome) mutable {
                 --doing().others_under_way;
                 auto parent = db::decode_fork_point(outcome);
                 if (parent)
                   fork_from(*parent, std::move(answer), std::move(request), is_last_try);
                 else
                   reply(answer, result<session_record>(parent.failure()));
               });
}

void session::fork_from(const db::log_parent& parent, promise_of<fork_session> answer, fork_session request,
                        bool is_last_try) {
  make_fork wanted;
  wanted.wanted = known_->record;
  wanted.wanted.external_id.reset();
  wanted.wanted.parent = key_.id;
  wanted.wanted.status = session_status::active;
  wanted.wanted.turn_count = wanted.wanted.total_tokens = 0;
  wanted.wanted.version = 1;
  wanted.wanted.consumption_offsets.clear(); // nobody has read it
  wanted.has_deleted = known_->has_deleted;
  wanted.parent = parent;
  if (request.repeat) {
    wanted.key = new_key("fork", *request.repeat);
    know_key(*wanted.key);
  }
  ++doing().others_under_way;
  const auto number = at_end([answer](const error& why) mutable { reply(answer, result<session_record>(why)); });
  auto over = [this, number, answer, request, is_last_try](result<session_record> made) mutable {
    --doing().others_under_way;
    doing().at_end.erase(number);
    // The key may have been what was taken: by a twin of this request that was faster.
    if (!made && made.failure().code == error_code::conflict && request.repeat && !is_last_try)
      fork_once(std::move(answer), std::move(request), true);
    else
      reply(answer, std::move(made));
  };
  this->request(environment_->owner, 2 * environment_->request_timeout, std::move(wanted))
      .then([over](result<session_record>& made) mutable { over(std::move(made)); },
            [over](const caf::error&) mutable {
              over(error{error_code::deadline_exceeded, "the fork was not made within the time allowed", 1000ms});
            });
}

// --- the end ---------------------------------------------------------------------------------------------------------

bool session::is_overdue() const {
  const auto& record = known_->record;
  return record.status == session_status::expired || (record.expires_at && *record.expires_at <= environment_->now());
}

void session::take(expire_session&) {
  if (phase_ == phase::awake && is_overdue() && known_->record.status != session_status::expired)
    expire();
}

void session::expire() {
  end_running(turn_status::cancelled, /*starts_next=*/false);
  log_about(spdlog::level::debug, subject(), "expired");
  known_->record.status = session_status::expired;
  known_->record.updated_at = environment_->now();
  auto writing = new_draft(reserve_if_possible(status_event_bytes));
  add_status(writing, session_status_json(session_status::expired), turn_id{});
  writing.write->changed = std::make_shared<const session_record>(known_->record);
  send_draft(std::move(writing));
  const error expired{error_code::session_expired, "the session has expired"};
  refuse_queue(expired);
  // Who waits for that event gets it; who waits for what is behind it would wait in vain.
  std::erase_if(doing_->readers, [&](const waiting_reader& each) {
    const bool is_behind = each.request.after + 1 >= known_->record.next_offset;
    if (is_behind)
      reply(each.answer, result<event_page>(expired));
    return is_behind;
  });
  end_all_listening(expired);
}

/// The last write hides it in the database, behind everything that is on its way; nothing is taken any more.
void session::serve(promise_of<erase_session>& answer, erase_session&, const caf::actor_addr&) {
  if (doing().others_under_way > 0)
    return reply(answer, result<erased>(error{error_code::overloaded,
                                              "the session is just being forked; erase it after that", 100ms}));
  phase_ = phase::erasing;
  doing_->counted.reset();
  log_about(spdlog::level::info, subject(), "is being erased");
  const error gone{error_code::not_found, "no such session"};
  if (auto granting = std::exchange(doing_->granting, std::nullopt))
    doing_->turn_queue.push_front(std::move(granting->whose));
  refuse_queue(gone);
  refuse_readers(gone);
  end_all_listening(gone);
  environment_->tails->forget(known_->record.log);

  auto writing = new_draft(nullptr); // it frees more than it takes
  writing.write->erases = true;
  writing.write->bytes = limits::event_overhead_bytes;
  ++doing_->others_under_way;
  const auto number = send_draft(std::move(writing));
  auto is_answered = std::make_shared<bool>(false);
  when_durable(
      number,
      [answer, is_answered](const error* problem) mutable {
        if (problem && !std::exchange(*is_answered, true))
          reply(answer, result<erased>(*problem));
      },
      error{error_code::deadline_exceeded, "the erasure was not durable within the time allowed; it goes on", 1000ms});
  // Whoever has been told that it takes longer: it goes on.
  doing_->durable_waiters.push_back({number,
                                     [this, answer, is_answered](const error* problem) mutable {
                                       if (problem)
                                         --doing().others_under_way;
                                       else
                                         carry_out_erasure(*is_answered ? promise_of<erase_session>{} : answer);
                                     },
                                     time_point::max(),
                                     {}});
}

void session::carry_out_erasure(promise_of<erase_session> answer) {
  const auto number = at_end([answer](const error& why) { reply(answer, result<erased>(why)); });
  const auto over = [this, number, answer](result<erased> outcome) {
    // The sweeper may have come by meanwhile, and has counted what it took.
    if (!outcome && outcome.failure().code == error_code::not_found)
      outcome = erased{1};
    reply(answer, std::move(outcome));
    doing().at_end.erase(number);
    --doing().others_under_way;
    finish({error_code::not_found, "no such session"});
  };
  const auto run = [this, over]() {
    request(environment_->owner, environment_->request_timeout + pool_answer_margin, run_erasure{key_})
        .then([over](result<erased>& outcome) { over(std::move(outcome)); },
              [over](const caf::error&) {
                over(error{error_code::deadline_exceeded, "the erasure takes longer; it goes on", 1000ms});
              });
  };
  if (!environment_->journal)
    return run();
  request(environment_->journal, environment_->request_timeout, journal_erase{key_})
      .then(
          [this, run](result<journal_erased>& outcome) {
            if (!outcome)
              log_about(spdlog::level::err, {key_}, "the journal could not forget the erased session: {}",
                        outcome.failure().message);
            run();
          },
          [this, run](const caf::error&) {
            log_about(spdlog::level::err, {key_}, "the journal did not say that it has forgotten the erased session");
            run();
          });
}

} // namespace colloquy::actors
