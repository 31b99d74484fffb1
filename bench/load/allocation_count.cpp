#include "bench/load/allocation_count.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

namespace colloquy::load {
namespace {

// Threads count in cells of their own, so that counting does not make them wait for each other. What the first
// allocation of all finds is constant-initialized.
struct alignas(64) cell {
  std::atomic<std::uint64_t> count{0};
};
constexpr std::size_t cells = 64;
constinit std::array<cell, cells> counts{};
constinit std::atomic<bool> is_counting{false};
constinit std::atomic<std::size_t> threads_seen{0};
constinit thread_local std::size_t own_cell = cells;

[[maybe_unused]] void count_one() noexcept {
  if (own_cell == cells)
    own_cell = threads_seen.fetch_add(1, std::memory_order_relaxed) % cells;
  counts[own_cell].count.fetch_add(1, std::memory_order_relaxed);
}

#if !defined(__SANITIZE_ADDRESS__)
void* allocate(std::size_t bytes) noexcept {
  if (is_counting.load(std::memory_order_relaxed)) [[unlikely]]
    count_one();
  return std::malloc(bytes == 0 ? 1 : bytes);
}

void* allocate_or_throw(std::size_t bytes) {
  for (;;) {
    if (void* const memory = allocate(bytes)) [[likely]]
      return memory;
    if (const auto handler = std::get_new_handler())
      handler();
    else
      throw std::bad_alloc();
  }
}
#endif

} // namespace

void count_allocations() noexcept {
  is_counting.store(true, std::memory_order_relaxed);
}

std::optional<std::uint64_t> allocations_now() noexcept {
#if defined(__SANITIZE_ADDRESS__)
  return std::nullopt;
#else
  std::uint64_t sum = 0;
  for (const auto& each : counts)
    sum += each.count.load(std::memory_order_relaxed);
  return sum;
#endif
}

} // namespace colloquy::load

#if !defined(__SANITIZE_ADDRESS__)
void* operator new(std::size_t bytes) {
  return colloquy::load::allocate_or_throw(bytes);
}
void* operator new[](std::size_t bytes) {
  return colloquy::load::allocate_or_throw(bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return colloquy::load::allocate(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return colloquy::load::allocate(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif
