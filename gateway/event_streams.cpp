#include "gateway/event_streams.hpp"

#include "gateway/json_writer.hpp"
#include "gateway/replies.hpp"

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <charconv>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// Says that the connection lives, through whatever proxies there are.
constexpr auto comment_interval = 15s;
/// How often a quiet stream looks whether its client is still there.
constexpr auto look_interval = 1s;
/// Written at once.
constexpr std::size_t write_bytes_max = 64 * 1024;

/// A line break inside JSON is a blank between its tokens; to server-sent events it is the end of a line.
void append_data(std::string& to, std::string_view json) {
  to += "data: ";
  for (const char c : json) {
    if (c == '\n' || c == '\r')
      to += ' ';
    else
      to += c;
  }
  to += "\n\n";
}

std::string events_text(const std::vector<event>& events, const shown_events& shown, event_offset after) {
  std::string out, json;
  for (const auto& each : events) {
    if (each.offset <= after || !shown.has(each))
      continue;
    out += "id: " + std::to_string(each.offset) + "\nevent: " + std::string(to_string(each.kind)) + "\n";
    json.clear();
    json_writer to(json);
    write_event(to, each);
    append_data(out, json);
  }
  return out;
}

std::string delta_text(const delta_arrived& news) {
  std::string json;
  json_writer to(json);
  to.open_object().member("turn_id", news.turn.to_string()).member("text", *news.text);
  if (news.is_text_so_far)
    to.member("is_text_so_far", true).member("is_cut", news.is_cut);
  to.members_of(*news.data).close_object();
  std::string out = "event: delta\n";
  append_data(out, json);
  return out;
}

/// It has no id: it is told to those who listen now. Whoever comes later is not shown what was deleted.
std::string deleted_text(const event_range& range) {
  std::string json;
  json_writer to(json);
  to.open_object().member("first_offset", range.first).member("last_offset", range.last).close_object();
  std::string out = "event: deleted\n";
  append_data(out, json);
  return out;
}

std::string end_text(const error& why) {
  std::string json;
  json_writer to(json);
  to.open_object().member("code", to_string(why.code)).member("detail", why.message).close_object();
  std::string out = "event: end\n";
  append_data(out, json);
  return out;
}

} // namespace

bool shown_events::has(const event& entry) const {
  return (kinds.empty() || std::find(kinds.begin(), kinds.end(), entry.kind) != kinds.end()) &&
         (!source || *source == entry.source) && (!trace_id || *trace_id == entry.trace_id);
}

void event_stream::add(part news) {
  parts_.push_back(std::move(news));
  news_.cancel();
}

void event_stream::close(const error& why) {
  if (!end_)
    end_ = subscription_ended{session_, subscription_, why, after_};
  news_.cancel();
}

task<void> event_stream::await_news() {
  news_.expires_after(look_interval);
  boost::system::error_code ignored;
  co_await news_.async_wait(asio::redirect_error(use_task, ignored));
}

task<bool> event_stream::write_to(reply_sink& sink, asker& asks, const directory_actor& directory) {
  if (!co_await sink.write("retry: 1000\n\n"))
    co_return false;
  auto commented = std::chrono::steady_clock::now();
  std::string bytes;
  for (;;) {
    if (parts_.empty() && !end_)
      co_await await_news();
    if (sink.is_gone())
      co_return false;
    if (terms_.until && *terms_.until <= system_time())
      close({error_code::unauthenticated, "the key or token is not valid any more"});
    events_taken taken{session_, subscription_, -1, deltas_taken_};
    bytes.clear();
    while (!parts_.empty() && bytes.size() < write_bytes_max) {
      auto& next = parts_.front();
      bytes += *next.text;
      if (next.through < 0)
        ++taken.deltas;
      else
        taken.through = after_ = next.through;
      parts_.pop_front();
    }
    const bool is_over = end_ && parts_.empty();
    if (is_over)
      bytes += end_text(end_->why);
    const auto now = std::chrono::steady_clock::now();
    if (bytes.empty() && now - commented >= comment_interval)
      bytes = ": still here\n\n";
    if (!bytes.empty()) {
      commented = now;
      if (!co_await sink.write(bytes))
        co_return false;
    }
    if (is_over)
      co_return true;
    deltas_taken_ = taken.deltas;
    taken.through = after_;
    asks.tell(directory, taken);
  }
}

task<result<std::shared_ptr<event_stream>>> event_streams::open(asker& asks, const directory_actor& directory,
                                                                asio::io_context& context, subscribe_events request,
                                                                stream_terms terms, std::chrono::milliseconds limit) {
  auto stream = std::make_shared<event_stream>(context, std::move(terms));
  stream->session_ = request.session;
  stream->after_ = request.after;
  auto opened = co_await asks.ask<subscribed>(directory, std::move(request), limit);
  if (!opened)
    co_return opened.failure();
  stream->subscription_ = opened->subscription;
  all_.insert_or_assign({stream->session_, stream->subscription_}, stream);
  co_return stream;
}

void event_streams::drop(const event_stream& stream, asker& asks, const directory_actor& directory) {
  all_.erase({stream.session_, stream.subscription_});
  asks.tell(directory, unsubscribe_events{stream.session_, stream.subscription_});
}

event_stream* event_streams::find(const session_key& session, subscription_id subscription) {
  const auto found = all_.find({session, subscription});
  return found == all_.end() ? nullptr : found->second.lock().get();
}

void event_streams::take(const caf::message& news) {
  if (news.match_elements<events_arrived>())
    return take(news.get_as<events_arrived>(0));
  if (news.match_elements<delta_arrived>())
    return take(news.get_as<delta_arrived>(0));
  if (news.match_elements<subscription_ended>()) {
    const auto& ended = news.get_as<subscription_ended>(0);
    if (auto* stream = find(ended.session, ended.subscription))
      stream->close(ended.why);
  }
}

void event_streams::take(const events_arrived& news) {
  if (auto* stream = find(news.session, news.subscription))
    stream->add({text_of(news, *stream), news.through});
}

void event_streams::take(const delta_arrived& news) {
  if (auto* stream = find(news.session, news.subscription))
    stream->add({std::make_shared<const std::string>(delta_text(news)), -1});
}

/// Many listen to one session and are sent the same block.
std::shared_ptr<const std::string> event_streams::text_of(const events_arrived& news, const event_stream& to) {
  if (news.deleted)
    return std::make_shared<const std::string>(deleted_text(*news.deleted));
  const bool is_whole = news.events->empty() || news.events->front().offset > to.after_;
  if (is_whole && news.events == last_block_ && to.terms_.shown == last_shown_)
    return last_text_;
  auto text = std::make_shared<const std::string>(events_text(*news.events, to.terms_.shown, to.after_));
  if (is_whole) {
    last_block_ = news.events;
    last_shown_ = to.terms_.shown;
    last_text_ = text;
  }
  return text;
}

void event_streams::close_of_key(const key_id& key, const error& why) {
  for (const auto& [place, weak] : all_)
    if (auto stream = weak.lock(); stream && stream->terms_.key == key)
      stream->close(why);
}

void event_streams::close_all(const error& why) {
  for (const auto& [key, weak] : all_)
    if (auto stream = weak.lock())
      stream->close(why);
}

} // namespace colloquy::gateway
