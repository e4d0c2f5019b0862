/* Preloaded into a process under test: makes each call that changes files below PERDURE_RECORD_DIR, and appends it to
 * the trace PERDURE_RECORD_TRACE (record.h). One lock is held around call and entry, so the trace is the order in which
 * things happened.
 *
 * System calls are made directly, never through the functions that this file stands in for. io_uring is refused, as
 * some containers do: whoever would use it writes synchronously then. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536

struct descriptor {
	uint32_t handle; /* 0: not ours */
	bool append;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct descriptor descriptors[DESCRIPTORS_MAX];
static char directory[PATH_MAX]; /* "": nothing is recorded */
static size_t directory_size;
static int trace = -1;
static uint32_t handles;

static void __attribute__((noreturn)) stop(const char *what, const char *on)
{
	dprintf(2, "record: %s cannot be recorded: %s\n", what, on);
	abort();
}

static void __attribute__((constructor)) begin(void)
{
	const char *wanted = getenv(RECORD_DIRECTORY_VARIABLE), *path = getenv(RECORD_TRACE_VARIABLE);

	if (wanted == NULL || path == NULL)
		return;
	if (realpath(wanted, directory) == NULL)
		stop("this directory", wanted);
	directory_size = strlen(directory);
	trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (trace < 0)
		stop("this trace", path);
	/* Far from the numbers that the process under test would get without us. */
	int high = (int)syscall(SYS_fcntl, trace, F_DUPFD_CLOEXEC, 1000L);
	if (high >= 0) {
		syscall(SYS_close, trace);
		trace = high;
	}
}

/* ---- paths ---- */

/* Absolute, without ".", ".." and doubled "/". Links are not followed: the process under test makes none. */
static bool absolute(int at, const char *path, char *out)
{
	char whole[2 * PATH_MAX + 2], link[64];
	size_t size = 0;

	if (path[0] != '/') {
		ssize_t base;

		if (at == AT_FDCWD) {
			base = syscall(SYS_getcwd, whole, (size_t)PATH_MAX) - 1;
		} else {
			snprintf(link, sizeof link, "/proc/self/fd/%d", at);
			base = readlink(link, whole, PATH_MAX);
		}
		if (base <= 0)
			return false;
		size = (size_t)base;
		whole[size++] = '/';
	}
	if (strlen(path) >= PATH_MAX)
		return false;
	memcpy(whole + size, path, strlen(path) + 1);

	size_t used = 0;
	for (const char *at_part = whole; *at_part != '\0';) {
		size_t part = strcspn(at_part, "/");

		if (part == 2 && memcmp(at_part, "..", 2) == 0) {
			while (used > 0 && out[--used] != '/')
				;
		} else if (part > 0 && !(part == 1 && at_part[0] == '.')) {
			if (used + part + 2 > PATH_MAX)
				return false;
			out[used++] = '/';
			memcpy(out + used, at_part, part);
			used += part;
		}
		at_part += part + (at_part[part] == '/');
	}
	out[used] = '\0';
	return true;
}

/* Where in the directory that is; NULL: not in it. */
static const char *inside(int at, const char *path, char *out)
{
	if (directory_size == 0 || path == NULL || !absolute(at, path, out))
		return NULL;
	if (strncmp(out, directory, directory_size) != 0)
		return NULL;
	if (out[directory_size] == '\0')
		return out + directory_size;
	return out[directory_size] == '/' ? out + directory_size + 1 : NULL;
}

static struct descriptor *descriptor_of(int fd)
{
	static struct descriptor none;

	if (fd >= DESCRIPTORS_MAX)
		stop("so high a descriptor", "");
	return fd >= 0 ? &descriptors[fd] : &none;
}

/* ---- the trace ---- */

static void append(struct record_entry entry, const struct iovec *parts, int count)
{
	static const char zeros[8];
	struct iovec all[IOV_MAX];
	size_t payload = 0, padding;
	int used = 1;

	for (int i = 0; i < count; i++) {
		if (used >= IOV_MAX - 1)
			stop("so many parts", "writev");
		all[used++] = parts[i];
		payload += parts[i].iov_len;
	}
	padding = 8 - (payload & 7);
	if (payload > UINT32_MAX / 2)
		stop("so large a write", "");
	entry.size = (uint32_t)(sizeof entry + payload + padding);
	entry.payload_size = (uint32_t)payload;
	all[0] = (struct iovec){ &entry, sizeof entry };
	all[used++] = (struct iovec){ (void *)(uintptr_t)zeros, padding };
	if (syscall(SYS_writev, trace, all, (long)used) != (long)entry.size)
		stop("a call, for its trace cannot be written", "");
}

