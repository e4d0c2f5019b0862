/* store_bench: what the kernel says of this process and of the files. */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store_bench.h"

void bench_die(const char *who, const char *what, const char *why)
{
	(void)fprintf(stderr, "store_bench: %s: %s: %s\n", who, what, why);
	_exit(1);
}

uint64_t bench_now_ns(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

void bench_sleep_ms(unsigned ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&time, &time) != 0 && errno == EINTR)
		;
}

static uint64_t status_bytes(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	uint64_t bytes = 0;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, name, strlen(name)) == 0)
			bytes = strtoull(line + strlen(name), NULL, 10) * 1024;
	}
	if (file != NULL)
		(void)fclose(file);
	return bytes;
}

uint64_t store_resident(void)
{
	return status_bytes("VmRSS:");
}

uint64_t store_resident_most(void)
{
	return status_bytes("VmHWM:");
}

/* Files come and go meanwhile: what has gone does not count. A file with several names counts once, in parts. */
static FTS *walk_open(const char *path)
{
	char *copy = strdup(path), *paths[] = { copy, NULL };
	FTS *walk = copy == NULL ? NULL : fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);

	free(copy);
	return walk;
}

uint64_t store_disk_bytes(const char *path)
{
	FTS *walk = walk_open(path);
	uint64_t bytes = 0;
	FTSENT *entry;

	while (walk != NULL && (entry = fts_read(walk)) != NULL) {
		if (entry->fts_info == FTS_F)
			bytes += (uint64_t)entry->fts_statp->st_blocks * 512 / entry->fts_statp->st_nlink;
	}
	if (walk != NULL)
		(void)fts_close(walk);
	return bytes;
}

void store_drop_pages(const char *path)
{
	FTS *walk = walk_open(path);
	FTSENT *entry;

	while (walk != NULL && (entry = fts_read(walk)) != NULL) {
		int file = entry->fts_info == FTS_F ? open(entry->fts_path, O_RDONLY | O_CLOEXEC) : -1;

		if (file < 0)
			continue;
		if (fdatasync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0)
			bench_die("store_bench", entry->fts_path, "cannot be dropped from the page cache");
		(void)close(file);
	}
	if (walk != NULL)
		(void)fts_close(walk);
}
