/* SPDX-License-Identifier: MIT
 *
 * The C ABI of libkcoredump.so: stable within its soname, and all that the shared library exports.
 * (The C++ headers beside this one are the static archive's; they promise no ABI.)
 *
 * Rules that hold everywhere:
 *  - Functions return KCD_OK (0) or a negative kcd_status. `error` may be NULL, and is filled only
 *    on failure. Each name of an error code in a comment is one that the call is likely to give;
 *    KCD_E_INVALID (NULL where it is not allowed, a struct's size) and KCD_E_NOMEM are any call's.
 *  - A struct whose first member is `size` is versioned by it: set it to sizeof before each call. A
 *    newer library fills in what fits; an older one sets `size` to what it filled in, and refuses,
 *    with KCD_E_UNSUPPORTED, bytes of options and pieces that it does not know and that are not
 *    zero, `reserved` among them. Structs without `size` never change.
 *  - What a function gives with ..._open, ..._list or the like is the caller's, to be freed once
 *    with the ..._free of its type; NULL is allowed there. Strings in structs belong to the handle
 *    that they came from and end with it.
 *  - Text is UTF-8 only as far as the kernel's memory was; it may hold control characters of a
 *    hostile image. The JSON texts are valid UTF-8 and have those escaped.
 *  - Memory that cannot be read is data and no error: see kcd_outcome.
 *  - Nothing is printed, no signal is raised or handled, and the process never ends. A thread that
 *    is cancelled (pthread_cancel) ends after the call. libbpf, which is shared with the rest of
 * the process, is told to print nothing (libbpf_set_print).
 */
#ifndef KCOREDUMP_KCOREDUMP_H
#define KCOREDUMP_KCOREDUMP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The number in the soname. It changes when a symbol goes or a struct's old part changes. */
#define KCD_ABI_VERSION 0

enum kcd_status {
  KCD_OK = 0,
  KCD_E_NOT_FOUND = -1,   /**< no such file, address, symbol, type or member */
  KCD_E_PERMISSION = -2,  /**< refused by the kernel: capability, file mode or lockdown */
  KCD_E_CORRUPT = -3,     /**< the input contradicts itself or fails its checksum */
  KCD_E_UNSUPPORTED = -4, /**< well-formed, but not a thing this library reads */
  KCD_E_INVALID = -5,     /**< the caller's mistake; `address` holds a bad destination, if any */
  KCD_E_IO = -6,          /**< a system call failed; `system_errno` says how */
  KCD_E_UNREADABLE = -7,  /**< memory that the answer hangs on, at `address`, cannot be read */
  KCD_E_LIMIT = -8,       /**< a count or size beyond what the library accepts */
  KCD_E_CANCELLED = -9,   /**< stopped on request, before there was anything to keep */
  KCD_E_NOMEM = -10
};

/** What went wrong. Belongs to the caller; `message` always ends in NUL, cut if need be. */
typedef struct kcd_error {
  size_t size;
  int32_t code;         /**< kcd_status */
  int32_t system_errno; /**< 0: none */
  uint64_t address;     /**< of KCD_E_UNREADABLE and of bad destinations; otherwise 0 */
  char message[488];    /**< cause and cure, one line */
} kcd_error;

/** "0.1.0". Static. Any thread. */
const char* kcd_version(void);

/** KCD_ABI_VERSION of the library that runs. Any thread. */
int kcd_abi_version(void);

/* ---- Images ---------------------------------------------------------------------------------- */

/**
 * An open memory image, live or dead. Any thread may call any function with it, several at once:
 * questions about symbols, types, tasks and translations take turns on a lock inside; reads through
 * readers do not, but for their translation.
 */
typedef struct kcd_image kcd_image;

/** Opens `path`: /proc/kcore, or a file of any format (snapshot, ELF core, kdump, LiME, AVML, raw).
 * Errors: KCD_E_NOT_FOUND, KCD_E_PERMISSION, KCD_E_UNSUPPORTED, KCD_E_CORRUPT, KCD_E_IO. */
int kcd_open(const char* path, kcd_image** image, kcd_error* error);

/** The same for a descriptor, which stays the caller's and may be closed afterwards. The file is
 * opened anew, by its name where it still has one (for what may lie beside it), else through
 * /proc/self/fd, so it must allow that, and its offset is not touched. */
int kcd_open_fd(int fd, kcd_image** image, kcd_error* error);

/** The live kernel through /proc/kcore; in a crash kernel the dead one's /proc/vmcore. Wants
 * CAP_SYS_RAWIO. Errors: KCD_E_PERMISSION, with the cure, also for a kernel without kcore. */