static void append_text(struct record_entry entry, const char *text)
{
	append(entry, &(struct iovec){ (void *)(uintptr_t)text, strlen(text) }, 1);
}

static void append_two(enum record_kind kind, const char *from, const char *to)
{
	struct iovec parts[2] = { { (void *)(uintptr_t)from, strlen(from) + 1 },
				  { (void *)(uintptr_t)to, strlen(to) } };

	append((struct record_entry){ .kind = (uint16_t)kind }, parts, 2);
}

void __attribute__((visibility("default"))) pd_record_mark(const char *text)
{
	if (directory_size == 0)
		return;
	pthread_mutex_lock(&lock);
	append_text((struct record_entry){ .kind = RECORD_MARK }, text);
	pthread_mutex_unlock(&lock);
}

/* Free the lock and keep errno. */
static void leave(void)
{
	int kept = errno;

	pthread_mutex_unlock(&lock);
	errno = kept;
}

/* ---- names ---- */

static int do_open(int at, const char *path, int flags, mode_t mode)
{
	char room[PATH_MAX];
	const char *name = inside(at, path, room);
	int fd;

	if (name == NULL && directory_size == 0)
		return (int)syscall(SYS_openat, at, path, flags, mode);
	pthread_mutex_lock(&lock);
	if (name != NULL && (flags & O_TMPFILE) == O_TMPFILE)
		stop("O_TMPFILE", path);
	fd = (int)syscall(SYS_openat, at, path, flags, mode);
	if (fd >= 0 && name != NULL) {
		struct record_entry entry = { .kind = RECORD_OPEN, .handle = ++handles };

		entry.flags = (uint16_t)(((flags & O_CREAT) != 0 ? RECORD_CREATE : 0) |
					 ((flags & O_TRUNC) != 0 ? RECORD_TRUNCATE : 0) |
					 ((flags & (O_DSYNC | O_SYNC)) != 0 ? RECORD_SYNCED : 0));
		append_text(entry, name);
	}
	if (fd >= 0)
		*descriptor_of(fd) = name != NULL ? (struct descriptor){ handles, (flags & O_APPEND) != 0 }
						  : (struct descriptor){ 0 };
	leave();
	return fd;
}

#define MODE_OF(flags, mode)                                     \
	do {                                                     \
		if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {    \
			va_list list;                            \
			va_start(list, flags);                   \
			(mode) = (mode_t)va_arg(list, unsigned); \
			va_end(list);                            \
		}                                                \
	} while (0)

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;

	MODE_OF(flags, mode);
	return do_open(at, path, flags, mode);
}

