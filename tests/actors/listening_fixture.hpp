// A subscriber that notes what it gets, and takes it or does not.
#pragma once

#include "tests/actors/conversation_fixture.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::test {

class listener {
public:
  listener(stepped_service& service, session_key session, event_offset after, bool takes_now = true, bool runs = true)
    : takes(takes_now)
    , service_(service)
    , session_(std::move(session))
    , after_(after) {
    handle_ = service_.steps.system().spawn([this](event_subscriber::pointer self) -> event_subscriber::behavior_type {
      return {[this, self](const events_arrived& news) { on_events(self, news); },
              [this](const delta_arrived& delta) { deltas.push_back(delta); },
              [this](const subscription_ended& end) { on_end(end); }};
    });
    subscribe(after, runs);
  }
  ~listener() {
    // It may still run once more; then it must not find this gone.
    caf::anon_send_exit(handle_, caf::exit_reason::kill);
    service_.steps.run();
  }
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  const event_subscriber& handle() const { return handle_; }
  event_offset after() const { return after_; }
  std::vector<event_offset> offsets() const {
    std::vector<event_offset> out;
    for (const auto& entry : events_)
      out.push_back(entry.offset);
    return out;
  }
  texts seen() const { return data_of(events_); }
  bool was_refused() const { return *asked_ && !**asked_; }
  const std::optional<subscription_ended>& ended() const { return end_; }

  void come_back(bool runs = true) {
    const auto from = end_ ? end_->resume_after : through_;
    end_.reset();
    subscribe(from, runs);
  }
  void leave() {
    caf::anon_send(service_.directory, unsubscribe_events{session_, subscription_});
    service_.steps.run();
  }
  /// All that it has got.
  void take_all() { caf::anon_send(service_.directory, events_taken{session_, subscription_, through_}); }

  /// The same later, at that moment.
  void take_all_in(std::chrono::milliseconds time) {
    caf::delayed_anon_send(service_.directory, time, events_taken{session_, subscription_, through_});
  }
  void leave_in(std::chrono::milliseconds time) {
    caf::delayed_anon_send(service_.directory, time, unsubscribe_events{session_, subscription_});
  }

  bool takes;
  std::vector<delta_arrived> deltas;
  std::vector<event_range> deleted; ///< as it was told

private:
  /// Its answer may come behind the first events, which name their subscription too.
  void subscribe(event_offset from, bool runs) {
    through_ = from;
    asked_ = service_.steps.ask<subscribed>(service_.directory, subscribe_events{session_, handle_, from, {}});
    if (runs)
      service_.steps.run();
  }

  void on_events(event_subscriber::pointer self, const events_arrived& news) {
    subscription_ = news.subscription;
    for (const auto& entry : *news.events)
      if (entry.offset > through_)
        events_.push_back(entry);
    if (news.deleted)
      deleted.push_back(*news.deleted);
    through_ = news.through;
    if (takes)
      self->send(service_.directory, events_taken{session_, subscription_, through_});
  }

  void on_end(const subscription_ended& end) { end_ = end; }

  stepped_service& service_;
  session_key session_;
  event_offset after_;
  event_subscriber handle_;
  pending_answer<subscribed> asked_;
  subscription_id subscription_ = 0;
  event_offset through_ = -1;
  std::vector<event> events_;
  std::optional<subscription_ended> end_;
};

} // namespace colloquy::test
