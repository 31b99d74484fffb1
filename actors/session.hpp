// The session actor: one conversation. It alone gives out the offsets of its log and orders its turns.
//
// Accepts (from the directory, on behalf of callers; messages/*_requests.hpp tell fields and errors), inside
// session_call
//   create_session -> session_record   first message of a session that is being made; answered when durable
//   make_fork      -> session_record   the same, for one that shares another one's log
//   get_session, update_session, set_participant, list_participants, fork_session, erase_session
//   append_events  -> appended         when accepted (with a journal: when that has it), or when durable
//                                      an import only while no turn runs; its turns have ended already
//   delete_events  -> events_deleted   answered when durable; hidden at once
//   read_events, read_history, list_turns, subscribe_events, events_taken, unsubscribe_events
//   start_turn     -> granted_turn     when it is the asker's turn;  renew_turn, end_turn, post_delta
//                                      beyond what its tenant may have running it is refused when its turn comes
//   go_to_sleep    -> sleep_answer     asleep only if nothing is undurable, running or waited for
//   resend_undurable -> resent         after a writer's death
//   replay_writes  -> replayed         a journal's records, right after waking; answered when they are durable
//   written, creation_outcome, write_refused from the writer; journaled, journal_refused from the journal;
//   expire_session, session_disowned, forget_user, tell_undurable, close_session from the directory; behind the last it
//   writes nothing more.
// Waking: unless it is being made it reads its row and the end of its log first; requests that come meanwhile wait, in
//   a bounded queue. A turn that was running when the last service crashed is closed as lost.
// Ordering: requests are handled one at a time in order of arrival; a write reaches the writer before its answer
//   leaves. What has to look into the database first (a read of old events, a fork) is answered when that is done.
// Durability: every write is kept until `written`; a durable offset covers all below it.
// End: a session that does not exist, could not be made or was erased answers what it has, says session_finished to the
//   directory and ends when that says go_to_sleep, so that no request is in its mailbox then.
// Failure: after write_refused it answers everything with internal and keeps what was not written, which it does not
//   send again. After session_disowned it answers everything with not_owner.
// State it owns: session_state.hpp. The tail of its log is in the cache that all sessions share.
// Death: everything waiting is answered internal; what is in its mailbox bounces. What the writer has, it still writes;
//   the directory lets the next incarnation wake only behind that. A running turn goes on.
#pragma once

#include "actors/log_line.hpp"
#include "actors/session_state.hpp"
#include "actors/tenant_account.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace colloquy::actors {

class session : public session_actor::base {
public:
  enum class origin { to_be_made, stored };

  /// `of_tenant`: what the tenant has here and may have.
  session(caf::actor_config& config, session_key key, origin from, writer_actor writer,
          std::shared_ptr<const session_environment> environment, std::shared_ptr<tenant_account> of_tenant);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using event_blocks = std::vector<db::event_block>;
  enum class phase : std::uint8_t { waking, making, awake, erasing, failed };
  enum class access : std::uint8_t { reads, writes, owns };

  // session.cpp: from waking to sleeping
  template <class Request>
  void take(Request& request);
  void take(create_session& request);
  void take(make_fork& request);
  void take(events_taken& taken);
  void take(unsubscribe_events& request);
  void take(written& news) { on_written(news.through_number); }
  void take(creation_outcome& outcome);
  void take(write_refused& refusal);
  void take(journaled& news);
  void take(journal_refused& refusal);
  void take(go_to_sleep&);
  void take(expire_session&);
  void take(session_disowned&);
  void take(resend_undurable& request);
  void take(replay_writes& request);
  void take(tell_undurable&);
  void take(close_session&);
  void take(forget_user& request);
  void take(session_tick&);
  template <class Request>
  void serve_now(promise_of<Request>& answer, Request& request, const caf::actor_addr& asker);
  std::optional<error> why_not(access needed, const std::optional<std::string>& as_user) const;
  std::optional<error> why_not_now(access needed, const std::optional<std::string>& as_user) const;
  // session_waking.cpp: how it begins
  void make(session_record wanted, std::optional<db::log_parent> parent, std::optional<db::remembered_key> key,
            std::size_t bytes, promise_of<create_session> answer);
  void wake();
  void on_stored(const db::unit_outcome& outcome);
  void wake_further(bool lease_goes_on);
  void count_messages_of_turn(event_offset after);
  void wake_up(bool lease_goes_on);
  void close_left_turn();
  void adopt_turn();
  error name_is_taken() const;
  void finish(error why);
  void fail(error why);
  void run_waiting();
  void schedule_tick(time_point due);
  time_point next_due(time_point now) const;
  void monitor_once(const caf::actor_addr& who);
  void on_down(const caf::down_msg& down);

