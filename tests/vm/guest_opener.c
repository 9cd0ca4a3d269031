/* SPDX-License-Identifier: MIT */
#include "guest_opener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum { kPageBytes = 4096, kAllProtocols = 0x0300 /* htons(ETH_P_ALL) */ };

static int Must(int result, const char* what) {
  if (result >= 0) return result;
  perror(what);
  exit(1);
}

static void* Mapped(void* address, const char* what) {
  if (address == MAP_FAILED) Must(-1, what);
  return address;
}

static int MakeFile(const char* path, int bytes) {
  const int file = Must(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644), path);
  Must(ftruncate(file, bytes), "ftruncate");
  return file;
}

/* Open for writing at an offset, deleted, a name with odd characters, for appending, a directory. */
static void OpenFiles(void) {
  const int file = MakeFile("/tmp/opened", 4 * kPageBytes);
  Must((int)lseek(file, 5, SEEK_SET), "lseek");
  MakeFile("/tmp/deleted file", kPageBytes);
  Must(unlink("/tmp/deleted file"), "unlink");
  MakeFile("/tmp/odd\nname \x1b[31m", 1);
  Must(open("/tmp/opened", O_WRONLY | O_APPEND | O_CLOEXEC), "append");
  Must(open("/tmp", O_RDONLY | O_DIRECTORY), "/tmp");
  Must(open("/dev/zero", O_RDONLY), "/dev/zero");
  Must(open("/proc/self/status", O_RDONLY), "/proc/self/status");
  Must(open("/lab/bound/below/file", O_RDONLY), "/lab/bound/below/file");
  Must(open("/proc/self/ns/net", O_RDONLY), "/proc/self/ns/net");
  Must(chdir("/lab/with space"), "chdir");
}

static void OpenAnonymous(void) {
  int ends[2];
  Must(pipe(ends), "pipe");
  Must(epoll_create1(0), "epoll");
  Must(eventfd(3, 0), "eventfd");
  Must(fcntl(eventfd(0, 0), F_DUPFD, 500), "a descriptor of a high number");
  Must(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), "socketpair");
}

static void Map(void) {
  const int file = MakeFile("/tmp/mapped", 8 * kPageBytes);
  Mapped(mmap(NULL, 2 * kPageBytes, PROT_READ, MAP_SHARED, file, 4 * kPageBytes), "shared file");
  Mapped(mmap(NULL, 2 * kPageBytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0), "private file");
  const int memory = Must(memfd_create("lab memory", 0), "memfd_create");
  Must(ftruncate(memory, kPageBytes), "ftruncate");
  Mapped(mmap(NULL, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), "memfd");
  Mapped(mmap(NULL, kPageBytes, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0), "shared");
  void* named = Mapped(
      mmap(NULL, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "named");
  /* Kernels before 5.17 have no names. */
  prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, kPageBytes, "lab name");
  /* More mappings than one node of the kernel's tree has: neighbours that differ. */
  uint8_t* many = Mapped(
      mmap(NULL, 200 * kPageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "many");
  for (int i = 0; i < 200; i += 2) {
    Must(mprotect(many + i * kPageBytes, kPageBytes, PROT_NONE), "mprotect");
  }
}

static void LoopbackUp(void) {
  const int any = Must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
  struct ifreq request;
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  Must(ioctl(any, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
  close(any);
}

static int Bound(int type, uint16_t port) {
  const int bound = Must(socket(AF_INET, type, 0), "socket");
  const struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  Must(bind(bound, (const struct sockaddr*)&address, sizeof address), "bind");
  return bound;
}

static int Bound6(int type, uint16_t port) {
  const int bound = Must(socket(AF_INET6, type, 0), "socket");
  const struct sockaddr_in6 address = {
      .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  Must(bind(bound, (const struct sockaddr*)&address, sizeof address), "bind");
  return bound;
}

/* Both ends of a connection to `listener`. */
static void Connect(int listener, int* ours, int* theirs) {
  struct sockaddr_storage address;
  socklen_t bytes = sizeof address;
  Must(getsockname(listener, (struct sockaddr*)&address, &bytes), "getsockname");
  *ours = Must(socket(address.ss_family, SOCK_STREAM, 0), "socket");
  Must(connect(*ours, (struct sockaddr*)&address, bytes), "connect");
  *theirs = Must(accept(listener, NULL, NULL), "accept");
}

static void ConnectUnix(const char* name, size_t bytes, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, name, bytes);
  const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
  const int bound = Must(socket(AF_UNIX, type, 0), "socket");
  Must(bind(bound, (struct sockaddr*)&address, length), "bind");
  if (type != SOCK_DGRAM) Must(listen(bound, 3), "listen");
  const int other = Must(socket(AF_UNIX, type, 0), "socket");
  Must(connect(other, (struct sockaddr*)&address, length), "connect");
}

static void OpenSockets(void) {
  LoopbackUp();
  int ours;
  int theirs;
  const int listener = Bound(SOCK_STREAM, 4321);
  Must(listen(listener, 3), "listen");
  Connect(listener, &ours, &theirs);
  Connect(listener, &ours, &theirs);
  close(ours); /* FIN_WAIT2 without a socket, and CLOSE_WAIT */
  Connect(listener, &ours, &theirs);
  close(ours);
  close(theirs); /* TIME_WAIT */
  const int listener6 = Bound6(SOCK_STREAM, 4322);
  Must(listen(listener6, 3), "listen");
  Connect(listener6, &ours, &theirs);
  Bound(SOCK_STREAM, 4324); /* neither listens nor is connected */
  Bound(SOCK_DGRAM, 4323);
  Bound6(SOCK_DGRAM, 4325);
  Must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "raw");
  ConnectUnix("/tmp/lab.socket", sizeof "/tmp/lab.socket", SOCK_STREAM);
  ConnectUnix("\0lab\0abstract", sizeof "\0lab\0abstract" - 1, SOCK_DGRAM);
  ConnectUnix("\0lab packets", sizeof "\0lab packets" - 1, SOCK_SEQPACKET);
  const int link = Must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "netlink");
  const struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
  Must(bind(link, (const struct sockaddr*)&group, sizeof group), "bind");
  Must(socket(AF_PACKET, SOCK_RAW, kAllProtocols), "packet");
}

void OpenEverything(void) {
  OpenFiles();
  OpenAnonymous();
  Map();
  OpenSockets();
}
