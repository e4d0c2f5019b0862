/* Toys: small stores whose faults are known, to see that recorder and images show each of them, and nothing where there
 * is nothing.
 *
 *     log       records of 700 bytes, each with its number and a checksum
 *     current   one record: the number of the last snapshot; replaced by rename */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

#include "must.h"
#include "toy_workload.h"

enum { RECORD_BYTES = 700, TURNS = 12, RECORDS_A_TURN = 4 };

enum toy_plant {
	PLANT_NONE,
	PLANT_NO_LOG_SYNC,       /* the log is written, not synced */
	PLANT_NO_SNAPSHOT_SYNC,  /* renamed before it is synced */
	PLANT_NO_DIRECTORY_SYNC, /* the rename itself is never synced */
	PLANT_EARLY_MARK,        /* promised before it is synced */
	PLANT_UNSEEN,            /* a file is written past the recorder */
	PLANT_NO_CHECKSUM,       /* what is read is believed */
};

struct toy_record {
	uint64_t number;
	uint8_t filling[RECORD_BYTES - 12];
	uint32_t crc;
} __attribute__((packed));

static void check_call(int result, const char *what)
{
	if (result < 0)
		die("%s: %s", what, strerror(errno));
}

static void write_record(int fd, uint64_t number)
{
	struct toy_record record = { .number = number };

	memset(record.filling, (int)(number * 37 + 1), sizeof record.filling);
	record.crc = pd_crc32c(0, &record, sizeof record - sizeof record.crc);
	check_call(write(fd, &record, sizeof record) == sizeof record ? 0 : -1, "write");
}

static int open_in(int directory, const char *name, int flags)
{
	int fd = openat(directory, name, flags | O_CLOEXEC, 0600);

	check_call(fd, name);
	return fd;
}

static void snapshot(int directory, uint64_t number, enum toy_plant plant)
{
	int fd = open_in(directory, "current.tmp", O_WRONLY | O_CREAT | O_TRUNC);

	write_record(fd, number);
	if (plant != PLANT_NO_SNAPSHOT_SYNC)
		check_call(fsync(fd), "fsync");
	close(fd);
	check_call(renameat(directory, "current.tmp", directory, "current"), "rename");
	if (plant != PLANT_NO_DIRECTORY_SYNC)
		check_call(fsync(directory), "fsync");
}

/* libc opens it by itself. */
static void write_unseen(const char *directory)
{
	char *path = must_print("%s/unseen", directory);
	FILE *file = fopen(path, "w");

	if (file == NULL || fclose(file) != 0)
		die("cannot write '%s'", path);
	free(path);
}

static void run(const char *path, enum toy_plant plant)
{
	int directory = open_in(AT_FDCWD, path, O_RDONLY | O_DIRECTORY), log;
	uint64_t number = 0;

	if (plant == PLANT_UNSEEN)
		write_unseen(path);
	log = open_in(directory, "log", O_WRONLY | O_CREAT | O_APPEND);
	check_call(fsync(directory), "fsync");
	for (unsigned turn = 1; turn <= TURNS; turn++) {
		for (unsigned i = 0; i < RECORDS_A_TURN; i++) {
			workload_mark("begin %" PRIu64, ++number);
			if (plant == PLANT_EARLY_MARK)
				workload_mark("done %" PRIu64, number);
			write_record(log, number);
			if (plant != PLANT_NO_LOG_SYNC)
				check_call(fdatasync(log), "fdatasync");
			workload_mark("done %" PRIu64, number);
		}
		workload_mark("snapshot %u", turn);
		snapshot(directory, turn, plant);
		workload_mark("taken %u", turn);
	}
	close(log);
	close(directory);
}

/* The number of the last record, in a row from 1 for a log; UINT64_MAX: one is there that cannot be. */
static uint64_t read_records(const char *directory, const char *name, bool in_a_row, bool believe)
{
	char *path = must_print("%s/%s", directory, name);
	FILE *file = fopen(path, "rb");
	struct toy_record record;
	uint64_t last = 0;

	free(path);
	if (file == NULL)
		return 0;
	while (fread(&record, sizeof record, 1, file) == 1) {
		if (!believe && pd_crc32c(0, &record, sizeof record - sizeof record.crc) != record.crc)
			break;
		if (in_a_row && record.number != last + 1)
			last = UINT64_MAX - 1;
		last = in_a_row ? last + 1 : record.number;
		if (last == UINT64_MAX)
			break;
	}
	fclose(file);
	return last;
}

static bool between(const struct workload_case *given, const char *what, const char *begun, const char *done,
		    uint64_t is, char *text, size_t text_size)
{
	uint64_t least = workload_last_mark(given, given->known, done, 0);
	uint64_t most = workload_last_mark(given, given->begun, begun, 0);

	return (is >= least && is <= most) ||
	       workload_broken(text, text_size,
			       "%s is at %" PRIu64 ", must be between %" PRIu64 " and %" PRIu64, what, is,
			       least, most);
}

static bool check(const struct workload_case *given, enum toy_plant plant, char *text, size_t text_size)
{
	uint64_t log = read_records(given->directory, "log", true, plant == PLANT_NO_CHECKSUM);
	uint64_t current = read_records(given->directory, "current", false, false);

	return between(given, "the log", "begin", "done", log, text, text_size) &&
	       between(given, "the snapshot", "snapshot", "taken", current, text, text_size);
}

#define TOY(identifier, text, plant)                                                                        \
	static void run_##identifier(const struct workload_options *options, const char *directory)         \
	{                                                                                                   \
		(void)options;                                                                              \
		run(directory, plant);                                                                      \
	}                                                                                                   \
	static bool check_##identifier(const struct workload_case *given, char *broken, size_t broken_size) \
	{                                                                                                   \
		return check(given, plant, broken, broken_size);                                            \
	}                                                                                                   \
	const struct workload toy_##identifier = { .name = text,                                            \
						   .models = WORKLOAD_ALL_MODELS,                           \
						   .run = run_##identifier,                                 \
						   .check = check_##identifier };

TOY(sound, "toy", PLANT_NONE)
TOY(no_log_sync, "toy-no-log-sync", PLANT_NO_LOG_SYNC)
TOY(no_snapshot_sync, "toy-no-snapshot-sync", PLANT_NO_SNAPSHOT_SYNC)
TOY(no_directory_sync, "toy-no-directory-sync", PLANT_NO_DIRECTORY_SYNC)
TOY(early_mark, "toy-early-mark", PLANT_EARLY_MARK)
TOY(no_checksum, "toy-no-checksum", PLANT_NO_CHECKSUM)
TOY(unseen, "toy-unseen", PLANT_UNSEEN)
