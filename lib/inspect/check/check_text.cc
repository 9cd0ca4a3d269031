// SPDX-License-Identifier: MIT
#include "inspect/check/check_text.h"

#include <algorithm>

#include "base/error.h"
#include "base/try.h"
#include "inspect/boot_identity.h"
#include "inspect/check/text_compare.h"
#include "inspect/check/text_sites.h"
#include "inspect/check/vmlinux.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

constexpr size_t kBytesShown = 16;

std::string HexOfBytes(const std::vector<std::byte>& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < std::min(bytes.size(), kBytesShown); ++i) {
    const auto value = std::to_integer<unsigned>(bytes[i]);
    text += i == 0 ? "" : " ";
    text += kDigits[value >> 4];
    text += kDigits[value & 15];
  }
  return text + (bytes.size() > kBytesShown ? " …" : "");
}

class TextChecker {
 public:
  TextChecker(Session& session, const CheckSources& sources, CheckLog& log)
      : session_(session), sources_(sources), log_(log), sites_(session) {}

  [[nodiscard]] Status CompareWithSibling(const std::string& path);
  [[nodiscard]] Status CompareWithFile(const std::string& path);
  void Finish();

 private:
  void Compare(const Range& range, const TextReference& reference, const std::string& with,
               const std::function<bool(uint64_t)>& is_patched);
  void CompareModules(Session& other, TextSites& other_sites, const std::string& path);
  [[nodiscard]] std::vector<Range> RelocationTargets() const;

  Session& session_;
  const CheckSources& sources_;
  CheckLog& log_;
  TextSites sites_;
};

void TextChecker::Compare(const Range& range, const TextReference& reference,
                          const std::string& with,
                          const std::function<bool(uint64_t)>& is_patched) {
  const TextComparison result =
      CompareText(sources_.kernel.kernel, range, reference, kMaxFindingsOfCheck, is_patched);
  log_.Examined(result.bytes / kSmallestPageBytes);
  if (result.unread_bytes != 0) {
    log_.Unchecked(Grouped(result.unread_bytes / kSmallestPageBytes) +
                   " pages of text: " + result.unread_reason);
  }
  if (result.cut) log_.Unchecked("text differs in more places than are listed");
  for (const TextDifference& difference : result.differences) {
    const std::string name = sources_.NameOf(difference.address);
    const std::string object = name.empty() ? HexAddress(difference.address) : name;
    log_.Find({.kind = "changed",
               .object = object,
               .compared = "text with " + with,
               .address = difference.address,
               .text = std::to_string(difference.is.size()) + " byte" +
                       (difference.is.size() == 1 ? "" : "s") + " at " +
                       HexAddress(difference.address) + " <" + object +
                       ">: " + HexOfBytes(difference.is) + ", in " + with + " " +
                       HexOfBytes(difference.was)});
  }
}

/// The image, where its mapping begins, and both less __START_KERNEL_map, of which the image lies
/// within 2 GiB (x86; kernel: Documentation/arch/x86/x86_64/mm.rst): what physical addresses are
/// made of.
std::vector<Range> TextChecker::RelocationTargets() const {
  constexpr uint64_t kBelow = 16 << 20;  // CONFIG_PHYSICAL_START
  constexpr uint64_t kMapMask = (uint64_t{1} << 31) - 1;
  const Range& text = sources_.code.kernel_text();
  const uint64_t begin = sources_.kernel.symbol("_text").value_or(text.begin);
  const uint64_t end = sources_.kernel.symbol("_end").value_or(text.end);
  const uint64_t below = begin - std::min(begin, kBelow);
  return {{below, end + 1}, {below & kMapMask, (end & kMapMask) + 1}};
}