int kcd_open_live(kcd_image** image, kcd_error* error);

/** After all its readers; lists and translations may live on. */
void kcd_image_free(kcd_image* image);

/** Bytes of a page, of one entry in kcd_read's `pages`: 4096, or more on arm64. */
uint64_t kcd_page_bytes(const kcd_image* image);

/** What the image is, as `kcoredump info --json` prints it (schema: `kcoredump schema info`). Free
 * with kcd_string_free. Errors: as kcd_open. */
int kcd_info_json(kcd_image* image, char** json, kcd_error* error);

/** The text of VMCOREINFO; NULL in `text` when the image has none. Free with kcd_string_free. */
int kcd_vmcoreinfo(kcd_image* image, char** text, kcd_error* error);

/** What weakens all answers, a line each, e.g. that holes are not told from zeros; "" mostly. Free
 * with kcd_string_free. */
int kcd_caveats(kcd_image* image, char** lines, kcd_error* error);

void kcd_string_free(char* text);

/** KCD_NO_ADDRESS: no physical address is known. */
#define KCD_NO_ADDRESS UINT64_MAX

/** A range of the image's program headers. */
typedef struct kcd_segment {
  size_t size;
  uint64_t virt;
  uint64_t phys; /**< or KCD_NO_ADDRESS */
  uint64_t bytes;
  const char* kind; /**< "ram", "kernel-image", "vmalloc", … Static. */
} kcd_segment;

/** How many segments there are. Any thread. */
size_t kcd_segment_count(const kcd_image* image);

/** Segment `index`, in the image's order. Errors: KCD_E_INVALID past the end. */
int kcd_segment_get(const kcd_image* image, size_t index, kcd_segment* segment, kcd_error* error);

/* ---- Reading --------------------------------------------------------------------------------- */

enum kcd_space {
  KCD_PHYSICAL = 0,
  KCD_KERNEL = 1, /**< the kernel's virtual addresses */
  KCD_PROCESS = 2 /**< those of the process `pid`, by its page tables */
};

/** An address and the space it belongs to. Never changes. */
typedef struct kcd_address {
  uint64_t address;
  uint32_t space; /**< kcd_space */
  uint32_t pid;   /**< for KCD_PROCESS; otherwise 0 */
} kcd_address;

/** What became of one page. A caller takes numbers that it does not know for holes. */
enum kcd_outcome {
  KCD_PAGE_OK = 0,
  KCD_PAGE_ZERO = 1,        /**< read, and what was asked of it is all zero */
  KCD_PAGE_EXCLUDED = 2,    /**< left out on purpose when the image was made */
  KCD_PAGE_UNREADABLE = 3,  /**< every attempt failed, with `system_errno`, if one is known */
  KCD_PAGE_POISONED = 4,    /**< the kernel marked it as faulty; never read */
  KCD_PAGE_OFFLINE = 5,     /**< offline or ballooned; never read */
  KCD_PAGE_ABSENT = 6,      /**< no memory behind it */
  KCD_PAGE_RETRIED = 7,     /**< read, but not at once */
  KCD_PAGE_NOT_REACHED = 8, /**< the capture ended before this page */
  KCD_PAGE_UNMAPPED = 9     /**< a virtual address that no page table maps (swapped out, too) */
};

/** An outcome. Never changes. */
typedef struct kcd_page {
  uint32_t outcome;     /**< kcd_outcome */
  int32_t system_errno; /**< of KCD_PAGE_UNREADABLE; 0: not known */
} kcd_page;

/** Most bytes of one kcd_read. */
#define KCD_MAX_READ_BYTES ((uint64_t)1 << 30)

/** One piece of a scattered read. */
typedef struct kcd_read {
  size_t size;
  kcd_address at;         /**< any address, aligned or not */
  uint64_t length;        /**< bytes, at most KCD_MAX_READ_BYTES; 0 is allowed */
  void* out;              /**< `length` bytes; those of holes become zero */
  kcd_page* pages;        /**< one for each page that the range touches, by address; may be NULL */
  uint64_t page_capacity; /**< entries that `pages` has room for */
  uint64_t page_count;    /**< out: pages that the range touches, whatever the capacity */
  uint64_t hole_pages;    /**< out: of these, how many are holes (neither ok, zero nor retried) */
  int32_t status;         /**< out: kcd_status of this piece; holes are KCD_OK */
  uint32_t reserved;      /**< 0 */
} kcd_read;

