#include "os/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void read_text(const char *path, char *text, size_t size)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = descriptor >= 0 ? read(descriptor, text, size - 1) : -1;

	if (descriptor >= 0)
		(void)close(descriptor);
	text[got > 0 ? got : 0] = '\0';
}

/* The number behind "name: " in a file of /proc; 0: not there. */
static uint64_t number_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Since Linux 6.2 the size of the directory says how many there are; before, they are counted. */
static uint64_t open_descriptors(void)
{
	struct stat info;
	uint64_t count = 0;
	DIR *directory;

	if (stat("/proc/self/fd", &info) == 0 && info.st_size > 0)
		return (uint64_t)info.st_size;
	directory = opendir("/proc/self/fd");
	if (directory == NULL)
		return 0;
	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	/* ".", "..", and the one that it was counted through. */
	return count > 3 ? count - 3 : 0;
}

static void look_at_memory(struct pd_os_process *process)
{
	long page = sysconf(_SC_PAGESIZE);
	char text[256], *rest;

	read_text("/proc/self/statm", text, sizeof text);
	process->virtual_bytes = strtoull(text, &rest, 10) * (uint64_t)(page > 0 ? page : 4096);
	process->resident_bytes = strtoull(rest, NULL, 10) * (uint64_t)(page > 0 ? page : 4096);
}

void pd_os_process_look(struct pd_os_process *ret_process)
{
	struct rusage usage;
	struct rlimit limit;
	char text[4096];

	*ret_process = (struct pd_os_process){ .open_descriptors = open_descriptors() };
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		ret_process->user_cpu_us = (uint64_t)usage.ru_utime.tv_sec * 1000000 +
					   (uint64_t)usage.ru_utime.tv_usec;
		ret_process->system_cpu_us = (uint64_t)usage.ru_stime.tv_sec * 1000000 +
					     (uint64_t)usage.ru_stime.tv_usec;
		ret_process->major_faults = (uint64_t)usage.ru_majflt;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		ret_process->max_descriptors = limit.rlim_cur;
	look_at_memory(ret_process);
	read_text("/proc/self/io", text, sizeof text);
	ret_process->read_bytes = number_of(text, "\nread_bytes: ");
	ret_process->written_bytes = number_of(text, "\nwrite_bytes: ");
	read_text("/proc/self/status", text, sizeof text);
	ret_process->threads = number_of(text, "\nThreads:\t");
}
