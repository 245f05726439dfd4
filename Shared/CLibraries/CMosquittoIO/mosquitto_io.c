// libmosquitto 2.0.11 reads the head of each packet byte by byte, writes each packet by itself, and for each of them pokes
// a pair of sockets that nobody reads when it runs in another's loop: seven system calls for a message that is answered.
// Here its sockets are read in large pieces, what it writes is gathered, and the pair is not made.
//
// The functions below replace read, write, close, socket and socketpair for libmosquitto alone: a library calls what is
// not its own through its table of addresses (ELF's global offset table), each library through one of its own, and only
// the entries of libmosquitto's table are changed. Every other library in the process, and the program itself, calls
// what it called before. The table is found by the symbols' names in the relocations of the library that was loaded as
// libmosquitto.so.1; if anything is not as expected (another architecture, a name that is missing, a table that the
// linker has made read-only) nothing is changed.
//
// Within libmosquitto a descriptor behaves as before unless `martlet_gather` was called with it, and from the moment that
// libmosquitto closes it again. TLS does not come here: OpenSSL reads and writes its sockets through its own table.
// A socket belongs to whoever drives its handle, so to one thread at a time; the table of sockets and the spare buffer
// are shared, and atomic.
#define _GNU_SOURCE
#include "mosquitto_io.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 16, ROW = 1024, ROWS = 1024 };

// A buffer is there only while something is in it: thousands of silent sockets hold none.
struct gathered {
  unsigned char *in, *out;
  size_t in_at, in_end, out_at, out_end;
};

static _Atomic(_Atomic(struct gathered *) *) rows[ROWS];
static _Atomic(unsigned char *) spare;

static _Atomic(struct gathered *) *place(int fd, int make) {
  if (fd < 0 || fd >= ROW * ROWS) return NULL;
  _Atomic(struct gathered *) *row = atomic_load_explicit(&rows[fd / ROW], memory_order_acquire);
  if (!row && make) {
    _Atomic(struct gathered *) *new = calloc(ROW, sizeof *new);
    if (!new) return NULL;
    if (atomic_compare_exchange_strong(&rows[fd / ROW], &row, new)) row = new; else free(new);
  }
  return row ? &row[fd % ROW] : NULL;
}

static struct gathered *find(int fd) {
  _Atomic(struct gathered *) *at = place(fd, 0);
  return at ? atomic_load_explicit(at, memory_order_acquire) : NULL;
}

static unsigned char *take_buffer(void) {
  unsigned char *buffer = atomic_exchange(&spare, NULL);
  return buffer ? buffer : malloc(ROOM);
}

static void give_buffer(unsigned char **buffer) {
  free(atomic_exchange(&spare, *buffer));
  *buffer = NULL;
}

static ssize_t read_gathered(int fd, void *bytes, size_t count) {
  struct gathered *socket = find(fd);
  if (!socket) return read(fd, bytes, count);
  if (!socket->in) {
    unsigned char *buffer = count < ROOM ? take_buffer() : NULL;
    if (!buffer) return recv(fd, bytes, count, 0);
    ssize_t got = recv(fd, buffer, ROOM, 0);
    if (got <= 0) {
      give_buffer(&buffer);
      return got;
    }
    socket->in = buffer;
    socket->in_at = 0;
    socket->in_end = (size_t)got;
  }
  size_t there = socket->in_end - socket->in_at;
  if (count > there) count = there;
  memcpy(bytes, socket->in + socket->in_at, count);
  socket->in_at += count;
  if (socket->in_at == socket->in_end) give_buffer(&socket->in);
  return (ssize_t)count;
}