/// What a kprobe or a tracer left in one of them is patched in both.
Status TextChecker::CompareWithSibling(const std::string& path) {
  KCD_ASSIGN(const auto other, Session::Open(path, {}));
  KCD_TRY(CheckSameBuild(session_, *other));
  KCD_ASSIGN(const bool same_boot, IsSameBoot(session_, *other));
  KCD_ASSIGN(const uint64_t other_start, other->SymbolAddress("_stext"));
  const uint64_t slide = sources_.code.kernel_text().begin - other_start;
  TextSites other_sites(*other);
  const TextReference reference{
      .read = [&](uint64_t at,
                  std::span<std::byte> out) { return other->kernel().Read(at - slide, out); },
      .slide = slide,
      .targets = RelocationTargets(),
      .lock_prefixes_equal = !same_boot};
  Compare(sources_.code.kernel_text(), reference, path,
          [&](uint64_t at) { return sites_.Covers(at) || other_sites.Covers(at - slide); });
  if (same_boot) {
    CompareModules(*other, other_sites, path);
  } else {
    log_.Unchecked(
        "modules' text: " + path +
        " is of another boot, where modules lie elsewhere. A machine whose CPU has other "
        "features patches its text otherwise; --vmlinux knows the places");
  }
  for (std::string& note : other_sites.Notes()) log_.Unchecked(path + ": " + note);
  return {};
}

void TextChecker::CompareModules(Session& other, TextSites& other_sites, const std::string& path) {
  const auto theirs = other.Modules();
  if (!theirs.ok()) return log_.Unchecked("modules' text: " + theirs.error().message);
  const TextReference reference{
      .read = [&](uint64_t at, std::span<std::byte> out) { return other.kernel().Read(at, out); },
      .slide = 0,
      .targets = {}};
  for (const LoadedModule& module : sources_.modules.modules) {
    const auto same = [&](const LoadedModule& their) {
      return their.name == module.name && their.address == module.address;
    };
    const auto& all = theirs.value()->modules;
    const auto their = std::find_if(all.begin(), all.end(), same);
    if (their == all.end()) continue;
    for (const Range& range : sources_.code.TextOf(module.name)) {
      const auto covers = [&](const Range& whole) { return whole.Covers(range); };
      if (std::none_of(their->ranges.begin(), their->ranges.end(), covers)) continue;
      Compare(range, reference, path,
              [&](uint64_t at) { return sites_.Covers(at) || other_sites.Covers(at); });
    }
  }
}

Status TextChecker::CompareWithFile(const std::string& path) {
  KCD_ASSIGN(const Vmlinux file, Vmlinux::Open(path));
  const auto slide = session_.facts().vmcoreinfo.KaslrOffset();
  if (!slide) {
    return MakeError(ErrorCode::kUnsupported,
                     path + ": VMCOREINFO does not tell how far this kernel was moved");
  }
  KCD_ASSIGN(const std::string banner, BannerOf(session_));
  KCD_ASSIGN(const uint64_t banner_at, session_.SymbolAddress("linux_banner"));
  std::string its_banner(banner.size(), '\0');
  KCD_TRY(file.Read(banner_at - *slide, std::as_writable_bytes(std::span(its_banner))));
  if (banner != its_banner) {
    return MakeError(ErrorCode::kUnsupported,
                     path + ": not the file of this kernel, \"" + banner + "\"");
  }
  std::vector<std::string> notes;
  const std::vector<Range> boot_sites =
      file.BootSites(sources_.symbols, sources_.kernel.types, *slide, notes);
  for (std::string& note : notes) log_.Unchecked(std::move(note));
  const auto patched_at_boot = [&](uint64_t at) {
    const auto after = std::upper_bound(
        boot_sites.begin(), boot_sites.end(), at,
        [](uint64_t address, const Range& range) { return address < range.begin; });
    return after != boot_sites.begin() && std::prev(after)->Contains(at);
  };
  const TextReference reference{
      .read = [&](uint64_t at, std::span<std::byte> out) { return file.Read(at - *slide, out); },
      .slide = *slide,
      .targets = RelocationTargets()};
  Compare(sources_.code.kernel_text(), reference, path,
          [&](uint64_t at) { return patched_at_boot(at) || sites_.Covers(at); });
  return {};
}

void TextChecker::Finish() {
  for (std::string& note : sites_.Notes()) log_.Unchecked(std::move(note));
}

}  // namespace

Status CheckText(Session& session, const CheckSources& sources, const CheckOptions& options,
                 CheckLog& log) {
  if (options.against.empty() && options.vmlinux.empty()) {
    log.Unchecked("nothing to compare with: give --against or --vmlinux");
    return {};
  }
  TextChecker checker(session, sources, log);
  if (!options.against.empty()) KCD_TRY(checker.CompareWithSibling(options.against));
  if (!options.vmlinux.empty()) KCD_TRY(checker.CompareWithFile(options.vmlinux));
  checker.Finish();
  return {};
}

}  // namespace kcoredump