/** A way into an image for one thread at a time; cheap, so take one for each thread. */
typedef struct kcd_reader kcd_reader;

/** The image must outlive the reader. Errors: KCD_E_IO when no descriptor is left. */
int kcd_reader_open(kcd_image* image, kcd_reader** reader, kcd_error* error);
void kcd_reader_free(kcd_reader* reader);

/**
 * Reads `count` pieces; all have the `size` of the first. Each piece succeeds or fails by itself
 * (`status`); the call fails with the first piece's error that failed, after all were tried. A
 * destination that cannot be written is KCD_E_INVALID with its address in the error, no signal.
 * KCD_E_NOT_FOUND: no such process; KCD_E_INVALID: a process without memory of its own, as a
 * kernel thread; KCD_E_LIMIT: a piece is too long. Of a piece that failed, `out` and `pages` hold
 * nothing.
 */
int kcd_read_pieces(kcd_reader* reader, kcd_read* pieces, size_t count, kcd_error* error);

/** One piece without outcomes: KCD_E_UNREADABLE when any page is a hole, with the first's address.
 * `out` is filled as far as memory can be read all the same. */
int kcd_read_bytes(kcd_reader* reader, kcd_address at, void* out, uint64_t length,
                   kcd_error* error);

/* ---- Symbols --------------------------------------------------------------------------------- */

/** KCD_UNKNOWN: a number that is not known. */
#define KCD_UNKNOWN UINT64_MAX

typedef struct kcd_symbol {
  size_t size;
  const char* name;   /**< "": the address is in a module or area, in no symbol */
  const char* module; /**< "": the kernel itself */
  uint64_t address;   /**< the place itself: the symbol's address and `offset` */
  uint64_t offset;    /**< bytes into the symbol */
  uint64_t bytes;     /**< to the next symbol; KCD_UNKNOWN */
  char type;          /**< as nm writes it; '?' without a symbol */
} kcd_symbol;

/** An answer, immutable: any thread may read it. */
typedef struct kcd_symbols kcd_symbols;

/** What `query` names: a name, name+offset, a glob, or an address (0x…). At most `max` symbols of a
 * glob; 0: all. An unknown name is an empty list. Errors: KCD_E_PERMISSION when kallsyms is
 * hidden, KCD_E_INVALID for a query that is none of these. */
int kcd_symbols_find(kcd_image* image, const char* query, size_t max, kcd_symbols** symbols,
                     kcd_error* error);
size_t kcd_symbols_count(const kcd_symbols* symbols);
/** Strings belong to `symbols`. Errors: KCD_E_INVALID past the end. */
int kcd_symbols_get(const kcd_symbols* symbols, size_t index, kcd_symbol* symbol, kcd_error* error);
/** What weakens the answer, a line each, as that a glob has more; "": nothing. Belongs to
 * `symbols`. */
const char* kcd_symbols_notes(const kcd_symbols* symbols);
/** 1: symbols are missing, for memory was missing or damaged; otherwise 0. */
int kcd_symbols_incomplete(const kcd_symbols* symbols);
void kcd_symbols_free(kcd_symbols* symbols);

/** The address that `where` names, as everywhere on the command line: 0x…, symbol, symbol+offset,
 * phys:0x…, pid:N:0x…. Errors: KCD_E_NOT_FOUND; KCD_E_INVALID for a name that stands for several
 * addresses, which the message lists. */
int kcd_resolve(kcd_image* image, const char* where, kcd_address* address, kcd_error* error);

/** "schedule+0x1c [module]" in `text`, cut to `capacity` bytes with its NUL; "" when there is no
 * symbol. Returns the length that the whole has, without NUL; negative: a kcd_status. */
int64_t kcd_symbolize(kcd_image* image, uint64_t address, char* text, size_t capacity,
                      kcd_error* error);

/* ---- Types (BTF) ----------------------------------------------------------------------------- */

/** Bytes of a type as C writes it, "struct task_struct", "pid_t". Errors: KCD_E_NOT_FOUND names the
 * type, or says that the image has no BTF; KCD_E_UNSUPPORTED: it has no size. */
int kcd_type_size(kcd_image* image, const char* type, uint64_t* bytes, kcd_error* error);

typedef struct kcd_member {
  size_t size;
  uint64_t bit_offset;    /**< from the beginning of the outermost type */
  uint64_t bytes;         /**< of the member's type */
  uint32_t bitfield_bits; /**< 0: not a bitfield */
  uint32_t reserved;
} kcd_member;

