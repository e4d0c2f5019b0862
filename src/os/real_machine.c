/* What the real machine has: memory, and room on its disks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"
#include "os/real_private.h"

/* Used where the system tells nothing: too little is safer than too much. */
#define UNKNOWN_MEMORY_BYTES (1ULL << 30)

/* The beginning of a small file of the kernel's, as a string. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	if (fd >= 0) {
		do
			got = read(fd, text, size - 1);
		while (got < 0 && errno == EINTR);
		(void)close(fd);
	}
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static uint64_t page_bytes(void)
{
	long size = sysconf(_SC_PAGESIZE);

	return size > 0 ? (uint64_t)size : 4096;
}

uint64_t pd_real_process_memory(struct pd_os *os)
{
	char text[256], *resident;

	(void)os;
	/* "size resident shared …", in pages: proc(5). */
	if (!read_text("/proc/self/statm", text, sizeof text))
		return 0;
	resident = strchr(text, ' ');
	return resident != NULL ? strtoull(resident, NULL, 10) * page_bytes() : 0;
}

/* "max" or a number of bytes. */
static uint64_t read_limit(const char *directory)
{
	char *path = pd_asprintf("%s/memory.max", directory), text[32];
	uint64_t limit = UINT64_MAX;

	if (path != NULL && read_text(path, text, sizeof text) && text[0] >= '0' && text[0] <= '9')
		limit = strtoull(text, NULL, 10);
	pd_free(path);
	return limit;
}

uint64_t pd_real_control_group_limit(const char *root, const char *membership)
{
	const char *line = membership;
	uint64_t limit = UINT64_MAX;
	size_t root_size = strlen(root);
	char *path;

	/* The line of version 2 is "0::/path"; those of version 1 have other numbers. */
	while (line != NULL && strncmp(line, "0::/", 4) != 0) {
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	if (line == NULL)
		return limit;
	line += 3;
	path = pd_asprintf("%s%.*s", root, (int)strcspn(line, "\n"), line);
	while (path != NULL) {
		uint64_t here = read_limit(path);
		char *slash = strrchr(path + root_size, '/');

		limit = here < limit ? here : limit;
		if (slash == NULL)
			break;
		*slash = '\0';
	}
	pd_free(path);
	return limit;
}

uint64_t pd_real_machine_memory(struct pd_os *os)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	uint64_t bytes = pages > 0 ? (uint64_t)pages * page_bytes() : UNKNOWN_MEMORY_BYTES, limit;
	char membership[4096];

	(void)os;
	if (!read_text("/proc/self/cgroup", membership, sizeof membership))
		return bytes;
	limit = pd_real_control_group_limit("/sys/fs/cgroup", membership);
	return limit < bytes ? limit : bytes;
}

int pd_real_disk_free(struct pd_os *os, const char *path, uint64_t *ret_bytes, struct pd_error *err)
{
	struct statvfs room;
	int rc;

	(void)os;
	do
		rc = statvfs(path, &room);
	while (rc != 0 && errno == EINTR);
	if (rc != 0)
		return pd_error_system(err, errno, "cannot look at the file system of '%s'", path);
	*ret_bytes = (uint64_t)room.f_bavail * room.f_frsize;
	return 0;
}