  // session_writes.cpp: what is written, and what becomes of it
  std::optional<error> why_not_writable() const;
  result<std::shared_ptr<const byte_reservation>>
  reserve(std::size_t bytes, const std::shared_ptr<const byte_reservation>& given = nullptr) const;
  std::shared_ptr<const byte_reservation> reserve_if_possible(std::size_t bytes) const;
  result<std::shared_ptr<const byte_reservation>> admit(const std::vector<event_input>& events,
                                                        const std::shared_ptr<const byte_reservation>& given,
                                                        std::size_t own_bytes, bool is_import = false) const;
  struct draft; // a write that is being put together
  draft new_draft(std::shared_ptr<const byte_reservation> reservation);
  void add_event(draft& to, event_input&& input, turn_id turn);
  void add_events(draft& to, std::vector<event_input>& events, turn_id turn, const std::optional<std::string>& author);
  void add_status(draft& to, std::string data, turn_id turn, const std::string& trace_id = {});
  void add_turn(draft& to, const db::turn_row& turn, const std::string& reason = {});
  std::uint64_t send_draft(draft&& finished);
  void send_write(db::session_write_ptr write);
  void extend_life();
  void when_durable(std::uint64_t number, std::function<void(const error*)> then,
                    std::variant<error, appended> when_late);
  void when_accepted(std::uint64_t number, std::function<void(const error*)> then);
  void when_accepted_again(std::function<void(const error*)> then);
  void on_written(std::uint64_t through);
  void answer_waiters(std::deque<write_waiter>& waiters, std::uint64_t through, const error* problem);
  void expire_waiters(std::deque<write_waiter>& waiters, time_point now);
  void serve(promise_of<append_events>& answer, append_events& request, const caf::actor_addr& asker);
  void append(promise_of<append_events>& answer, append_events& request);
  std::optional<error> why_not_appended(const append_events& request) const;
  // session_import.cpp: what another session was, written into this one
  std::optional<error> why_not_imported(const append_events& request) const;
  void add_imported(draft& to, append_events& request);
  void answer_append(promise_of<append_events> answer, const appended& reached, std::uint64_t number);

  // session_repeats.cpp: requests that come again
  using recalled = result<std::optional<db::remembered_key>>; // nothing: it is new
  struct requester {
    access needed;
    std::optional<std::string> as_user;
  };
  void recall(const char* kind, const idempotency& repeat, requester by, std::function<void(recalled)> then);
  void recall_in(const std::string& scope, const idempotency& repeat, requester by, std::function<void(recalled)> then);
  void look_up_again(const std::string& scope, const idempotency& repeat, std::function<void(recalled)> then);
  void look_up_key(const std::string& scope, const idempotency& repeat, std::function<void(recalled)> then);
  recalled read_key(const std::string& scope, const idempotency& repeat, const db::unit_outcome& outcome) const;
  void learn_keys(std::function<void()> then);
  const db::remembered_key* undurable_key(const std::string& scope, const std::string& key) const;
  static recalled compare(const db::remembered_key& known, const idempotency& repeat);
  db::remembered_key new_key(const char* kind, const idempotency& repeat) const;
  void know_key(const db::remembered_key& key);
  void remember(draft& in, db::remembered_key key);

