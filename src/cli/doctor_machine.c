/* The doctor and the machine: limits, memory, the kernel, the clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "cli/doctor_private.h"
#include "os/facts.h"

#define MIB           (1024.0 * 1024.0)
#define FILES_WANTED  10240u /* clients by default, and what the levels keep open */
#define CLOCK_WIDE_US 1000000u
#define YEAR_2020_US  UINT64_C(1577836800000000)
#define TEXT_SIZE     4096

/* The number behind a name in a text of the kernel's: "MemAvailable:   123 kB"; UINT64_MAX: it is not there. */
static uint64_t number_behind(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at != NULL ? strtoull(at + strlen(name), NULL, 10) : UINT64_MAX;
}

/* ---- limits ---- */

/* "Max open files   1024   524288   files" */
static bool server_limit(const struct pd_doctor *doctor, uint64_t *ret_hard)
{
	char path[64], text[TEXT_SIZE], *line, *end;

	(void)snprintf(path, sizeof path, "/proc/%ld/limits", doctor->pid);
	if (doctor->pid == 0 || !doctor->has_server || !pd_doctor_read(doctor, path, text, sizeof text))
		return false;
	line = strstr(text, "Max open files");
	if (line == NULL)
		return false;
	(void)strtoull(line + strlen("Max open files"), &end, 10);
	while (*end == ' ')
		end++;
	*ret_hard = *end >= '0' && *end <= '9' ? strtoull(end, NULL, 10) : UINT64_MAX;
	return true;
}

static void check_files(struct pd_doctor *doctor)
{
	struct rlimit limit = { 0 };
	bool of_server = true;
	uint64_t hard;

	if (!server_limit(doctor, &hard)) {
		of_server = false;
		(void)getrlimit(RLIMIT_NOFILE, &limit);
		hard = limit.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit.rlim_max;
	}
	if (hard < FILES_WANTED) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "limits.files",
				"%s may open %llu files: fewer clients than the usual 10000 get in",
				of_server ? "the server" : "a process here", (unsigned long long)hard);
		pd_doctor_fix(doctor,
			      "ulimit -Hn 65536 before it starts; LimitNOFILE=65536 in a systemd unit; "
			      "--ulimit nofile=65536 for a container");
		return;
	}
	pd_doctor_found(doctor, PD_DOCTOR_OK, "limits.files", "%s may open enough files",
			of_server ? "the server" : "a process here");
}

static void check_cores(struct pd_doctor *doctor)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur == 0)
		return;
	pd_doctor_found(doctor, PD_DOCTOR_NOTE, "limits.core",
			"a process here may write a core dump when it crashes: it has clients' data in it");
	pd_doctor_fix(doctor, "ulimit -c 0 where that must not be");
}

/* ---- memory ---- */

static void check_budget(struct pd_doctor *doctor)
{
	uint64_t machine = pd_os_machine_memory(doctor->os), available;
	char text[TEXT_SIZE];

	if (doctor->budget > machine / 10 * 9) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "memory.budget",
				"the memory budget of %.0f MiB leaves nothing of the %.0f MiB that there are "
				"(of the machine, or "
				"of the control group): the kernel will end the server",
				(double)doctor->budget / MIB, (double)machine / MIB);
		pd_doctor_fix(doctor, "--memory-budget %.0fMiB, or more memory", (double)machine / 2 / MIB);
		return;
	}
	pd_doctor_found(doctor, PD_DOCTOR_OK, "memory.budget",
			"a budget of %.0f MiB, of %.0f MiB that there are", (double)doctor->budget / MIB,
			(double)machine / MIB);
	if (doctor->has_server || !pd_doctor_read(doctor, "/proc/meminfo", text, sizeof text))
		return;
	available = number_behind(text, "MemAvailable:");
	if (available != UINT64_MAX && available * 1024 < doctor->budget) {
		pd_doctor_found(
			doctor, PD_DOCTOR_WARNING, "memory.available",
			"%.0f MiB are available at the moment, less than the budget: others have the rest",
			(double)available / 1024);
		pd_doctor_fix(doctor, "end what is not needed, or --memory-budget %.0fMiB",
			      (double)available / 2048);
	}
}

