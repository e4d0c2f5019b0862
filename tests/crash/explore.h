/* Find the distinct images of a trace, then open and check each in processes of their own. */
#ifndef PD_TESTS_CRASH_EXPLORE_H
#define PD_TESTS_CRASH_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image.h"
#include "trace.h"
#include "workload.h"

struct explore_options {
	const struct workload *workload;
	struct workload_options given;
	const struct trace *trace;
	const char *base;    /* what was on the disk before; NULL: nothing */
	const char *scratch; /* a directory in memory */
	uint64_t seed;       /* of the choice of images */
	size_t count;        /* at most */
	unsigned jobs;
	unsigned models; /* a bit for each enum disk_model */
	struct disk_lie lie;
	unsigned timeout_s; /* for one image */
};

struct images {
	struct image *items;
	size_t count, room;
	uint32_t *slots; /* by hash: index + 1 */
	struct pd_hash128 *hashes;
	size_t slot_count;
	size_t hash_room;
};

void images_done(struct images *images);

/* Up to options->count distinct images, sorted by crash point. */
void explore_find(const struct explore_options *options, struct images *images);

#define EXPLORE_VIOLATIONS_MAX 32

struct violation {
	struct image image;
	char text[400];
};

struct findings {
	size_t opened, violations;
	struct violation first[EXPLORE_VIOLATIONS_MAX];
};

void explore_check(const struct explore_options *options, const struct images *images,
		   struct findings *findings);
/* One image in this process, and what it is in words. Kept in `keep`, if not NULL. */
bool explore_one(const struct explore_options *options, const struct image *image, const char *keep);
/* Put an image into a directory that is not there yet. */
void explore_write(const struct explore_options *options, const struct image *image, const char *directory);
/* Is the directory what the trace made of it? */
bool explore_compare(const struct explore_options *options, const char *directory);

void explore_remove_tree(const char *path);

#endif