  // session_turns.cpp: whose turn it is
  bool turn_runs() const { return known_->last_turn && known_->last_turn->status == turn_status::running; }
  bool is_running(turn_id turn) const { return turn_runs() && known_->last_turn->id == turn; }
  void serve(promise_of<start_turn>& answer, start_turn& request, const caf::actor_addr& asker);
  void serve(promise_of<renew_turn>& answer, renew_turn& request, const caf::actor_addr&);
  void serve(promise_of<end_turn>& answer, end_turn& request, const caf::actor_addr&);
  void serve(promise_of<post_delta>& answer, post_delta& request, const caf::actor_addr&);
  void serve(promise_of<list_turns>& answer, list_turns& request, const caf::actor_addr&);
  std::optional<error> why_no_turn() const;
  bool joins_twin(waiting_turn& waiting);
  void repeat_turn(promise_of<start_turn>& answer, start_turn& request, const db::remembered_key& known);
  std::optional<error> why_not_waiting(const start_turn& request) const;
  bool is_known_turn(turn_id turn) const;
  void enqueue(waiting_turn waiting);
  void start_next();
  void on_history(result<history_page> history);
  void grant(granting_turn granting, history_page history);
  history_page with_newest(history_page history, std::optional<std::int64_t> token_budget, const event_blocks& since,
                           const std::vector<event>& own) const;
  void hand_over(waiting_turn& whose, granted_turn granted, const error* problem);
  void end_running(turn_status how, bool starts_next = true);
  std::uint64_t write_end(draft draft, turn_status how, const std::optional<token_usage>& usage,
                          const std::string& reason);
  bool leave_queue(turn_id turn, const error& why);
  void remember_cancelled(const turn_record& waited);
  const turn_record* find_cancelled(turn_id turn) const;
  void refuse_queue(const error& why);
  void end_if_overdue();
  void check_turns(time_point now);
  const db::turn_row* undurable_turn(turn_id turn) const;
  std::vector<turn_record> waiting_turns(std::int64_t before) const;
  void forget_deltas();

  // session_reads.cpp: what there is
  void serve(promise_of<get_session>& answer, get_session& request, const caf::actor_addr&);
  void serve(promise_of<read_history>& answer, read_history& request, const caf::actor_addr&);
  void serve(promise_of<read_events>& answer, read_events& request, const caf::actor_addr&);
  bool is_rolled_back(const event& entry) const;
  struct history_reading; // a history that is being put together, page by page
  bool hides_undurably() const;
  void read_newest(std::shared_ptr<history_reading> reading);
  void on_first(std::shared_ptr<history_reading> reading, event_offset from, std::uint64_t hidings,
                const db::unit_outcome& outcome);
  std::optional<event> first_of(const event_blocks& blocks) const;
  void choose(std::shared_ptr<history_reading> reading, std::optional<event> first);
  void hand_in(history_reading& to, const event& entry) const;
  void read_older(std::shared_ptr<history_reading> reading, event_offset before);
  void count_trimmed(std::shared_ptr<history_reading> reading);
  struct page_reading;
  void read_upwards(std::shared_ptr<page_reading> reading);
  void read_downwards(std::shared_ptr<page_reading> reading);
  void finish_page(page_reading& reading);
  void read_part(promise_of<read_history> answer, const read_history& request);
  void read_durable(event_offset after, std::size_t limit, std::function<void(result<event_page>)> then,
                    bool from_database = false);
  /// Blocks that end at the next offset, from `wanted` or as early as there is in memory; and where they begin.
  event_offset in_memory(event_blocks& blocks, event_offset wanted = 0) const;
  bool is_hidden(const event& entry) const;
  std::uint64_t at_end(std::function<void(const error&)> say);
  void ask_database(db::unit query, const char* purpose, std::function<void(const db::unit_outcome&)> then);
  db::log_source source() const;
  void read_or_wait(waiting_reader reader);
  void answer_readers();
  void refuse_readers(const error& why);

  // session_filtered_reads.cpp: events of some kind or other, or deleted ones too
  struct filtered_reading;
  void read_filtered(std::shared_ptr<filtered_reading> reading);