// Returns 0 when nothing is left; else -1, and errno is EAGAIN when the socket takes no more.
static int send_gathered(int fd, struct gathered *socket) {
  while (socket->out) {
    ssize_t sent = send(fd, socket->out + socket->out_at, socket->out_end - socket->out_at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return -1;
    socket->out_at += (size_t)sent;
    if (socket->out_at == socket->out_end) give_buffer(&socket->out);
  }
  return 0;
}

static ssize_t write_gathered(int fd, const void *bytes, size_t count) {
  struct gathered *socket = find(fd);
  if (!socket) return write(fd, bytes, count);
  // Behind a DISCONNECT libmosquitto closes the socket: it must not be told that it was written before that is true.
  int is_last = count > 0 && *(const unsigned char *)bytes == 0xE0;
  // Something that the socket did not take is there: libmosquitto has to wait, as it would without us.
  int is_full = socket->out && (socket->out_at > 0 || socket->out_end + count > ROOM);
  if ((is_last || is_full) && send_gathered(fd, socket) != 0) return -1;
  if (!socket->out) {
    if (!is_last && count <= ROOM) socket->out = take_buffer();
    if (!socket->out) return send(fd, bytes, count, MSG_NOSIGNAL);
    socket->out_at = socket->out_end = 0;
  }
  memcpy(socket->out + socket->out_end, bytes, count);
  socket->out_end += count;
  return (ssize_t)count;
}

static int close_gathered(int fd) {
  _Atomic(struct gathered *) *at = place(fd, 0);
  struct gathered *socket = at ? atomic_exchange(at, NULL) : NULL;
  if (socket) {
    if (socket->in) give_buffer(&socket->in);
    if (socket->out) give_buffer(&socket->out);
    free(socket);
  }
  return close(fd);
}

// A child process that is started in this moment must not hold the connection open.
static int socket_closed_on_exec(int domain, int type, int protocol) {
  return socket(domain, type | SOCK_CLOEXEC, protocol);
}

// The pair for waking libmosquitto's own loop: it does without when there is none, and we have another loop.
static int no_pair(int domain, int type, int protocol, int pair[2]) {
  (void)domain, (void)type, (void)protocol, (void)pair;
  errno = EMFILE;
  return -1;
}

void martlet_gather(int fd) {
  _Atomic(struct gathered *) *at = place(fd, 1);
  if (at && !atomic_load(at)) atomic_store(at, calloc(1, sizeof(struct gathered)));
}

int martlet_received(int fd) {
  struct gathered *socket = find(fd);
  return socket && socket->in ? (int)(socket->in_end - socket->in_at) : 0;
}

int martlet_unsent(int fd) {
  struct gathered *socket = find(fd);
  return socket && socket->out;
}

int martlet_send(int fd) {
  struct gathered *socket = find(fd);
  return !socket || send_gathered(fd, socket) == 0 || errno == EAGAIN ? 0 : errno;
}

#if defined(__x86_64__)
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT };
#elif defined(__aarch64__)
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT };
#else
enum { JUMP_SLOT = -1 };
#endif

static const struct replacement {
  const char *name;
  void *function;
} replacements[] = {
  {"read", read_gathered}, {"write", write_gathered}, {"close", close_gathered},
  {"socket", socket_closed_on_exec}, {"socketpair", no_pair},
};
enum { COUNT = sizeof replacements / sizeof *replacements };

// Where the library's pointer to that function is; NULL unless it is the program linker's to fill in when first called,
// which is to say writable.
static void **slot(const struct link_map *map, const char *name) {
  const ElfW(Sym) *symbols = NULL;
  const ElfW(Rela) *relocations = NULL;
  const char *names = NULL;
  size_t size = 0;
  for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
    switch (entry->d_tag) {
    case DT_SYMTAB: symbols = (const void *)entry->d_un.d_ptr; break;
    case DT_STRTAB: names = (const void *)entry->d_un.d_ptr; break;
    case DT_JMPREL: relocations = (const void *)entry->d_un.d_ptr; break;
    case DT_PLTRELSZ: size = entry->d_un.d_val; break;
    case DT_PLTREL: if (entry->d_un.d_val != DT_RELA) return NULL; break;
    case DT_BIND_NOW: return NULL;
    case DT_FLAGS: if (entry->d_un.d_val & DF_BIND_NOW) return NULL; break;
    case DT_FLAGS_1: if (entry->d_un.d_val & DF_1_NOW) return NULL; break;
    }
  }
  if (!symbols || !names || !relocations) return NULL;
  for (size_t i = 0; i < size / sizeof *relocations; i++) {
    if ((int)ELF64_R_TYPE(relocations[i].r_info) != JUMP_SLOT) continue;
    if (strcmp(names + symbols[ELF64_R_SYM(relocations[i].r_info)].st_name, name) != 0) continue;
    return (void **)(map->l_addr + relocations[i].r_offset);
  }
  return NULL;
}

int martlet_gather_mosquitto_io(void) {
  struct link_map *map = NULL;
  void **slots[COUNT];
  // Not loaded by this, only found: and never closed, so that it stays.
  void *library = dlopen("libmosquitto.so.1", RTLD_LAZY | RTLD_NOLOAD);
  if (!library || dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) return 0;
  for (int i = 0; i < COUNT; i++) {
    if (!(slots[i] = slot(map, replacements[i].name))) return 0;
  }
  for (int i = 0; i < COUNT; i++) *slots[i] = replacements[i].function;
  return 1;
}