/** A member by path, "tasks.next", "comm[3]", through anonymous parts. Errors: KCD_E_NOT_FOUND
 * names what this kernel lacks. */
int kcd_type_member(kcd_image* image, const char* type, const char* path, kcd_member* member,
                    kcd_error* error);

/** A value, TYPE@WHERE and a path, as `kcoredump print --json` prints it; `depth` structs deep (1
 * to 16). Free with kcd_string_free. Errors: KCD_E_NOT_FOUND, KCD_E_INVALID, KCD_E_UNREADABLE. */
int kcd_value_json(kcd_image* image, const char* expression, unsigned depth, char** json,
                   kcd_error* error);

/** The layout of a type, as `kcoredump print --layout --json` prints it. As kcd_value_json. */
int kcd_layout_json(kcd_image* image, const char* expression, unsigned depth, char** json,
                    kcd_error* error);

/* ---- Tasks ----------------------------------------------------------------------------------- */

typedef struct kcd_task {
  size_t size;
  uint64_t address;   /**< of its task_struct, kernel virtual */
  uint64_t start_ns;  /**< since boot, suspended time included; KCD_UNKNOWN */
  uint64_t rss_bytes; /**< KCD_UNKNOWN, as of kernel threads */
  const char* comm;
  const char* command; /**< arguments joined by spaces; "": none, or not in memory */
  uint32_t pid;        /**< of the thread */
  uint32_t tgid;       /**< of the process */
  uint32_t ppid;       /**< 0: none */
  uint32_t uid;        /**< UINT32_MAX: not known */
  uint32_t cpu;        /**< UINT32_MAX: not known */
  uint32_t threads;    /**< of its process; 0: not known */
  char state;          /**< R, S, D, … as /proc/PID/stat; '?': not known */
  uint8_t kernel_thread;
} kcd_task;

/** An answer, immutable: any thread may read it. */
typedef struct kcd_tasks kcd_tasks;

/** A task for each thread, and not for each process alone. */
#define KCD_TASK_THREADS 1U

/** Walks the kernel's list. `flags`: 0 or KCD_TASK_THREADS. Errors: KCD_E_NOT_FOUND names the
 * symbol, type or member that the list hangs on. */
int kcd_tasks_list(kcd_image* image, uint32_t flags, kcd_tasks** tasks, kcd_error* error);
size_t kcd_tasks_count(const kcd_tasks* tasks);
/** By tgid, then pid. Strings belong to `tasks`. Errors: KCD_E_INVALID past the end. */
int kcd_tasks_get(const kcd_tasks* tasks, size_t index, kcd_task* task, kcd_error* error);
/** What weakens the list, a line each; "": nothing. Belongs to `tasks`. */
const char* kcd_tasks_notes(const kcd_tasks* tasks);
/** 1: tasks are missing, for memory was missing or damaged; otherwise 0. */
int kcd_tasks_incomplete(const kcd_tasks* tasks);
void kcd_tasks_free(kcd_tasks* tasks);

/* ---- Translation ----------------------------------------------------------------------------- */

/** An answer, immutable: any thread may read it. */
typedef struct kcd_translation kcd_translation;

typedef struct kcd_level {
  size_t size;
  const char* level;      /**< "PGD", "P4D", "PUD", "PMD", "PTE" */
  const char* kind;       /**< "table", "page", "absent" */
  const char* flags;      /**< "PRESENT RW …" as the architecture names them */
  uint64_t table;         /**< physical address of the table */
  uint64_t index;         /**< of the entry in it */
  uint64_t entry_address; /**< physical */
  uint64_t entry;
} kcd_level;

/** Walks the page tables for `at`, kernel or process. An address that is not mapped is an answer.
 * Errors: KCD_E_CORRUPT for a forged entry, KCD_E_UNREADABLE for a table that cannot be read,
 * KCD_E_NOT_FOUND: no such process; KCD_E_INVALID: a physical address. */
int kcd_translate(kcd_image* image, kcd_address at, kcd_translation** translation,
                  kcd_error* error);
/** The physical address; KCD_NO_ADDRESS: not mapped. */
uint64_t kcd_translation_physical(const kcd_translation* translation);
/** Bytes of the mapping: 4 KiB, 2 MiB or 1 GiB; 0: not mapped, or no table was walked. */
uint64_t kcd_translation_page_bytes(const kcd_translation* translation);
size_t kcd_translation_level_count(const kcd_translation* translation);
/** From the root down. Strings belong to `translation`. Errors: KCD_E_INVALID past the end. */
int kcd_translation_level(const kcd_translation* translation, size_t index, kcd_level* level,
                          kcd_error* error);
