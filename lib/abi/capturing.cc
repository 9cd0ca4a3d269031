// SPDX-License-Identifier: MIT
//
// kcd_capture.
#include <signal.h>

#include <atomic>
#include <ctime>
#include <memory>

#include "abi/handles.h"
#include "base/try.h"
#include "kcoredump/capture.h"

struct kcd_capture_report {
  int status = KCD_CAPTURE_PARTIAL;
  std::string output;
  std::string json;
};

namespace kcoredump::abi {

namespace {

/// More than any version of the options will have: a size beyond is a slip.
constexpr size_t kMostOptionBytes = 4096;

/// What a newer header's caller asks that this library cannot do must not be passed over.
Status CheckOptions(const kcd_capture_options* options) {
  if (options == nullptr) return NullArgument("options");
  if (options->size < kFirstBytes<kcd_capture_options> || options->size > kMostOptionBytes) {
    return InvalidArgument("options' size is not sizeof(kcd_capture_options)");
  }
  const char* bytes = reinterpret_cast<const char*>(options);
  const bool unknown = options->size > sizeof(kcd_capture_options) &&
                       std::any_of(bytes + sizeof(kcd_capture_options), bytes + options->size,
                                   [](char byte) { return byte != 0; });
  if (unknown) {
    return MakeError(ErrorCode::kUnsupported, "options that this library does not know");
  }
  if (options->only_ranges == nullptr && options->only_range_count != 0) {
    return NullArgument("only_ranges");
  }
  return {};
}

std::optional<CaptureOnly> ToOnly(const kcd_capture_options& asked) {
  if (asked.only_kernel == 0 && asked.only_range_count == 0) return std::nullopt;
  CaptureOnly only{.kernel = asked.only_kernel != 0, .ranges = {}};
  for (size_t i = 0; i < asked.only_range_count; ++i) {
    only.ranges.push_back({asked.only_ranges[i].begin, asked.only_ranges[i].end});
  }
  return only;
}

Result<CaptureOptions> ToOptions(const kcd_capture_options& asked) {
  CaptureOptions options;
  if (asked.source != nullptr) options.source = asked.source;
  if (asked.output != nullptr) options.output = asked.output;
  if (asked.format != nullptr) options.format = asked.format;
  if (asked.codec != nullptr) options.codec = asked.codec;
  if (asked.exclude != nullptr) {
    KCD_ASSIGN(options.exclude, ParsePageClasses(asked.exclude));
  }
  options.only = ToOnly(asked);
  if (asked.level != 0) options.level = asked.level;
  options.threads = asked.threads;
  options.force = asked.force != 0;
  if (asked.base != nullptr) options.base = asked.base;
  options.smear_pages = asked.smear_pages;
  options.max_bytes_per_second = asked.max_bytes_per_second;
  options.hashes = asked.hashes != 0;
  if (asked.volatile_first != 0) options.order = CaptureOrder::kVolatile;
  return options;
}

/// As the header numbers them.
uint32_t PhaseNumber(CapturePhase phase) {
  switch (phase) {
    case CapturePhase::kPreparing:
      return 0;
    case CapturePhase::kReading:
      return 1;
    case CapturePhase::kFinishing:
      return 2;
    case CapturePhase::kComparing:
      return 3;
  }
  return 0;
}

void Tell(const CaptureProgress& now, const kcd_capture_options& asked, std::atomic<bool>& cancel) {
  if (asked.on_progress != nullptr) {
    const kcd_progress progress{.size = sizeof(kcd_progress),
                                .done_bytes = now.done_bytes,
                                .total_bytes = now.total_bytes,
                                .compressed_bytes = now.compressed_bytes,
                                .hole_pages = now.hole_pages,
                                .seconds = now.seconds,
                                .phase = PhaseNumber(now.phase),
                                .reserved = 0};
    asked.on_progress(&progress, asked.user);
  }
  if (asked.cancelled != nullptr && asked.cancelled(asked.user) != 0) cancel = true;
}

/// Writes to a pipe that nobody reads, or past a file-size limit, are errors here and no signals.
class SignalsHeldBack {
 public:
  SignalsHeldBack() {
    sigemptyset(&ours_);
    sigaddset(&ours_, SIGPIPE);
    sigaddset(&ours_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &ours_, &before_);
  }
  ~SignalsHeldBack() {
    constexpr timespec kAtOnce{};
    while (sigtimedwait(&ours_, nullptr, &kAtOnce) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;

 private:
  sigset_t ours_{};
  sigset_t before_{};
};

}  // namespace

}  // namespace kcoredump::abi

using namespace kcoredump;

int kcd_capture(const kcd_capture_options* options, kcd_capture_report** report, kcd_error* error) {
  return abi::Guarded(error, [&]() -> Status {
    if (report == nullptr) return abi::NullArgument("report");
    *report = nullptr;
    KCD_TRY(abi::CheckOptions(options));
    // What an older caller's struct lacks is zero.
    kcd_capture_options asked{};
    std::memcpy(&asked, options, std::min(options->size, sizeof asked));
    KCD_ASSIGN(CaptureOptions wanted, abi::ToOptions(asked));
    const abi::SignalsHeldBack held;
    std::atomic<bool> cancel{false};
    wanted.cancel = &cancel;
    if (asked.on_event != nullptr) {
      wanted.on_event = [&](const CaptureEvent& event) {
        asked.on_event(ToJson(event).c_str(), asked.user);
      };
    }
    wanted.on_progress = [&](const CaptureProgress& now) { abi::Tell(now, asked, cancel); };
    KCD_ASSIGN(const CaptureReport done, Capture(wanted));
    auto made = std::make_unique<kcd_capture_report>();
    made->status = static_cast<int>(done.status);
    made->output = done.output;
    made->json = ToJson(done);
    *report = made.release();
    return {};
  });
}

int kcd_capture_report_status(const kcd_capture_report* report) {
  return report == nullptr ? static_cast<int>(KCD_CAPTURE_PARTIAL) : report->status;
}

const char* kcd_capture_report_output(const kcd_capture_report* report) {
  return report == nullptr ? "" : report->output.c_str();
}

const char* kcd_capture_report_json(const kcd_capture_report* report) {
  return report == nullptr ? "" : report->json.c_str();
}

void kcd_capture_report_free(kcd_capture_report* report) { delete report; }