int creat(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* What the checked build of libc calls for an open() without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int __openat_2(int at, const char *path, int flags)
{
	return do_open(at, path, flags, 0);
}

int __openat64_2(int at, const char *path, int flags)
{
	return do_open(at, path, flags, 0);
}

int close(int fd)
{
	int result;

	if (directory_size == 0)
		return (int)syscall(SYS_close, fd);
	pthread_mutex_lock(&lock);
	*descriptor_of(fd) = (struct descriptor){ 0 };
	result = (int)syscall(SYS_close, fd);
	leave();
	return result;
}

static int do_rename(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
	char from_room[PATH_MAX], to_room[PATH_MAX];
	const char *from_name = inside(from_at, from, from_room), *to_name = inside(to_at, to, to_room);
	int result;

	if (from_name == NULL && to_name == NULL)
		return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
	if (from_name == NULL || to_name == NULL || (flags & ~(unsigned)RENAME_NOREPLACE) != 0)
		stop("this rename", to);
	pthread_mutex_lock(&lock);
	result = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
	if (result == 0)
		append_two(RECORD_RENAME, from_name, to_name);
	leave();
	return result;
}

int rename(const char *from, const char *to)
{
	return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	return do_rename(from_at, from, to_at, to, 0);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
	return do_rename(from_at, from, to_at, to, flags);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	char from_room[PATH_MAX], to_room[PATH_MAX];
	const char *from_name = inside(from_at, from, from_room), *to_name = inside(to_at, to, to_room);
	int result;

	if (to_name == NULL)
		return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
	if (from_name == NULL)
		stop("a link from outside", to);
	pthread_mutex_lock(&lock);
	result = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
	if (result == 0)
		append_two(RECORD_LINK, from_name, to_name);
	leave();
	return result;
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int do_name(enum record_kind kind, int at, const char *path, mode_t mode)
{
	char room[PATH_MAX];
	const char *name = inside(at, path, room);
	int result;

	if (name != NULL)
		pthread_mutex_lock(&lock);
	if (kind == RECORD_MKDIR)
		result = (int)syscall(SYS_mkdirat, at, path, mode);
	else
		result = (int)syscall(SYS_unlinkat, at, path, kind == RECORD_RMDIR ? AT_REMOVEDIR : 0);
	if (name != NULL) {
		if (result == 0)
			append_text((struct record_entry){ .kind = (uint16_t)kind }, name);
		leave();
	}
	return result;
}

int unlink(const char *path)
{
	return do_name(RECORD_UNLINK, AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
	return do_name((flags & AT_REMOVEDIR) != 0 ? RECORD_RMDIR : RECORD_UNLINK, at, path, 0);
}

int remove(const char *path)
{
	int result = do_name(RECORD_UNLINK, AT_FDCWD, path, 0);

	return result != 0 && errno == EISDIR ? do_name(RECORD_RMDIR, AT_FDCWD, path, 0) : result;
}

int rmdir(const char *path)
{
	return do_name(RECORD_RMDIR, AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode)
{
	return do_name(RECORD_MKDIR, AT_FDCWD, path, mode);
}

int mkdirat(int at, const char *path, mode_t mode)
{
	return do_name(RECORD_MKDIR, at, path, mode);
}

int truncate(const char *path, off_t size)
{
	char room[PATH_MAX];

	if (inside(AT_FDCWD, path, room) != NULL)
		stop("truncate()", path);
	return (int)syscall(SYS_truncate, path, size);
}

int truncate64(const char *path, off_t size)
{
	return truncate(path, size);
}

int symlinkat(const char *target, int at, const char *path)
{
	char room[PATH_MAX];

	if (inside(at, path, room) != NULL)
		stop("a symbolic link", path);
	return (int)syscall(SYS_symlinkat, target, at, path);
}

int symlink(const char *target, const char *path)
{
	return symlinkat(target, AT_FDCWD, path);
}

/* ---- data ---- */

/* What a write() that returned `count` has written: the first `count` bytes of `parts`. `offset` -1: where the
 * descriptor stands now, less `count`. */
static void wrote(int fd, const struct iovec *parts, int part_count, ssize_t count, off_t offset)
{
	struct descriptor *descriptor = descriptor_of(fd);
	struct record_entry entry = { .kind = RECORD_WRITE, .handle = descriptor->handle };
	struct iovec done[IOV_MAX];
	size_t left = count > 0 ? (size_t)count : 0;
	int used = 0;

	if (descriptor->handle == 0 || left == 0)
		return;
	if (offset < 0)
		offset = (off_t)syscall(SYS_lseek, fd, 0L, SEEK_CUR) - count;
	else if (descriptor->append)
		stop("pwrite() to what was opened with O_APPEND", "");
	entry.offset = (uint64_t)offset;
	for (int i = 0; i < part_count && left > 0; i++) {
		done[used] = parts[i];
		if (done[used].iov_len > left)
			done[used].iov_len = left;
		left -= done[used++].iov_len;
	}
	append(entry, done, used);
}

static bool ours(int fd)
{
	return directory_size > 0 && fd >= 0 && fd < DESCRIPTORS_MAX && descriptors[fd].handle != 0;
}

ssize_t write(int fd, const void *data, size_t size)
{
	ssize_t result;

	if (!ours(fd))
		return syscall(SYS_write, fd, data, size);
	pthread_mutex_lock(&lock);
	result = syscall(SYS_write, fd, data, size);
	wrote(fd, &(struct iovec){ (void *)(uintptr_t)data, size }, 1, result, -1);
	leave();
	return result;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	ssize_t result;

	if (!ours(fd))
		return syscall(SYS_pwrite64, fd, data, size, offset);
	pthread_mutex_lock(&lock);
	result = syscall(SYS_pwrite64, fd, data, size, offset);
	wrote(fd, &(struct iovec){ (void *)(uintptr_t)data, size }, 1, result, offset);
	leave();
	return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite(fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	ssize_t result;

	if (!ours(fd))
		return syscall(SYS_writev, fd, parts, (long)count);
	pthread_mutex_lock(&lock);
	result = syscall(SYS_writev, fd, parts, (long)count);
	wrote(fd, parts, count, result, -1);
	leave();
	return result;
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	ssize_t result;

	if (!ours(fd))
		return syscall(SYS_pwritev2, fd, parts, (long)count, offset, 0L, (long)flags);
	if (flags != 0)
		stop("flags of pwritev2()", "");
	pthread_mutex_lock(&lock);
	result = syscall(SYS_pwritev2, fd, parts, (long)count, offset, 0L, 0L);
	wrote(fd, parts, count, result, offset);
	leave();
	return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	return pwritev2(fd, parts, count, offset, 0);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
{
	return pwritev2(fd, parts, count, offset, 0);
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	return pwritev2(fd, parts, count, offset, flags);
}

static void changed(int fd, enum record_kind kind, off_t offset, off_t length)
{
	append((struct record_entry){ .kind = (uint16_t)kind,
				      .handle = descriptor_of(fd)->handle,
				      .offset = (uint64_t)offset,
				      .length = (uint64_t)length },
	       NULL, 0);
}

int ftruncate(int fd, off_t size)
{
	int result;

	if (!ours(fd))
		return (int)syscall(SYS_ftruncate, fd, size);
	pthread_mutex_lock(&lock);
	result = (int)syscall(SYS_ftruncate, fd, size);
	if (result == 0)
		changed(fd, RECORD_RESIZE, size, 0);
	leave();
	return result;
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	int result;

	if (!ours(fd))
		return (int)syscall(SYS_fallocate, fd, mode, offset, length);
	if ((mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE)) != 0)
		stop("this fallocate()", "");
	pthread_mutex_lock(&lock);
	result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
	if (result == 0 && (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
		changed(fd, RECORD_ZERO, offset, length);
	if (result == 0 && (mode & FALLOC_FL_KEEP_SIZE) == 0)
		changed(fd, RECORD_GROW, offset + length, 0);
	leave();
	return result;
}

int fallocate64(int fd, int mode, off_t offset, off_t length)
{
	return fallocate(fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
	int kept = errno, result = fallocate(fd, 0, offset, length) == 0 ? 0 : errno;

	errno = kept;
	return result;
}

int posix_fallocate64(int fd, off_t offset, off_t length)
{
	return posix_fallocate(fd, offset, length);
}

static int do_sync(long call, int fd)
{
	int result;

	if (!ours(fd))
		return (int)syscall(call, fd);
	pthread_mutex_lock(&lock);
	result = (int)syscall(call, fd);
	if (result == 0)
		changed(fd, call == SYS_syncfs ? RECORD_SYNC_ALL : RECORD_SYNC, 0, 0);
	leave();
	return result;
}

int fsync(int fd)
{
	return do_sync(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return do_sync(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
	return do_sync(SYS_syncfs, fd);
}

/* sync_file_range() promises nothing, so it is left alone. */

/* ---- descriptors ---- */

static int inherit(int from, int to)
{
	if (to >= 0)
		*descriptor_of(to) = *descriptor_of(from);
	leave();
	return to;
}

int dup(int fd)
{
	pthread_mutex_lock(&lock);
	return inherit(fd, (int)syscall(SYS_dup, fd));
}

int dup3(int from, int to, int flags)
{
	pthread_mutex_lock(&lock);
	return inherit(from, (int)syscall(SYS_dup3, from, to, flags));
}

int dup2(int from, int to)
{
	return from == to ? to : dup3(from, to, 0);
}

static int do_fcntl(int fd, int command, void *argument)
{
	if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
		return (int)syscall(SYS_fcntl, fd, command, argument);
	pthread_mutex_lock(&lock);
	return inherit(fd, (int)syscall(SYS_fcntl, fd, command, argument));
}

int fcntl(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	return do_fcntl(fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	return do_fcntl(fd, command, argument);
}

/* ---- what is not recorded ---- */

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (ours(fd) && (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0)
		stop("a shared writable mapping", "mmap");
	return (void *)syscall(SYS_mmap, address, size, (long)protection, (long)flags, (long)fd, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return mmap(address, size, protection, flags, fd, offset);
}

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t size, unsigned flags)
{
	if (ours(to)) {
		errno = ENOSYS;
		return -1;
	}
	return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, size, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t size)
{
	if (ours(to)) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_sendfile, to, from, offset, size);
}

ssize_t sendfile64(int to, int from, off_t *offset, size_t size)
{
	return sendfile(to, from, offset, size);
}

struct io_uring;
struct io_uring_params;
int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *parameters);

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	(void)entries;
	(void)ring;
	(void)flags;
	return -ENOSYS;
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *parameters)
{
	(void)entries;
	(void)ring;
	(void)parameters;
	return -ENOSYS;
}
