/* Files of the real machine.
 *
 * How they fail: EINTR and short transfers go on inside; all else is returned with the path. A failed
 * fdatasync() is never repeated here, for Linux may have dropped the pages and would then report success
 * ("fsyncgate", https://wiki.postgresql.org/wiki/Fsync_Errors). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/plant.h"
#include "os/real_private.h"

enum {
	ALIGNMENT_SMALL = 512,
	ALIGNMENT_LARGE = 4096,
	ZERO_CHUNK = 64 * 1024,
};

static struct pd_real_file *real_file(struct pd_os_file *file)
{
	return (struct pd_real_file *)file;
}

static int transfer_read(int fd, void *data, size_t size, uint64_t offset, size_t alignment, size_t *ret_size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		if (got == 0)
			break;
		done += (size_t)got;
		if ((size_t)got % alignment !=
		    0) /* the end of a file read directly; some kernels refuse to be asked again there */
			break;
	}
	*ret_size = done;
	return 0;
}

static int transfer_write(int fd, const void *data, size_t size, uint64_t offset, size_t alignment)
{
	size_t done = 0;

	while (done < size) {
		ssize_t put = pwrite(fd, (const uint8_t *)data + done, size - done, (off_t)(offset + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		if (pd_plant(PD_PLANT_SHORT_WRITE_IS_WHOLE))
			return 0;
		/* A direct write may stop anywhere, but goes on only where the alignment allows. */
		put -= put % (ssize_t)alignment;
		if (put == 0)
			return EIO;
		done += (size_t)put;
	}
	return 0;
}

#ifdef STATX_DIOALIGN
/* What the file system says (Linux 6.1). False: it says nothing. 0: it has no direct I/O for this file. */
static bool alignment_stated(int fd, size_t *ret_alignment)
{
	struct statx info;
	size_t wanted;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) != 0)
		return false;
	if ((info.stx_mask & STATX_DIOALIGN) == 0)
		return false;
	wanted = info.stx_dio_offset_align;
	if (wanted > 0 && wanted < info.stx_dio_mem_align)
		wanted = info.stx_dio_mem_align;
	if (wanted == 0 || wanted > ALIGNMENT_LARGE)
		*ret_alignment = 0;
	else
		*ret_alignment = wanted <= ALIGNMENT_SMALL ? ALIGNMENT_SMALL : ALIGNMENT_LARGE;
	return true;
}
#else
static bool alignment_stated(int fd, size_t *ret_alignment)
{
	(void)fd;
	(void)ret_alignment;
	return false;
}
#endif

/* Try a read of 512 bytes at 512, to memory aligned to no more than that. It tells only when there is something
 * to read: at the end of a file the kernel answers before it looks at the alignment. */
static int alignment_probed(int fd, int flags, size_t *ret_alignment)
{
	struct stat info;
	uint8_t *memory;
	ssize_t got;
	int rc = 0;

	*ret_alignment = ALIGNMENT_LARGE;
	if ((flags & PD_OS_READ) == 0 || fstat(fd, &info) != 0 || info.st_size < ALIGNMENT_LARGE)
		return 0;
	memory = pd_malloc_aligned(ALIGNMENT_LARGE, 2 * ALIGNMENT_LARGE);
	if (memory == NULL)
		return ENOMEM;
	got = pread(fd, memory + ALIGNMENT_SMALL, ALIGNMENT_SMALL, ALIGNMENT_SMALL);
	if (got == ALIGNMENT_SMALL)
		*ret_alignment = ALIGNMENT_SMALL;
	else if (got < 0 && errno == EINVAL && pread(fd, memory, ALIGNMENT_LARGE, 0) < 0)
		rc = errno;
	pd_free(memory);
	return rc;
}

/* Switch an open file to direct I/O. Done after open(), because open(O_CREAT | O_EXCL | O_DIRECT) leaves the
 * file behind when the file system refuses the last of them. */
