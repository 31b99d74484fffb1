#include "actors/io_reactor.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <pthread.h>

#include <csignal>
#include <thread>

namespace colloquy::actors {

namespace asio = boost::asio;

struct io_reactor::implementation {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::thread thread;
};

io_reactor::io_reactor()
  : implementation_(std::make_unique<implementation>()) {
  // Signals belong to the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  implementation_->thread = std::thread([context = &implementation_->context] { context->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

io_reactor::~io_reactor() {
  implementation_->work.reset();
  implementation_->context.stop();
  implementation_->thread.join();
}

struct socket_watch::implementation {
  implementation(asio::io_context& context, int socket, callback on_ready)
    : descriptor(context)
    , notify(std::make_shared<callback>(std::move(on_ready))) {
    boost::system::error_code ignored; // a socket that cannot be watched shows as a deadline
    descriptor.assign(socket, ignored);
  }

  void arm(asio::posix::descriptor_base::wait_type what, readiness reported) {
    descriptor.async_wait(what, [notify = notify, reported](const boost::system::error_code& failed) {
      if (!failed)
        (*notify)(reported);
    });
  }

  asio::posix::stream_descriptor descriptor;
  std::shared_ptr<callback> notify;
};

socket_watch::socket_watch(io_reactor& reactor, int socket, callback on_ready)
  : implementation_(std::make_unique<implementation>(reactor.implementation_->context, socket, std::move(on_ready))) {}

socket_watch::~socket_watch() {
  if (implementation_->descriptor.is_open())
    implementation_->descriptor.release(); // cancels what is armed; libpq closes the socket
}

void socket_watch::arm_read() {
  implementation_->arm(asio::posix::descriptor_base::wait_read, readiness::readable);
}

void socket_watch::arm_write() {
  implementation_->arm(asio::posix::descriptor_base::wait_write, readiness::writable);
}

} // namespace colloquy::actors
