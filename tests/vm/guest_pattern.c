/* SPDX-License-Identifier: MIT */
/*
 * Holds memory whose content the host can predict, until it is killed.
 *
 *   guest_pattern              64 MiB of pattern pages: prints "area 0xVIRTUAL", then
 *                              "run INDEX 0xPHYSICAL PAGES" for each physically contiguous
 *                              run of them, then "ready"
 *   guest_pattern --poison     the same, and one more page is poisoned first:
 *                              prints "poisoned 0xPHYSICAL" before everything else
 *   guest_pattern --flags      the same, and then holds what /proc/kpageflags says, read anew
 *                              some ten times a second: prints "flags 0xVIRTUAL BYTES" before
 * "ready"
 *
 *   guest_pattern --write      the same, and 32 MiB more, half of whose pages are written to all the
 *                              time: prints "written INDEX 0xPHYSICAL PAGES" for their runs
 *
 * Page number N holds the pair (magic, N) over and over, so that a page tells which
 * one it is and whether it is whole. The addresses are printed because content alone
 * does not tell a page from a copy of it in some reader's buffer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

enum { kPageBytes = 4096, kPages = 16384, kWrittenPages = 8192 };

static const uint64_t kMagic = 0x5061747465726e21u; /* "!nrettaP" in memory */

static void Die(const char* what) {
  perror(what);
  exit(1);
}

static uint8_t* MapLocked(size_t bytes) {
  uint8_t* area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) Die("mmap");
  /* A huge page may be split or moved at any time; small locked ones stay. EINVAL: a kernel without
   * THP. */
  madvise(area, bytes, MADV_NOHUGEPAGE);
  if (mlock(area, bytes) != 0) Die("mlock");
  return area;
}

static void FillPage(uint8_t* page, uint64_t index) {
  uint64_t pair[2] = {kMagic, index};
  for (size_t at = 0; at < kPageBytes; at += sizeof pair) memcpy(page + at, pair, sizeof pair);
}

/* The physical address of a resident page, from /proc/self/pagemap. */
static uint64_t PhysicalAddress(const uint8_t* page) {
  static int fd = -1;
  uint64_t entry = 0;
  if (fd < 0) fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || pread(fd, &entry, sizeof entry,
                      (off_t)((uintptr_t)page / kPageBytes * sizeof entry)) != sizeof entry)
    Die("/proc/self/pagemap");
  return (entry & ((UINT64_C(1) << 55) - 1)) * kPageBytes;
}

static void PrintRuns(const char* name, const uint8_t* area, uint64_t pages) {
  uint64_t first = 0, start = PhysicalAddress(area);
  for (uint64_t index = 1; index <= pages; index++) {
    uint64_t address = index < pages ? PhysicalAddress(area + index * kPageBytes) : 0;
    if (address == start + (index - first) * kPageBytes) continue;
    printf("%s %" PRIu64 " 0x%" PRIx64 " %" PRIu64 "\n", name, first, start, index - first);
    first = index;
    start = address;
  }
}

static void PoisonOnePage(void) {
  uint8_t* page = MapLocked(kPageBytes);
  memset(page, 0x5a, kPageBytes);
  uint64_t address = PhysicalAddress(page);
  if (madvise(page, kPageBytes, MADV_HWPOISON) != 0) Die("MADV_HWPOISON");
  printf("poisoned 0x%" PRIx64 "\n", address);
}

static uint8_t* flags_area;
static const size_t kMostFlagBytes = (size_t)64 << 20; /* of address space: entries for 32 GiB */

/* Returns how many bytes /proc/kpageflags has. */
static size_t ReadPageFlags(void) {
  static int fd = -1;
  if (fd < 0) fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
  if (fd < 0) Die("/proc/kpageflags");
  size_t bytes = 0;
  for (ssize_t count = 1; count > 0 && bytes < kMostFlagBytes; bytes += (size_t)count) {
    count = pread(fd, flags_area + bytes, kMostFlagBytes - bytes, (off_t)bytes);
    if (count < 0) Die("kpageflags");
  }
  return bytes;
}

static void HoldPageFlags(void) {
  flags_area =
      mmap(NULL, kMostFlagBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (flags_area == MAP_FAILED) Die("mmap");
  madvise(flags_area, kMostFlagBytes, MADV_NOHUGEPAGE);
  printf("flags 0x%" PRIxPTR " %zu\n", (uintptr_t)flags_area, ReadPageFlags());
}

/* Writes to every second of kWrittenPages pages, for ever. */
static void WriteForEver(uint8_t* area) {
  for (uint64_t round = 1;; round++, usleep(20000)) {
    for (uint64_t index = 0; index < kWrittenPages; index += 2) {
      memcpy(area + index * kPageBytes, &round, sizeof round);
    }
  }
}

int main(int argc, char** argv) {
  int flags = argc == 2 && strcmp(argv[1], "--flags") == 0;
  int write = argc == 2 && strcmp(argv[1], "--write") == 0;
  if (argc == 2 && strcmp(argv[1], "--poison") == 0) {
    PoisonOnePage();
  } else if (argc != 1 && !flags && !write) {
    fprintf(stderr, "usage: guest_pattern [--poison|--flags|--write]\n");
    return 2;
  }
  uint8_t* area = MapLocked((size_t)kPages * kPageBytes);
  for (uint64_t index = 0; index < kPages; index++) FillPage(area + index * kPageBytes, index);
  printf("area 0x%" PRIxPTR "\n", (uintptr_t)area);
  PrintRuns("run", area, kPages);
  if (flags) HoldPageFlags();
  uint8_t* written = write ? MapLocked((size_t)kWrittenPages * kPageBytes) : NULL;
  if (write) PrintRuns("written", written, kWrittenPages);
  puts("ready");
  fflush(stdout);
  if (write) WriteForEver(written);
  if (!flags) {
    for (;;) pause();
  }
  for (;; usleep(20000)) ReadPageFlags();
}
