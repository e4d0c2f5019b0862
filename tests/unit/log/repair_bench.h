/* A log on the simulated machine, to be damaged and repaired, and what it was before. */
#ifndef PD_TESTS_UNIT_LOG_REPAIR_BENCH_H
#define PD_TESTS_UNIT_LOG_REPAIR_BENCH_H

#include "lib/log_disk.h"
#include "log/group_private.h"
#include "log/repair.h"

#define BENCH_LOG   DISK_DIRECTORY "/log"
#define BENCH_COPY  DISK_DIRECTORY "/copy"
#define BENCH_ASIDE DISK_DIRECTORY "/aside"

#define GROUPS_MAX   256
#define SEGMENTS_MAX 80

struct group {
	uint64_t sector;
	struct pd_group_header header;
};

/* A segment as it was written. */
struct original {
	uint8_t *data;
	uint64_t size;
};

struct bench {
	struct log_disk disk;
	bool copy, only_plan, flipped_bits; /* how the next repair is called */
	struct pd_log_repair repair;
	struct pd_error err; /* of the last one */
	uint32_t last;       /* segment */
	struct original originals[SEGMENTS_MAX + 1];
};

/* Four segments or more, the second with a record in frames, all sealed. */
void bench_init(struct bench *bench, uint64_t seed);
/* The same, still being written, originals not noted. `differ`: from the third group on another history. */
void bench_init_open(struct bench *bench, uint64_t seed, bool differ);
void bench_done(struct bench *bench);
void bench_write_segments(struct bench *bench, unsigned segments);
/* One record of a value of that size, synced. */
void bench_write_large(struct bench *bench, size_t value_size);
/* The process is gone: the last segment stays as it is. */
void bench_kill(struct bench *bench);
/* Keep the segments as they are now: what a repair has to bring back. */
void bench_note_originals(struct bench *bench);
void bench_put_originals_back(struct bench *bench);
bool bench_is_original(struct bench *bench, uint32_t segment);
bool bench_is_all_original(struct bench *bench);
/* Groups of an original. Returns how many, at least two. */
size_t bench_groups(struct bench *bench, uint32_t segment, struct group *groups);
/* Is one of them a piece of a record? Then its index lists whom nothing in the segment names. */
bool has_pieces(const struct group *groups, size_t count);

/* ---- damage ---- */
void wreck_sectors(struct bench *bench, const char *path, uint64_t sector, uint64_t sectors);
void wreck_group(struct bench *bench, uint32_t segment, const struct group *group);
void remove_segment(struct bench *bench, uint32_t segment);
void cut_off(struct bench *bench, const char *path, uint64_t size);
/* Flip of the 32 bits from `first` on of a group's body as many as it takes for the body's checksum to be what flipping `innocent` alone would
 * make of it. */
void look_like_a_bit(struct bench *bench, uint32_t segment, const struct group *group, uint64_t first,
		     uint64_t innocent);

/* ---- copies ---- */
const char *copy_path(uint32_t segment);
/* Have a copy beside it of what `from` wrote; repairs take it from now on. */
void make_copy(struct bench *bench, const struct bench *from);

/* ---- repairs ---- */
int heal(struct bench *bench);
void must_heal(struct bench *bench);
/* A repair that finds nothing to do; and one that finds damage, and leaves all as it is. */
void expect_quiet(struct bench *bench);
void expect_untouched(struct bench *bench);
/* One step, in this segment, and all is as it was. */
const struct pd_log_repair_step *expect_one_step(struct bench *bench, enum pd_log_repair_kind kind,
						 uint32_t segment);
/* Is a file with these bytes among those that were set aside? */
bool is_aside(struct bench *bench, const uint8_t *bytes, uint64_t bytes_size);
size_t count_aside(struct bench *bench);
void forget_aside(struct bench *bench);

#endif
