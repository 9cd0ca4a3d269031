/* SPDX-License-Identifier: MIT */
/*
 * Processes out of the ordinary, by which `ps` and `vtop` are judged. Prints "NAME PID" for each,
 * then "ready", and stays until it is killed. It also holds an eBPF program, so that the kernel has
 * code that it compiled itself.
 *
 *   threads   three threads besides the first, each with a name of its own
 *   leader    its first thread is gone, another lives on
 *   zombie    has exited, and nobody asks for its status
 *   stopped   by SIGSTOP
 *   traced    stopped for its tracer
 *   waiting   uninterruptibly: its vfork()ed child does not end
 *   title     has written over its arguments, as setproctitle(3) does
 *   other     uid 1234, with arguments of odd characters, an empty one last
 *   long      arguments of more than a page
 *   huge      16 MiB in pages as large as the kernel gives, and 1 MiB it may not touch
 *   opener    holds files, sockets and mappings of every sort (guest_opener.c)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest_opener.h"

enum {
  kReadyFd = 9,
  kThreads = 3,
  kLongBytes = 6000,
  kHugeBytes = 16 << 20,
  kProtectedBytes = 1 << 20
};

static char** g_arguments;

static void Die(const char* what) {
  perror(what);
  exit(1);
}

/* Not a signal: one of the tasks may not send any. */
static void Ready(void) {
  if (write(kReadyFd, "", 1) != 1) Die("write");
}

static _Noreturn void Stay(void) {
  for (;;) pause();
}

static void* NamedThread(void* name) {
  prctl(PR_SET_NAME, name);
  Stay();
}

static void StartThreads(int count) {
  static char names[kThreads][16];
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    snprintf(names[i], sizeof names[i], "thread %d", i + 1);
    if (pthread_create(&thread, NULL, NamedThread, names[i]) != 0) Die("pthread_create");
  }
  usleep(100000); /* until each has its name */
}

static void Threads(void) {
  StartThreads(kThreads);
  Ready();
  Stay();
}

static void Leader(void) {
  StartThreads(1);
  Ready();
  pthread_exit(NULL);
}

static void Zombie(void) {
  Ready();
  _exit(0);
}

static void Stopped(void) {
  Ready();
  raise(SIGSTOP);
  Stay();
}

static void Traced(void) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) Die("ptrace");
  Ready();
  raise(SIGTRAP);
  Stay();
}

static void Waiting(void) {
  Ready();
  if (vfork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  _exit(1);
}

static void Title(void) {
  /* The last NUL is overwritten, which tells the kernel that this is a title. */
  static const char kTitle[] = "tasks: a title of its own";
  memcpy(g_arguments[0], kTitle, sizeof kTitle);
  Ready();
  Stay();
}

static void Execute(char* const arguments[]) {
  execv("/proc/self/exe", arguments);
  Die("execv");
}

static void Other(void) {
  if (setresuid(1234, 1234, 1234) != 0) Die("setresuid");
  char* arguments[] = {g_arguments[0],         "--ready", "two words", "tab\there", "\x1b[31mred",
                       "caf\xc3\xa9 \\ \"x\"", "",        NULL};
  Execute(arguments);
}

static void Long(void) {
  static char text[kLongBytes];
  memset(text, 'x', sizeof text - 1);
  char* arguments[] = {g_arguments[0], "--ready", text, NULL};
  Execute(arguments);
}

static void Huge(void) {
  uint8_t* area =
      mmap(NULL, kHugeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint8_t* protected =
      mmap(NULL, kProtectedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED || protected == MAP_FAILED) Die("mmap");
  madvise(area, kHugeBytes, MADV_HUGEPAGE);
  memset(area, 1, kHugeBytes);
  memset(protected, 2, kProtectedBytes);
  mprotect(protected, kProtectedBytes, PROT_NONE);
  Ready();
  Stay();
}

static void Opener(void) {
  OpenEverything();
  Ready();
  Stay();
}

/* "return 0" as a socket filter; its file descriptor keeps it. */
static void LoadBpfProgram(void) {
  static const struct bpf_insn kProgram[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insn_cnt = sizeof kProgram / sizeof *kProgram;
  attributes.insns = (uintptr_t)kProgram;
  attributes.license = (uintptr_t) "GPL";
  strcpy(attributes.prog_name, "lab_filter");
  if (syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes) < 0) Die("bpf");
}

static const struct {
  const char* name;
  void (*body)(void);
} kTasks[] = {{"threads", Threads}, {"leader", Leader},   {"zombie", Zombie}, {"stopped", Stopped},
              {"traced", Traced},   {"waiting", Waiting}, {"title", Title},   {"other", Other},
              {"long", Long},       {"huge", Huge},     {"opener", Opener}};

int main(int argc, char** argv) {
  g_arguments = argv;
  if (argc > 1 && strcmp(argv[1], "--ready") == 0) {
    Ready();
    Stay();
  }
  if (argc != 1) {
    fprintf(stderr, "usage: guest_tasks\n");
    return 2;
  }
  int ready[2];
  char byte;
  if (pipe(ready) != 0 || dup2(ready[1], kReadyFd) != kReadyFd) Die("pipe");
  for (size_t i = 0; i < sizeof kTasks / sizeof *kTasks; i++) {
    const pid_t pid = fork();
    if (pid < 0) Die("fork");
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      kTasks[i].body();
    }
    if (read(ready[0], &byte, 1) != 1) Die("read");
    printf("%s %d\n", kTasks[i].name, pid);
  }
  usleep(200000); /* until those that stop have stopped */
  LoadBpfProgram();
  puts("ready");
  fflush(stdout);
  Stay();
}
