#include "bench/load/http_place.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace colloquy::load {

http_place::http_place(http_url to, std::vector<std::string> keys, std::size_t connections)
  : guard_(loop_.get_executor())
  , exchanges_(loop_, std::move(to), connections)
  , client_(exchanges_, std::move(keys))
  , thread_([this] { loop_.run(); }) {}

void http_place::post(std::function<void()> what) {
  boost::asio::post(loop_, std::move(what));
}

void http_place::end() {
  loop_.stop();
  if (thread_.joinable())
    thread_.join();
}

} // namespace colloquy::load
