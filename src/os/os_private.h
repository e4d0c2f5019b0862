/* What every implementation of os.h shares. The bases are the first members of an implementation's own structs,
 * so that the wrappers find the operations and check what must hold for all of them. */
#ifndef PD_OS_OS_PRIVATE_H
#define PD_OS_OS_PRIVATE_H

#include "os/os.h"

enum { PD_OS_QUEUE_DEPTH_MAX = 4096 };

struct pd_os_file {
	struct pd_os *os;
	int flags; /* enum pd_os_open_flags */
	size_t alignment;
	unsigned in_flight; /* queued writes that were not reaped: the file must stay open for them */
};

struct pd_os_lock {
	struct pd_os *os;
};

struct pd_os_task {
	struct pd_os *os;
};

struct pd_os_queue {
	struct pd_os *os;
	unsigned depth;
	unsigned in_flight;
};

/* Every implementation passes here once, before anybody sees it. Aborts on a table of another version or with
 * a hole. */
void pd_os_init(struct pd_os *os, const struct pd_os_ops *ops);

/* qsort() order of `char *` names. */
int pd_os_compare_names(const void *a, const void *b);

#endif
