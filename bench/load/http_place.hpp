// A service somewhere, and the event loop that asks it.
#pragma once

#include "bench/load/http_client.hpp"
#include "bench/load/http_exchanges.hpp"
#include "bench/load/load_place.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <thread>

namespace colloquy::load {

class http_place : public load_place {
public:
  /// Throws bench_failure if the host is not found.
  http_place(http_url to, std::vector<std::string> keys, std::size_t connections);
  ~http_place() override { end(); }

  load_client& client() override { return client_; }
  void post(std::function<void()> what) override;
  void end() override;

private:
  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  http_exchanges exchanges_;
  http_client client_;
  std::thread thread_; // last: it runs what is above
};

} // namespace colloquy::load
