#include "gateway/asker.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>

#include <caf/error.hpp>
#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// How late a deadline may be noticed.
constexpr auto deadline_grain = 100ms;

/// What resume() hands in where no actor has answered.
struct no_answer {
  error why;
};

} // namespace
} // namespace colloquy::gateway

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::gateway::no_answer)

namespace colloquy::gateway {

asker::asker(caf::actor_system& system, asio::io_context& context, std::function<void(caf::message)> on_note)
  : context_(context)
  , on_note_(std::move(on_note))
  , companion_(system.spawn<caf::actor_companion>())
  , self_(caf::actor_cast<caf::actor_companion*>(companion_))
  , deadlines_(context) {
  self_->on_enqueue([this](caf::mailbox_element_ptr arrived) { take(std::move(arrived)); });
}

asker::~asker() {
  self_->on_enqueue([](const caf::mailbox_element_ptr&) {});
  self_->cleanup(caf::make_error(caf::exit_reason::normal), nullptr); // its own disconnect() is in no library of Debian
}

task<caf::message> asker::ask_message(caf::strong_actor_ptr whom, caf::message request, clock::duration limit,
                                      ask_number* number) {
  const auto id = self_->new_request_id(caf::message_priority::normal);
  const auto key = id.response_id().integer_value();
  if (number != nullptr)
    *number = key;
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<loop_executor>, void(caf::message)>(
      [&](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        pending_.emplace(key, waiting{[shared](caf::message answer) { std::move (*shared)(std::move(answer)); },
                                      clock::now() + limit});
        watch_deadlines();
        if (whom)
          whom->enqueue(
              caf::make_mailbox_element(caf::actor_cast<caf::strong_actor_ptr>(companion_), id, {}, std::move(request)),
              nullptr);
        else
          asio::post(context_, [this, key] {
            resume(key, caf::make_message(
                            no_answer{error{error_code::database_unavailable, "the service is starting", 1000ms}}));
          });
      },
      use_task);
}

void asker::tell_message(const caf::strong_actor_ptr& whom, caf::message note) {
  if (whom)
    whom->enqueue(caf::make_mailbox_element(caf::actor_cast<caf::strong_actor_ptr>(companion_), caf::make_message_id(),
                                            {}, std::move(note)),
                  nullptr);
}

error asker::why_not(const caf::message& answer) {
  if (answer.match_elements<no_answer>())
    return answer.get_as<no_answer>(0).why;
  return {error_code::internal, "who was to answer is gone; ask again", 100ms};
}

void asker::cancel(ask_number number) {
  resume(number, caf::make_message(no_answer{error{error_code::overloaded, "cancelled"}}));
}

void asker::cancel_all() {
  std::vector<ask_number> all;
  for (const auto& [number, each] : pending_)
    all.push_back(number);
  for (const auto number : all)
    cancel(number);
}

void asker::take(caf::mailbox_element_ptr arrived) {
  bool is_first = false;
  {
    const std::lock_guard guard(mutex_);
    is_first = arrived_.empty();
    arrived_.push_back(std::move(arrived));
  }
  if (is_first)
    asio::post(context_, [this] { drain(); });
}

void asker::drain() {
  {
    const std::lock_guard guard(mutex_);
    std::swap(taken_, arrived_);
  }
  for (auto& each : taken_) {
    const auto id = each->mid;
    auto content = each->move_content_to_message();
    each.reset();
    if (id.is_response())
      resume(id.integer_value(), std::move(content));
    else
      on_note_(std::move(content));
  }
  taken_.clear();
}

void asker::resume(ask_number number, caf::message answer) {
  auto waits = pending_.extract(number);
  if (!waits.empty())
    waits.mapped().resume(std::move(answer));
}

void asker::watch_deadlines() {
  if (std::exchange(watches_deadlines_, true))
    return;
  deadlines_.expires_after(deadline_grain);
  deadlines_.async_wait([this](const boost::system::error_code& problem) {
    watches_deadlines_ = false;
    if (problem)
      return;
    std::vector<ask_number> late;
    const auto now = clock::now();
    for (const auto& [number, each] : pending_)
      if (each.deadline <= now)
        late.push_back(number);
    for (const auto number : late)
      resume(number, caf::make_message(no_answer{
                         error{error_code::deadline_exceeded, "not done in time; it may still be done", 1000ms}}));
    if (!pending_.empty())
      watch_deadlines();
  });
}

} // namespace colloquy::gateway
