#include "bench/load/http_listeners.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

namespace colloquy::load {
namespace {

namespace asio = boost::asio;

/// Of one session.
struct audience {
  std::size_t listeners = 0;
  std::size_t opened = 0;
  std::size_t deliveries = 0;
  bool is_answered = false;
  std::function<void(event_offset)> heard;
  answer<listeners_ready> then;

  void on_opened() {
    if (++opened == listeners)
      give(listeners_ready{listeners});
  }
  void on_ended(const std::string& why) {
    if (is_answered)
      return heard(-1);
    give(error{error_code::internal, "a stream of events was not opened: " + why});
  }
  /// Events come one at a time, so the last delivery of each makes a multiple.
  void on_event(event_offset offset) {
    if (++deliveries % listeners == 0)
      heard(offset);
  }
  void give(result<listeners_ready> how) {
    if (!std::exchange(is_answered, true))
      then(how);
  }
};

/// Reads line by line; whatever chunks the service cuts its reply into, "id: " begins a line and an event has one.
class stream : public std::enable_shared_from_this<stream> {
public:
  stream(asio::io_context& loop, std::shared_ptr<audience> all)
    : socket_(loop)
    , all_(std::move(all)) {}

  void open(const asio::ip::tcp::resolver::results_type& addresses, std::string request) {
    request_ = std::move(request);
    asio::async_connect(socket_, addresses, [self = shared_from_this()](const auto& failed, const auto&) {
      if (failed)
        return self->all_->on_ended(failed.message());
      asio::async_write(self->socket_, asio::buffer(self->request_), [self](const auto& unwritten, std::size_t) {
        if (unwritten)
          return self->all_->on_ended(unwritten.message());
        self->read();
      });
    });
  }

private:
  void read() {
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](const auto& failed, std::size_t bytes) {
      if (failed)
        return self->all_->on_ended(failed.message());
      if (self->take(bytes))
        self->read();
    });
  }

  bool take(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      if (buffer_[i] != '\n') {
        if (line_.size() < line_max)
          line_.push_back(buffer_[i]);
        continue;
      }
      const auto line = std::exchange(line_, {});
      if (line.starts_with("HTTP/1.1 ") && !line.starts_with("HTTP/1.1 200")) {
        all_->on_ended(line);
        return false;
      }
      if (line == "\r" && !std::exchange(is_open_, true))
        all_->on_opened();
      else if (line.starts_with("id:"))
        all_->on_event(std::strtoll(line.c_str() + 3, nullptr, 10));
    }
    return true;
  }

  static constexpr std::size_t line_max = 64; // what is longer is no line that matters

  asio::ip::tcp::socket socket_;
  std::shared_ptr<audience> all_;
  std::string request_;
  std::string line_;
  std::array<char, 4096> buffer_{};
  bool is_open_ = false;
};

} // namespace

void listen_over_http(http_exchanges& exchanges, const http_exchanges::request& wanted, std::size_t listeners,
                      std::function<void(event_offset)> heard, answer<listeners_ready> then) {
  auto all = std::make_shared<audience>();
  all->listeners = listeners;
  all->heard = std::move(heard);
  all->then = std::move(then);
  for (std::size_t i = 0; i < listeners; ++i)
    std::make_shared<stream>(exchanges.loop(), all)
        ->open(exchanges.addresses(), exchanges.text_of(wanted, "text/event-stream"));
}

} // namespace colloquy::load
