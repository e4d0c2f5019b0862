/* One test in several processes: forking them, the memory that all of them see, and a set of what they have seen. */
#ifndef PD_TESTS_SIM_JOBS_H
#define PD_TESTS_SIM_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOBS_MAX 64

/* As many as there are cores. */
unsigned jobs_default(void);
/* Zeros, for this process and those that are forked after it. Ends the program when there is no memory. */
void *jobs_share(size_t size);

struct jobs {
	unsigned count;
	void (*run)(void *argument, unsigned number);
	/* A process did not end with status 0: `what` says how in words. */
	void (*broke)(void *argument, unsigned number, const char *what);
	void *argument;
};
/* Run all of them, each in a process of its own that has what was made before, and wait for their ends. */
void jobs_run(const struct jobs *jobs);

/* Numbers that some process has seen. It never grows: what is too much to remember is said to be. */
struct seen {
	uint64_t *entries;
	uint64_t size, count;
};
enum seen_before { SEEN_NEW, SEEN_BEFORE, SEEN_FULL };

/* `size` is a power of two. The struct is in shared memory. */
void seen_init(struct seen *seen, uint64_t size);
enum seen_before seen_add(struct seen *seen, uint64_t key);

#endif
