// SPDX-License-Identifier: MIT
#include <cerrno>

#include "base/error.h"
#include "kcoredump/memory.h"
#include "kcoredump/page_class.h"
#include "kcoredump/text.h"

namespace kcoredump {

std::string DescribeHole(const PageRun& hole) {
  const std::string where = std::string("the page at ") +
                            (hole.first.space == Space::kPhysical ? "physical " : "virtual ") +
                            HexAddress(hole.first.address);
  switch (hole.outcome) {
    case PageOutcome::kHwPoison:
      return where + " was not read: the kernel marked it as faulty memory (hwpoison)";
    case PageOutcome::kOffline:
      return where + " was not read: it is offline, or given back to the hypervisor (balloon)";
    case PageOutcome::kAbsent:
      return where +
             " was not read: there is no memory behind it, or none in what this image was made "
             "from (absent)";
    case PageOutcome::kNotReached:
      return where + " is not in this image: the capture ended before it";
    case PageOutcome::kExcluded:
      return where + " is not in this image: it was excluded when it was dumped" +
             (hole.page_class == PageClass::kNone
                  ? ""
                  : " (" + std::string(PageClassName(hole.page_class)) + ")");
    default:
      break;
  }
  if (hole.system_errno == ENXIO)
    return where + " is in no segment of this image (ENXIO)" +
           (hole.first.space == Space::kVirtual ? "; if it has physical addresses alone, use --phys"
                                                : "");
  if (hole.system_errno == EBADMSG) {
    return where +
           " cannot be read: its compressed data in the file, or in its base, are damaged (run "
           "verify)";
  }
  if (hole.system_errno == ENODATA) {
    return where + " cannot be read: the file ends before it (ENODATA)";
  }
  return where + " cannot be read: " + ErrnoName(hole.system_errno);
}

}  // namespace kcoredump
