/* A workload: what the process under test does while it is recorded, and what must be true of every image of its disk.
 *
 * It is made from a seed alone, so whoever checks an image knows what had to be in it. The process tells with marks
 * (record.h) how far it is. */
#ifndef PD_TESTS_CRASH_WORKLOAD_H
#define PD_TESTS_CRASH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk.h"
#include "trace.h"

#define WORKLOAD_ALL_MODELS ((1u << DISK_MODELS) - 1)

struct workload_options {
	uint64_t seed;
	unsigned size; /* how much is done: 0 is the workload's own measure */
};

struct workload_case {
	const struct workload_options *options;
	const char *directory; /* the image; may be changed */
	const struct trace *trace;
	enum disk_model model;
	/* marks[0 .. known) had been made when the power went, as far as promises go; marks[0 .. begun) were the fewest:
	 * nothing that only later marks allow may be there. */
	size_t known, begun;
	uint64_t chance; /* differs from image to image: for checks that are not made of each */
};

struct workload {
	const char *name;
	const char *const *ignored; /* as of trace_load() */
	/* Names of what is thrown away on opening: images that differ in nothing else count as one. Or NULL. */
	const char *const *blurred;
	/* A bit for each enum disk_model: the file systems that it is made for. */
	unsigned models;
	/* Can it go on from an image of an earlier run that has passed the check? */
	bool goes_on;
	/* Run in the directory, which is empty, or such an image. Exits on failure. */
	void (*run)(const struct workload_options *options, const char *directory);
	/* false: the image breaks a promise, which is then in `text`. */
	bool (*check)(const struct workload_case *given, char *text, size_t text_size);
};

extern const struct workload *const workloads[]; /* up to a NULL */

/* The number behind the last of marks[0 .. count) that begins with `word` and a space; `otherwise` if there is none. */
uint64_t workload_last_mark(const struct workload_case *given, size_t count, const char *word,
			    uint64_t otherwise);
/* What the process found when it was started, as its first mark "recovered N" says, wherever that is: so a crash within
 * recovery, too, must leave just that. 0 without one. */
uint64_t workload_found_at_start(const struct workload_case *given);
/* As printf(), and does nothing while nobody records. */
void workload_mark(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes the text, returns false. */
bool workload_broken(char *text, size_t text_size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