static void check_paging(struct pd_doctor *doctor)
{
	char text[TEXT_SIZE];

	if (pd_doctor_read(doctor, "/proc/sys/vm/overcommit_memory", text, sizeof text) &&
	    strcmp(text, "2") == 0) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "memory.overcommit",
				"vm.overcommit_memory is 2: memory that is only reserved counts, and "
				"requests may be refused "
				"while much is free");
		pd_doctor_fix(doctor, "sysctl vm.overcommit_memory=0; or raise vm.overcommit_ratio");
	}
	if (pd_doctor_read(doctor, "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text) &&
	    strstr(text, "[always]") != NULL) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "memory.hugepages",
				"transparent huge pages are always used: memory that was given back stays "
				"taken, and pauses "
				"come while pages are put together");
		pd_doctor_fix(doctor, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	}
	if (pd_doctor_read(doctor, "/proc/swaps", text, sizeof text) && strchr(text, '\n') != NULL &&
	    pd_doctor_read(doctor, "/proc/sys/vm/swappiness", text, sizeof text) &&
	    strtoul(text, NULL, 10) > 30) {
		pd_doctor_found(doctor, PD_DOCTOR_NOTE, "memory.swap",
				"there is swap, and vm.swappiness is %s: what the server holds may be moved "
				"to the disk, and a "
				"read of it takes milliseconds",
				text);
		pd_doctor_fix(doctor, "sysctl vm.swappiness=1; MemorySwapMax=0 in a systemd unit");
	}
}

/* ---- kernel and clock ---- */

static void check_kernel(struct pd_doctor *doctor)
{
	struct pd_os_queue *queue = NULL;
	struct utsname system;
	struct pd_error err;
	int result = pd_os_queue_new(doctor->os, 8, &queue, &err);

	if (uname(&system) != 0)
		memset(&system, 0, sizeof system);
	pd_os_queue_free(result == 0 ? queue : NULL);
	if (result == 0) {
		pd_doctor_found(doctor, PD_DOCTOR_OK, "kernel.io_uring", "%s %s, with io_uring",
				system.sysname, system.release);
		return;
	}
	pd_doctor_found(doctor, PD_DOCTOR_NOTE, "kernel.io_uring",
			"io_uring cannot be used (%s): the log is written one group after the other, which "
			"costs on slow disks "
			"only",
			err.text);
	pd_doctor_fix(
		doctor,
		"sysctl kernel.io_uring_disabled=0; in a container, a seccomp profile that lets it through");
}

static void check_clock(struct pd_doctor *doctor)
{
	uint64_t error_us, now_us = pd_os_real_us(doctor->os);
	enum pd_os_clock_state state = pd_os_clock_state(&error_us);

	if (now_us < YEAR_2020_US) {
		pd_doctor_found(doctor, PD_DOCTOR_DANGER, "clock",
				"the clock says that it is before 2020: keys expire when "
				"it is put right");
		pd_doctor_fix(doctor, "set it, and let chrony or systemd-timesyncd keep it");
	} else if (state == PD_OS_CLOCK_UNKNOWN) {
		pd_doctor_found(doctor, PD_DOCTOR_NOTE, "clock",
				"the kernel does not tell whether the clock is kept right");
	} else if (state == PD_OS_CLOCK_UNSYNCED) {
		pd_doctor_found(doctor, PD_DOCTOR_WARNING, "clock",
				"nothing keeps the clock right: expiry and retention go by it (the order of "
				"writes does not)");
		pd_doctor_fix(doctor, "install chrony or systemd-timesyncd; of a container or virtual "
				      "machine: on its host");
	} else {
		pd_doctor_found(doctor, error_us > CLOCK_WIDE_US ? PD_DOCTOR_NOTE : PD_DOCTOR_OK, "clock",
				"the clock is kept right, within %.1f ms as the kernel sees it",
				(double)error_us / 1000);
	}
}

void pd_doctor_machine(struct pd_doctor *doctor)
{
	check_budget(doctor);
	check_paging(doctor);
	check_files(doctor);
	check_cores(doctor);
	check_kernel(doctor);
	check_clock(doctor);
}