  // session_deletions.cpp: what is not shown any more
  void serve(promise_of<delete_events>& answer, delete_events& request, const caf::actor_addr&);
  result<std::vector<event_range>> what_to_delete(const delete_events& request) const;
  void delete_ranges(const std::vector<event_range>& ranges);
  bool is_deleted(event_offset offset) const;
  void forget_durable_deletions();
  void tell_deleted(const std::vector<event_range>& ranges);

  // session_subscriptions.cpp: who listens
  void serve(promise_of<subscribe_events>& answer, subscribe_events& request, const caf::actor_addr&);
  void feed(const event_blocks& durable);
  db::event_block without_hidden(const db::event_block& block) const;
  void feed_from_log(subscription& to);
  bool send_events(subscription& to, const db::event_block& block, std::size_t bytes, event_offset through,
                   const std::optional<event_range>& deleted = std::nullopt);
  void end_listening(subscription_id id, const error& why);
  void forget_listener(subscription_id id);
  void forget_listeners_of(const caf::actor_addr& who);
  void end_all_listening(const error& why);
  std::size_t pass_delta(turn_id turn, const std::shared_ptr<const std::string>& text,
                         const std::shared_ptr<const std::string>& data);
  void send_delta(subscription& to, delta_arrived part);
  void send_text_so_far(subscription& to);
  void take_deltas(subscription& to, std::uint64_t in_all);

  // session_replay.cpp: what a journal has
  using rewritten = std::vector<std::pair<std::size_t, std::uint64_t>>; // places, and the numbers they have now
  void begin_replay();
  void look_up_stored();
  void finish_replay();
  replayed replay(const replaying_session& of, rewritten& again);
  bool is_there(const db::session_write& write) const;
  bool fits(const db::session_write& write) const;
  std::uint64_t write_again(const db::session_write& write);
  void take_over_state(const db::session_write& write);
  void hide(turn_id turn);
  void forget_what_was_shown();
  void change_participant(const db::participant_change& change);
  void answer_when_durable(replaying_session of, replayed outcome, rewritten again);
  void erase_again();
  void tell_erased(caf::typed_response_promise<result<replayed>> answer);
  void tell_what_became();

  // session_changes.cpp: its life
  void serve(promise_of<update_session>& answer, update_session& request, const caf::actor_addr&);
  void serve(promise_of<set_participant>& answer, set_participant& request, const caf::actor_addr&);
  void serve(promise_of<list_participants>& answer, list_participants& request, const caf::actor_addr&);
  void serve(promise_of<fork_session>& answer, fork_session& request, const caf::actor_addr&);
  void serve(promise_of<erase_session>& answer, erase_session& request, const caf::actor_addr&);
  bool is_overdue() const;
  void revoke(const std::string& user);
  void fork_once(promise_of<fork_session> answer, fork_session request, bool is_last_try);
  void fork(promise_of<fork_session> answer, fork_session request, bool is_last_try);
  void fork_from(const db::log_parent& parent, promise_of<fork_session> answer, fork_session request, bool is_last_try);
  void expire();
  void carry_out_erasure(promise_of<erase_session> answer);
  bool is_busy() const;
  log_subject subject() const;
  log_subject subject_of(const turn_record& turn) const { return {key_, turn.id, turn.trace_id}; }

  const session_key key_;
  writer_actor writer_;
  std::shared_ptr<const session_environment> environment_;
  std::shared_ptr<tenant_account> tenant_;
  phase phase_;
  std::uint64_t last_number_ = 0;
  subscription_id last_subscription_ = 0;
  std::unique_ptr<session_knowledge> known_; // null while nobody asks: then it is packed_
  std::string packed_;
  std::unique_ptr<session_activity> doing_; // null while there is nothing to do
  std::unique_ptr<error> failure_;
  time_point ticks_at_ = time_point::max();
  bool is_closing_ = false;  // the service ends: nothing more is written
  bool learns_keys_ = false; // requests wait meanwhile, so that they stay in order

  session_activity& doing();
  void unfold();
  void fold();
};

} // namespace colloquy::actors
