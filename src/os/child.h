/* Another process of this program, for who shows or tests what happens when one is killed. Real only. */
#ifndef PD_OS_CHILD_H
#define PD_OS_CHILD_H

#include <stdbool.h>

#include "base/error.h"

struct pd_os_child {
	long pid; /* 0: none runs */
};

/* Run this very program with other arguments; argv[0] is its name, NULL ends them. What it prints goes to the end of the file
 * `output`, which is made if it is not there; NULL: where this process prints. It ends with this process, however that ends. */
PD_MUST_CHECK int pd_os_child_start(struct pd_os_child *child, const char *const *argv, const char *output,
				    struct pd_error *err);
/* Has it ended by itself? *ret_status: its exit status, or 128 and the signal. */
bool pd_os_child_ended(struct pd_os_child *child, int *ret_status);
/* kill -9, and wait for its end. Nothing if none runs. */
void pd_os_child_kill(struct pd_os_child *child);
/* Ask it to end (SIGTERM), and wait: its exit status, as above. */
int pd_os_child_stop(struct pd_os_child *child);
/* Wait for its end. */
int pd_os_child_wait(struct pd_os_child *child);

#endif