/** What weakens the answer, a line each, as that no walk could be made and the program headers were
 * asked; "": nothing. Belongs to `translation`. */
const char* kcd_translation_notes(const kcd_translation* translation);
void kcd_translation_free(kcd_translation* translation);

/* ---- Capture --------------------------------------------------------------------------------- */

typedef struct kcd_progress {
  size_t size;
  uint64_t done_bytes; /**< of the uncompressed image */
  uint64_t total_bytes;
  uint64_t compressed_bytes;
  uint64_t hole_pages;
  double seconds; /**< since the start */
  uint32_t phase; /**< 0 preparing, 1 reading, 2 finishing, 3 reading a sample again */
  uint32_t reserved;
} kcd_progress;

/** Physical addresses. Never changes. */
typedef struct kcd_range {
  uint64_t begin;
  uint64_t end; /**< the first byte after */
} kcd_range;

typedef struct kcd_capture_options {
  size_t size;
  const char* source; /**< any image; NULL: the live kernel */
  const char* output; /**< a path; "-": standard output; NULL: HOST-UTCTIME and the suffix */
  const char* format; /**< "snapshot", "elf", "kdump", …; NULL: "snapshot" */
  const char* codec;  /**< of a kdump: "zstd", "zlib", "lzo", "snappy", "none"; NULL: zstd */
  /** Pages to leave out, as --exclude takes them: "free,cache"; NULL: none. What cannot be told is
   * kept, and the report's warnings say so. */
  const char* exclude;
  /** With `only_kernel`, or alone when there are any: what alone is captured, widened to pages. */
  const kcd_range* only_ranges;
  size_t only_range_count;
  /** Called some ten times a second, by the thread that called kcd_capture. May be NULL. The struct
   * ends with the call. Must not throw or longjmp. */
  void (*on_progress)(const kcd_progress* progress, void* user);
  /** Called by the same thread with each event, one JSON object (schema: `kcoredump schema
   * events`): start, progress, hole, warning, finish. May be NULL. The text ends with the call. */
  void (*on_event)(const char* json, void* user);
  /** Asked as often by the same thread: not 0 ends the capture as partial. Not while a source that
   * hangs is opened, which takes 30 s at most. May be NULL. */
  int (*cancelled)(void* user);
  void* user;       /**< handed to all three */
  int32_t level;    /**< of compression, -7 to 22; 0: the default, 1 */
  uint32_t threads; /**< 0: one for each CPU */
  uint32_t force;   /**< not 0: replace an existing output */
  /** Not 0: only what is neither free, nor cache, nor a process's. */
  uint32_t only_kernel;
  /** A snapshot, beside which the output, a snapshot, then opens: what is the same in it is left
   * out. NULL: all is written. */
  const char* base;
  uint64_t smear_pages; /**< of a sample that is read again at the end and compared; 0: none */
  uint64_t max_bytes_per_second; /**< read; 0: no limit */
  uint32_t hashes; /**< not 0: keep each frame's SHA-256, so that as a `base` it is not read */
  uint32_t volatile_first; /**< not 0: what changes most is read first */
} kcd_capture_options;

enum kcd_capture_status {
  KCD_CAPTURE_COMPLETE = 0,
  KCD_CAPTURE_COMPLETE_WITH_HOLES = 1,
  KCD_CAPTURE_PARTIAL = 2 /**< ended early; what was read is a valid image */
};

/** What became of a capture. Any thread may read it. */
typedef struct kcd_capture_report kcd_capture_report;

/** Captures `source` and publishes the result. Blocks, and uses threads of its own; several may run
 * at once. A partial capture is KCD_OK and a report. Errors: nothing was published; as kcd_open for
 * the source, KCD_E_INVALID for options, KCD_E_IO for the output, KCD_E_CANCELLED. */
int kcd_capture(const kcd_capture_options* options, kcd_capture_report** report, kcd_error* error);
/** kcd_capture_status. */
int kcd_capture_report_status(const kcd_capture_report* report);
/** Where the result is. Belongs to `report`. */
const char* kcd_capture_report_output(const kcd_capture_report* report);
/** All of it, as `kcoredump capture --json` prints it. Belongs to `report`. */
const char* kcd_capture_report_json(const kcd_capture_report* report);
void kcd_capture_report_free(kcd_capture_report* report);

#ifdef __cplusplus
}
#endif

#endif /* KCOREDUMP_KCOREDUMP_H */
