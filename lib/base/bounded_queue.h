// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace kcoredump {

/// A queue between threads, never longer than its capacity. Every method may be called by any
/// thread. Once closed, Push refuses and Pop hands out what is left, then nothing.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  /// Waits for room. False: closed, and `item` is dropped.
  bool Push(T item) {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [this] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    lock.unlock();
    has_items_.notify_one();
    return true;
  }

  /// Waits for an item; nothing when the queue is closed and empty.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    has_items_.wait(lock, [this] { return closed_ || !items_.empty(); });
    return Take(std::move(lock));
  }

  /// As Pop, but gives up after `patience`.
  std::optional<T> PopFor(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    has_items_.wait_for(lock, patience, [this] { return closed_ || !items_.empty(); });
    return Take(std::move(lock));
  }

  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    has_room_.notify_all();
    has_items_.notify_all();
  }

 private:
  std::optional<T> Take(std::unique_lock<std::mutex> lock) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    has_room_.notify_one();
    return item;
  }

  const size_t capacity_;
  std::mutex mutex_;
  // One of each is woken for one item: a wake-up costs more than a batch of zeros.
  std::condition_variable has_room_;
  std::condition_variable has_items_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace kcoredump