static int make_direct(int fd, int flags, size_t *ret_alignment)
{
	size_t alignment = 0;
	int old = fcntl(fd, F_GETFL);
	int rc;

	if (old < 0 || fcntl(fd, F_SETFL, old | O_DIRECT) != 0)
		return errno;
	if (!alignment_stated(fd, &alignment)) {
		rc = alignment_probed(fd, flags, &alignment);
		if (rc != 0)
			return rc;
	}
	if (alignment == 0)
		return EINVAL;
	*ret_alignment = alignment;
	return 0;
}

static int system_flags(int flags)
{
	int wanted = O_CLOEXEC | O_NOCTTY;

	if ((flags & PD_OS_READ) != 0 && (flags & PD_OS_WRITE) != 0)
		wanted |= O_RDWR;
	else
		wanted |= (flags & PD_OS_WRITE) != 0 ? O_WRONLY : O_RDONLY;
	if ((flags & PD_OS_CREATE) != 0)
		wanted |= O_CREAT;
	if ((flags & PD_OS_EXCLUSIVE) != 0)
		wanted |= O_EXCL;
	if ((flags & PD_OS_SYNCED) != 0)
		wanted |= O_DSYNC;
	return wanted;
}

int pd_real_open(struct pd_os *os, const char *path, int flags, struct pd_os_file **ret_file,
		 struct pd_error *err)
{
	size_t path_size = strlen(path) + 1, alignment = 1;
	struct pd_real_file *file;
	struct stat info;
	int fd = -1, rc;

	file = pd_malloc(sizeof *file + path_size);
	if (file == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "cannot open '%s': out of memory", path);
	do
		fd = open(path, system_flags(flags), 0600);
	while (fd < 0 && errno == EINTR);
	if (fd < 0 || fstat(fd, &info) != 0) {
		rc = pd_error_system(err, errno, "cannot open '%s'", path);
		goto fail;
	}
	if (S_ISDIR(info.st_mode)) {
		rc = pd_error_system(err, EISDIR, "cannot open '%s'", path);
		goto fail;
	}
	if ((flags & PD_OS_DIRECT) != 0) {
		rc = make_direct(fd, flags, &alignment);
		if (rc != 0) {
			if ((flags & PD_OS_EXCLUSIVE) != 0)
				(void)unlink(path); /* ours, and the caller will create it again */
			if (rc == EINVAL)
				rc = pd_error_set(err, PD_NOT_SUPPORTED,
						  "the file system of '%s' has no direct I/O; use buffered "
						  "I/O there",
						  path);
			else
				rc = pd_error_system(err, rc, "cannot use direct I/O on '%s'", path);
			goto fail;
		}
	}
	file->base = (struct pd_os_file){ .os = os, .flags = flags, .alignment = alignment };
	file->fd = fd;
	memcpy(file->path, path, path_size);
	*ret_file = &file->base;
	return 0;
fail:
	if (fd >= 0)
		(void)close(fd);
	pd_free(file);
	return rc;
}

void pd_real_close(struct pd_os_file *base)
{
	struct pd_real_file *file = real_file(base);

	(void)close(file->fd); /* nothing to lose: what matters was synced before */
	pd_free(file);
}

int pd_real_read(struct pd_os_file *base, void *data, size_t size, uint64_t offset, size_t *ret_size,
		 struct pd_error *err)
{
	struct pd_real_file *file = real_file(base);
	int errnum = transfer_read(file->fd, data, size, offset, base->alignment, ret_size);

	if (errnum == 0)
		return 0;
	return pd_error_system(err, errnum, "cannot read %zu bytes at %llu of '%s'", size,
			       (unsigned long long)offset, file->path);
}

int pd_real_write(struct pd_os_file *base, const void *data, size_t size, uint64_t offset,
		  struct pd_error *err)
{
	struct pd_real_file *file = real_file(base);
	int errnum = transfer_write(file->fd, data, size, offset, base->alignment);

	if (errnum == 0)
		return 0;
	return pd_error_system(err, errnum, "cannot write %zu bytes at %llu of '%s'", size,
			       (unsigned long long)offset, file->path);
}

