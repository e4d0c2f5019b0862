/* An image: what one power cut left of a disk. Which one is said in words, so that it can be made again. */
#ifndef PD_TESTS_CRASH_IMAGE_H
#define PD_TESTS_CRASH_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

#include "disk.h"

enum image_way {
	IMAGE_ALL,    /* everything survived: the process was killed, not the machine */
	IMAGE_NONE,   /* nothing that was not synced */
	IMAGE_DROP,   /* all but one unit, and what needs it */
	IMAGE_KEEP,   /* one unit only, and what it needs */
	IMAGE_TORN,   /* all, and some sectors only of one piece of data */
	IMAGE_SUBSET, /* each unit or not, by chance */
	IMAGE_TORN_SUBSET,
	IMAGE_WAYS
};

struct image {
	enum disk_model model;
	enum image_way way;
	size_t crash;   /* steps done */
	uint64_t which; /* the unit, or a seed */
	size_t known,
		begun; /* the most marks known, the fewest begun, of all crashes that leave this image */
};

/* The nth way (from 0) to crash where the disk stands; after the planned ones come ways by chance, for ever. */
struct image image_nth(const struct disk *disk, size_t nth, uint64_t seed);

#define IMAGE_TEXT_SIZE 128
void image_format(const struct image *image, char text[IMAGE_TEXT_SIZE]);
bool image_parse(const char *text, struct image *image);

/* The disk stands at image->crash. A hash of every name and every byte; not of what has, or lies below, a name that matches
 * `blurred` (as of trace_ignores()). */
struct pd_hash128 image_hash(struct disk *disk, const struct image *image, const char *const *blurred,
			     struct pd_hasher *hasher);
/* Write it into `directory`, which is there and empty. */
void image_write(struct disk *disk, const struct image *image, const char *directory);
/* Does `directory` hold exactly the image? Says on stderr what differs. */
bool image_compare(struct disk *disk, const struct image *image, const char *directory,
		   const char *const *ignored);
/* What the units are that survived, for people. */
void image_explain(struct disk *disk, const struct image *image);

#endif
