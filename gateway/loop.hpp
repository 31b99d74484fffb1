// The edge's one thread: what runs in its loop, and what it waits for there.
//
// The types name the loop's own executor. With the library's default, which can be any executor, each step of a
// coroutine goes through a copy of it and calls of unknown target: a tenth of what a request costs.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <type_traits>

namespace colloquy::gateway {

using loop_executor = boost::asio::io_context::executor_type;

/// A coroutine of the loop.
template <class T>
using task = boost::asio::awaitable<T, loop_executor>;

/// Makes an operation one that a task can co_await.
inline constexpr boost::asio::use_awaitable_t<loop_executor> use_task;

using loop_timer =
    boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>,
                                      loop_executor>;
using tcp_socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, loop_executor>;
using tcp_acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, loop_executor>;
using unix_socket = boost::asio::basic_stream_socket<boost::asio::local::stream_protocol, loop_executor>;
using unix_acceptor = boost::asio::basic_socket_acceptor<boost::asio::local::stream_protocol, loop_executor>;

/// What takes long, in a thread beside the loop; an exception of it is the task's. What `work` refers to has to live
/// until then.
template <class Work>
task<std::invoke_result_t<Work&>> run_aside(boost::asio::thread_pool& aside, Work work) {
  auto there = [&]() -> boost::asio::awaitable<std::invoke_result_t<Work&>> { co_return work(); };
  co_return co_await boost::asio::co_spawn(aside, there, use_task);
}

} // namespace colloquy::gateway