int pd_real_datasync(struct pd_os_file *base, struct pd_error *err)
{
	struct pd_real_file *file = real_file(base);
	int rc;

	do
		rc = fdatasync(file->fd);
	while (rc != 0 && errno == EINTR);
	return rc == 0 ? 0 : pd_error_system(err, errno, "cannot sync '%s'", file->path);
}

/* For file systems without fallocate(): write every block back as it is, zeros beyond the end. */
static int allocate_by_writing(struct pd_real_file *file, uint64_t size)
{
	struct stat info;
	uint64_t end;
	uint8_t *chunk;
	int rc = 0;

	if (fstat(file->fd, &info) != 0)
		return errno;
	end = (uint64_t)info.st_size > size ? (uint64_t)info.st_size : size;
	chunk = pd_malloc_aligned(ALIGNMENT_LARGE, ZERO_CHUNK);
	if (chunk == NULL)
		return ENOMEM;
	for (uint64_t offset = 0; offset < size && rc == 0; offset += ZERO_CHUNK) {
		size_t wanted = end - offset < ZERO_CHUNK ? (size_t)(end - offset) : ZERO_CHUNK, got = 0;
		size_t rounded = (wanted + file->base.alignment - 1) / file->base.alignment *
				 file->base.alignment;

		if (offset < (uint64_t)info.st_size) {
			if ((file->base.flags & PD_OS_READ) == 0)
				rc = EOPNOTSUPP; /* what cannot be read cannot be written back */
			else
				rc = transfer_read(file->fd, chunk, rounded, offset, file->base.alignment,
						   &got);
		}
		if (rc == 0) {
			memset(chunk + got, 0, rounded - got);
			rc = transfer_write(file->fd, chunk, rounded, offset, file->base.alignment);
		}
	}
	if (rc == 0 && ftruncate(file->fd, (off_t)end) != 0)
		rc = errno;
	pd_free(chunk);
	return rc;
}

int pd_real_allocate(struct pd_os_file *base, uint64_t size, struct pd_error *err)
{
	struct pd_real_file *file = real_file(base);
	int errnum;

	if (size == 0)
		return 0; /* fallocate() has no word for nothing */
	do
		errnum = fallocate(file->fd, 0, 0, (off_t)size) == 0 ? 0 : errno;
	while (errnum == EINTR);
	if (errnum == EOPNOTSUPP || errnum == ENOSYS)
		errnum = allocate_by_writing(file, size);
	if (errnum == 0)
		return 0;
	return pd_error_system(err, errnum, "cannot reserve %llu bytes for '%s'", (unsigned long long)size,
			       file->path);
}

int pd_real_resize(struct pd_os_file *base, uint64_t size, struct pd_error *err)
{
	struct pd_real_file *file = real_file(base);
	int rc;

	do
		rc = ftruncate(file->fd, (off_t)size);
	while (rc != 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	return pd_error_system(err, errno, "cannot resize '%s' to %llu bytes", file->path,
			       (unsigned long long)size);
}

size_t pd_real_alignment(const struct pd_os_file *file)
{
	return file->alignment;
}

void pd_real_hint(struct pd_os_file *base, enum pd_os_hint hint, uint64_t offset, uint64_t size)
{
	int fd = real_file(base)->fd;

	switch (hint) {
	case PD_OS_HINT_READ_SOON:
		(void)posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_WILLNEED);
		break;
	case PD_OS_HINT_WRITE_OUT:
		/* What goes wrong in it the sync tells. */
		(void)sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
		break;
	case PD_OS_HINT_FORGET:
		(void)posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
		break;
	}
}

/* cachestat(2), of Linux 6.5; older libraries have no name for it. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

bool pd_real_is_cached(struct pd_os_file *base, uint64_t offset, uint64_t size)
{
	const struct {
		uint64_t offset, size;
	} part = { offset, size };
	struct {
		uint64_t cached, dirty, writeback, evicted, recently_evicted;
	} pages = { 0 };
	long page_size = sysconf(_SC_PAGESIZE);

	if (page_size <= 0 || syscall(SYS_cachestat, real_file(base)->fd, &part, &pages, 0) != 0)
		return false;
	return pages.cached * (uint64_t)page_size > size / 2;
}
