#include "jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

unsigned jobs_default(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores > 0 && cores < JOBS_MAX ? (unsigned)cores : 1;
}

void *jobs_share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);

	if (memory == MAP_FAILED) {
		perror("no memory for several processes: mmap");
		exit(2);
	}
	return memory;
}

static pid_t start(const struct jobs *jobs, unsigned number)
{
	pid_t process;

	(void)fflush(stdout);
	process = fork();
	if (process < 0) {
		perror("no further process can be started: fork");
		exit(2);
	}
	if (process > 0)
		return process;
	jobs->run(jobs->argument, number);
	(void)fflush(stdout);
	exit(0); /* which counts the lines that were run, where they are counted */
}

void jobs_run(const struct jobs *jobs)
{
	pid_t processes[JOBS_MAX];
	char what[80];
	int status;

	for (unsigned i = 0; i < jobs->count; i++)
		processes[i] = start(jobs, i);
	for (unsigned i = 0; i < jobs->count; i++) {
		if (waitpid(processes[i], &status, 0) == processes[i] && status == 0)
			continue;
		if (WIFSIGNALED(status))
			(void)snprintf(what, sizeof what,
				       "a process was ended by signal %d (a broken invariant?)",
				       WTERMSIG(status));
		else
			(void)snprintf(what, sizeof what, "a process ended with status %d",
				       WEXITSTATUS(status));
		jobs->broke(jobs->argument, i, what);
	}
}

void seen_init(struct seen *seen, uint64_t size)
{
	*seen = (struct seen){ .entries = jobs_share(size * sizeof(uint64_t)), .size = size };
}

enum seen_before seen_add(struct seen *seen, uint64_t key)
{
	key |= key == 0; /* 0: nothing is there */
	for (uint64_t at = key & (seen->size - 1);; at = (at + 1) & (seen->size - 1)) {
		uint64_t there = 0;

		if (__atomic_load_n(&seen->count, __ATOMIC_RELAXED) > seen->size / 8 * 7)
			return SEEN_FULL;
		if (__atomic_compare_exchange_n(&seen->entries[at], &there, key, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED)) {
			(void)__atomic_add_fetch(&seen->count, 1, __ATOMIC_RELAXED);
			return SEEN_NEW;
		}
		if (there == key)
			return SEEN_BEFORE;
	}
}
